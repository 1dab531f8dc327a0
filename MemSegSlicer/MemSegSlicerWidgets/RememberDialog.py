"""Asks under which name a segment goes into the recall memory."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from memseg.errors import SessionError
from MemSegSlicerLib import SegmentNames

from . import Building
from .Workbench import Workbench


class RememberDialog:
    def __init__(self, parent: qt.QWidget, bench: Workbench) -> None:
        self._bench = bench
        self.dialog = qt.QDialog(parent)
        self.dialog.objectName = "rememberDialog"
        self.dialog.windowTitle = _("Remember this segment")
        form = qt.QFormLayout(self.dialog)
        words = _(
            "Its look, size and place are kept under this name; type the name in another image, and it is looked for "
            "there. Of the image itself, only a small picture is kept."
        )
        form.addRow(Building.label(text=words))
        self._name, self._note, self._licence = qt.QLineEdit(), qt.QLineEdit(), qt.QLineEdit()
        for line, name, title, example, longest in (
            (self._name, "rememberName", _("Name"), _("left kidney"), 100),
            (self._note, "rememberNote", _("Note"), _("where it is from"), 500),
            (self._licence, "rememberLicence", _("Licence"), _("of the image"), 500),
        ):
            line.objectName, line.placeholderText, line.maxLength = name, example, longest
            form.addRow(title, line)
        self._always = qt.QCheckBox(_("From now on, remember named segments by themselves when I go on"))
        self._always.objectName = "rememberAlways"
        form.addRow(self._always)
        guarded = bench.notices.guarded
        self._remember = Building.button("rememberNow", _("Remember"), guarded(self._accept))
        self._remember.default = True
        self._cancel = Building.button("rememberCancel", _("Cancel"), self.dialog.hide)
        form.addRow(Building.row(self._remember, self._cancel))

    def open(self) -> None:
        """With the segment's name, where somebody chose it."""
        key = self._bench.key()
        if key is None:
            raise SessionError("There is no segment to remember; choose an image and segment something first.")
        segment = self._bench.controller.segmentationNode.GetSegmentation().GetSegment(key.segmentId)
        self._name.text = "" if SegmentNames.isAutomatic(segment) else segment.GetName()
        self._always.checked = self._bench.state.remembersByItself
        self.dialog.show()
        self._name.setFocus()

    def cleanup(self) -> None:
        self.dialog.hide()
        self.dialog.setParent(None)

    def _accept(self) -> None:
        if not self._name.text.strip():
            raise SessionError("Give the segment a name first, such as left kidney; it is found by that name.")
        self._bench.state.remembersByItself = self._always.checked
        self.dialog.hide()
        self._bench.controller.remember(self._name.text, self._licence.text, self._note.text)

"""Asks where finished segments go, for the next training."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from . import Building
from .AutoSection import browseButton, folderLine
from .Workbench import Workbench

_WIDTH_PX = 460


class CollectDialog:
    def __init__(self, parent: qt.QWidget, bench: Workbench) -> None:
        self._bench = bench
        self.dialog = qt.QDialog(parent)
        self.dialog.objectName = "collectDialog"
        self.dialog.windowTitle = _("Add to training data")
        self.dialog.setMinimumWidth(_WIDTH_PX)
        layout = qt.QVBoxLayout(self.dialog)
        words = _(
            "The image and its named segments are copied into this data set, without names or paths, for the next "
            "training. An image that is there already takes its own place. Add only what is finished: where a segment "
            "stops short, the training learns that the structure ends."
        )
        layout.addWidget(Building.label(text=words))
        self._folder = folderLine("collectFolder", _("The folder of the data set, made where it is not there"))
        browse = browseButton("collectBrowse", self._folder, lambda: None)
        layout.addLayout(Building.row(self._folder, browse, stretch=0))
        self._remembers = Building.label(
            "collectRemembers",
            _("The recall memory remembers the segments, too, as you have chosen there."),
            isHint=True,
        )
        layout.addWidget(self._remembers)
        self._add = Building.button("collectNow", _("Add"), bench.notices.guarded(self._accept))
        self._add.default = True
        self._cancel = Building.button("collectCancel", _("Cancel"), self.dialog.hide)
        layout.addLayout(Building.row(self._add, self._cancel))

    def open(self) -> None:
        self._folder.text = str(self._bench.controller.auto.state.folders.data)
        self._remembers.visible = self._bench.state.remembersByItself
        self.dialog.show()
        self._folder.setFocus()

    def cleanup(self) -> None:
        self.dialog.hide()
        self.dialog.setParent(None)

    def _accept(self) -> None:
        auto = self._bench.controller.auto
        auto.choose(data=self._folder.text)
        self.dialog.hide()
        auto.collect(remembers=self._bench.state.remembersByItself)

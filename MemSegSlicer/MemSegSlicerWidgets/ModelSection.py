"""Which model answers, under which licence, and where it computes."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from memseg import catalog
from MemSegSlicerLib.Record import SessionState

from . import Building
from .Workbench import Workbench

_DEVICES = (
    ("auto", _("Automatic")),
    ("cpu", _("CPU")),
    ("cuda", _("NVIDIA graphics card (CUDA)")),
    ("mps", _("Apple graphics (MPS)")),
)
_ABOUT = _("{summary} Licence: {licence}. Source: {source}.")
_ABSENT = _("{title} (not installed)")
_NEEDS_PACKAGES = _("Needs {packages}, which this Slicer lacks.")


class ModelSection:
    def __init__(self, area: qt.QWidget, bench: Workbench) -> None:
        self._bench = bench
        layout = qt.QFormLayout(area)
        layout.setContentsMargins(0, 4, 0, 4)
        self._models, self._devices = qt.QComboBox(), qt.QComboBox()
        self._models.objectName, self._devices.objectName = "modelBox", "deviceBox"
        self._names = [card.name for card in catalog.cards()]
        for name, title in _DEVICES:
            self._devices.addItem(title, name)
        self._about = Building.label("licenceLabel", isHint=True)
        layout.addRow(_("Model"), self._models)
        layout.addRow(_("Compute on"), self._devices)
        layout.addRow(self._about)
        guarded = bench.notices.guarded
        needed = bench.desk.dependencies
        tip = _("Ask what PyTorch is for and how large it is; nothing is installed before you agree")
        self._install = Building.button("installButton", _("Install PyTorch…"), guarded(needed.offer), tip)
        layout.addRow(self._install)
        self.refresh()
        self._stopListening = needed.installed.add(lambda _packages: self.refresh())
        self._models.connect("activated(int)", guarded(self._chooseModel))
        self._devices.connect("activated(int)", guarded(self._chooseDevice))

    def cleanup(self) -> None:
        self._stopListening()

    def refresh(self) -> None:
        """After something was installed: which models can be built."""
        able = {card.name for card in catalog.installed()}
        self._install.visible = bool(self._bench.desk.dependencies.missing)
        self._models.clear()
        for card in catalog.cards():
            self._models.addItem(card.title if card.name in able else _ABSENT.format(title=card.title))

    def show(self, session: SessionState) -> None:
        place = self._names.index(session.model) if session.model in self._names else -1
        if self._models.currentIndex != place:
            self._models.setCurrentIndex(place)
        devices = [name for name, _title in _DEVICES]
        device = self._bench.controller.device
        self._devices.setCurrentIndex(devices.index(device) if device in devices else 0)
        self._about.text = about(session.model) if place >= 0 else ""

    def _chooseModel(self, place: int) -> None:
        """One that cannot be built says what it lacks, and the present one stays."""
        card = catalog.cards()[place]
        if not catalog.can_be_built(card):
            self._bench.notices.complain(lacking(card))
            self.show(self._bench.controller.state)
        elif card.name != self._bench.controller.state.model:
            self._bench.controller.setModel(card.name)

    def _chooseDevice(self, place: int) -> None:
        if _DEVICES[place][0] != self._bench.controller.device:
            self._bench.controller.setDevice(_DEVICES[place][0])


def about(model: str) -> str:
    card = catalog.card(model)
    return _ABOUT.format(summary=card.summary, licence=card.licence, source=card.source.rstrip("."))


def lacking(card: catalog.ModelCard) -> str:
    """What a model that cannot be built lacks, and what to do."""
    if packages := catalog.missing_packages(card):
        return _NEEDS_PACKAGES.format(packages=", ".join(packages))
    how = catalog.how_to_add(card)
    return f"{how[0].upper()}{how[1:]}."

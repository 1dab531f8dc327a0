"""What the networks need and Slicer does not bring: PyTorch, and safetensors to read weights. Without them everything
works with the geodesic segmenter. Nothing is installed unasked, and nothing on another thread than Slicer's own.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from importlib.util import find_spec

import qt
import slicer
from slicer.i18n import tr as _

from memseg import catalog
from MemSegSlicerLib.Listeners import Listeners

from .Notices import Notices

log = logging.getLogger(__name__)

TORCH, SAFETENSORS = "torch", "safetensors"
_REQUIREMENTS = {TORCH: ">=2.6", SAFETENSORS: ">=0.4"}
_EXTENSION = "PyTorch"
_OFFERED = "MemSegSlicer/PyTorchWasOffered"
_UNFINISHED = "MemSegSlicer/PyTorchIsToBeInstalled"  # the extension came with the last session; its package is due

_OFFER = _("""MemSegSlicer works right away: the Geodesic model needs nothing more.

With PyTorch it also has {models}, which came with it and need no further download.
PyTorch is downloaded once: about 200 MB for this computer's processor, up to 3 GB with an NVIDIA graphics card, \
and takes 0.8 to 6 GB on the disk.

Install it now?""")
_SMALL_OFFER = _("MemSegSlicer needs one small package more, {packages} (under 1 MB), for {models}. Install it now?")
_UNREACHABLE = _(
    "The PyTorch extension could not be installed; check the network connection, or install it with the Extensions "
    "Manager. The Geodesic model works without it."
)
_FAILED = _(
    "{packages} could not be installed; the details say why. Restart Slicer and try again, or go on with the Geodesic "
    "model."
)
_RESTART = _("The PyTorch extension is installed. Slicer has to start again before PyTorch itself can follow. Restart?")
_LATER = _("Restart Slicer to go on with the installation of PyTorch.")
_DONE = _("{packages} is installed.")


class Dependencies:
    """For the main thread. installed: those who want to know when packages have come."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._box: qt.QMessageBox | None = None
        self.installed = Listeners[tuple[str, ...]]()

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in _REQUIREMENTS if find_spec(name) is None)

    def offerOnce(self) -> None:
        """Ask when the user first comes here, and again after the restart that an installation needed. A Slicer that
        is being tested is not asked."""
        settings = qt.QSettings()
        isDue = slicer.util.settingsValue(_UNFINISHED, False, converter=slicer.util.toBool)
        wasOffered = slicer.util.settingsValue(_OFFERED, False, converter=slicer.util.toBool)
        if slicer.app.testingEnabled() or not self.missing or (wasOffered and not isDue):
            return
        settings.setValue(_OFFERED, True)
        settings.setValue(_UNFINISHED, False)
        self.offer()

    def offer(self) -> None:
        """Ask whether to install what is missing, and do it after a yes. Returns at once."""
        missing = self.missing
        if missing:
            titles = [card.title for card in catalog.cards() if card.needs and not catalog.lacks_weights(card)]
            text = _OFFER if TORCH in missing else _SMALL_OFFER
            models = ", ".join(titles) or _("networks")
            self._ask("MemSegOfferPyTorch", text.format(models=models, packages=", ".join(missing)), self._install)

    def close(self) -> None:
        """A question that is still open is not asked any more."""
        if self._box is not None:
            self._box.deleteLater()
            self._box = None

    # -- installing --------------------------------------------------------------------------------------------------

    def _install(self) -> None:
        missing = self.missing
        if TORCH in missing and not hasattr(slicer.modules, "pytorchutils"):
            self._installExtension()
            return
        try:
            with slicer.util.WaitCursor():
                for name in missing:
                    log.info("installing %s", name)
                    _INSTALLERS[name](_REQUIREMENTS[name])
                    importlib.invalidate_caches()
        except Exception as error:  # of pip, Slicer or the extension: whatever it is, the user has to know
            log.exception("installing failed")
            self._notices.complain(_FAILED.format(packages=", ".join(missing)), str(error))
            return
        if self.missing:
            self._notices.complain(_FAILED.format(packages=", ".join(self.missing)))
            return
        self._notices.say(_DONE.format(packages=", ".join(missing)))
        self.installed.tell(missing)

    def _installExtension(self) -> None:
        """PyTorch's extension knows which build fits this computer; its module is there from the next start on."""
        extensions = slicer.app.extensionsManagerModel()
        wasInteractive = extensions.interactive
        extensions.interactive = False  # it was asked for already
        try:
            with slicer.util.WaitCursor():
                succeeded = extensions.installExtensionFromServer(_EXTENSION, False)
        finally:
            extensions.interactive = wasInteractive
        if not succeeded:
            self._notices.complain(_UNREACHABLE)
            return
        qt.QSettings().setValue(_UNFINISHED, True)
        self._notices.say(_LATER)
        self._ask("MemSegRestart", _RESTART, slicer.util.restart)

    def _ask(self, name: str, text: str, yes: Callable[[], None]) -> None:
        """One question at a time, in a window that stops nothing."""
        self.close()
        box = self._box = qt.QMessageBox(slicer.util.mainWindow())
        box.objectName = name
        box.windowTitle = "MemSegSlicer"
        box.text = text
        box.setStandardButtons(qt.QMessageBox.Yes | qt.QMessageBox.No)
        box.button(qt.QMessageBox.No).text = _("Not now")
        box.button(qt.QMessageBox.Yes).connect("clicked()", self._notices.guarded(yes))
        box.open()


def _installTorch(versions: str) -> None:
    from PyTorchUtils import PyTorchUtilsLogic  # a module of the PyTorch extension

    PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=versions)


def _installSafetensors(versions: str) -> None:
    try:
        from slicer.packaging import pip_ensure  # Slicer 5.11 and later
    except ImportError:
        slicer.util.pip_install(f"{SAFETENSORS}{versions}")
    else:
        pip_ensure([f"{SAFETENSORS}{versions}"], prompt_install=False, requester="MemSegSlicer")


_INSTALLERS: dict[str, Callable[[str], None]] = {TORCH: _installTorch, SAFETENSORS: _installSafetensors}

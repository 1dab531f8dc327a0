"""Stand-ins for the CTK widgets that Slicer's panels are made of: the same names, properties, signals and slots."""

from __future__ import annotations

import types

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Signal

from .pythonqt import attribute, setterOf, standIn

_HEADER_PX = 24


@standIn
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A heading that shows and hides what is below it."""

    signals = ("contentsCollapsed(bool)",)
    contentsCollapsed = Signal(bool)

    def __init__(self, *arguments: object) -> None:
        super().__init__(*[each for each in arguments if isinstance(each, QtWidgets.QWidget)])
        for each in arguments:
            if isinstance(each, str):
                self.text = each
        self.checkable = True
        self.checked = True
        self.setContentsMargins(0, _HEADER_PX, 0, 0)
        self.setMinimumHeight(_HEADER_PX)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)
        self.toggled.connect(self._showContents)

    @QtCore.Property(bool)
    def collapsed(self) -> bool:
        return not self.checked

    @collapsed.setter
    def collapsed(self, value: bool) -> None:
        self.checked = not value

    setCollapsed = setterOf("collapsed")

    def _showContents(self, shown: bool) -> None:
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(shown)
        self.contentsCollapsed.emit(not shown)

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        child = event.child()
        if event.type() == QtCore.QEvent.ChildPolished and self.collapsed and isinstance(child, QtWidgets.QWidget):
            child.setVisible(False)
        super().childEvent(event)

    def hitButton(self, place: QtCore.QPoint) -> bool:
        return place.y() < _HEADER_PX

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtWidgets.QStylePainter(self)
        frame = QtWidgets.QStyleOption()
        frame.initFrom(self)
        frame.rect = QtCore.QRect(0, 0, self.width, _HEADER_PX)
        painter.fillRect(frame.rect, self.palette.button())
        arrow = QtWidgets.QStyleOption(frame)
        arrow.rect = QtCore.QRect(6, 6, 12, 12)
        kind = QtWidgets.QStyle.PE_IndicatorArrowRight if self.collapsed else QtWidgets.QStyle.PE_IndicatorArrowDown
        painter.drawPrimitive(kind, arrow)
        painter.drawText(frame.rect.adjusted(24, 0, 0, 0), QtCore.Qt.AlignVCenter, self.text)


@standIn
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.checkable = True
        self.toggled.connect(self._showContents)

    @QtCore.Property(bool)
    def collapsed(self) -> bool:
        return not self.checked

    @collapsed.setter
    def collapsed(self, value: bool) -> None:
        self.checked = not value

    setCollapsed = setterOf("collapsed")

    def _showContents(self, shown: bool) -> None:
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(shown)


@standIn
class ctkSliderWidget(QtWidgets.QWidget):
    """A slider and a spin box that show one number."""

    signals = ("valueChanged(double)", "valueIsChanging(double)")
    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    tracking = attribute(bool, "tracking", True)
    unitAwareProperties = attribute(int, "unitAwareProperties", 0)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self._slider.minimum, self._slider.maximum = 0, 1000
        self._box = QtWidgets.QDoubleSpinBox(self)
        row.addWidget(self._slider)
        row.addWidget(self._box)
        self._box.valueChanged.connect(self._onNumber)
        self._slider.valueChanged.connect(self._onSlider)

    @QtCore.Property(float)
    def value(self) -> float:
        return self._box.value

    @value.setter
    def value(self, number: float) -> None:
        self._box.value = float(number)

    @QtCore.Property(float)
    def minimum(self) -> float:
        return self._box.minimum

    @minimum.setter
    def minimum(self, number: float) -> None:
        self._box.minimum = float(number)
        self._moveSlider()

    @QtCore.Property(float)
    def maximum(self) -> float:
        return self._box.maximum

    @maximum.setter
    def maximum(self, number: float) -> None:
        self._box.maximum = float(number)
        self._moveSlider()

    @QtCore.Property(float)
    def singleStep(self) -> float:
        return self._box.singleStep

    @singleStep.setter
    def singleStep(self, number: float) -> None:
        self._box.singleStep = float(number)

    pageStep = attribute(float, "pageStep", 10.0)

    @QtCore.Property(int)
    def decimals(self) -> int:
        return self._box.decimals

    @decimals.setter
    def decimals(self, number: int) -> None:
        self._box.decimals = number

    @QtCore.Property(str)
    def suffix(self) -> str:
        return self._box.suffix

    @suffix.setter
    def suffix(self, words: str) -> None:
        self._box.suffix = words

    setValue = setterOf("value")
    setMinimum = setterOf("minimum")
    setMaximum = setterOf("maximum")
    setSingleStep = setterOf("singleStep")
    setDecimals = setterOf("decimals")
    setSuffix = setterOf("suffix")

    def setRange(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def _onNumber(self, number: float) -> None:
        self._moveSlider()
        self.valueIsChanging.emit(number)
        self.valueChanged.emit(number)

    def _onSlider(self, place: int) -> None:
        self._box.value = self.minimum + (self.maximum - self.minimum) * place / 1000

    def _moveSlider(self) -> None:
        width = self.maximum - self.minimum
        self._slider.blockSignals(True)
        self._slider.value = round(1000 * (self.value - self.minimum) / width) if width else 0
        self._slider.blockSignals(False)


@standIn
class ctkDoubleSpinBox(QtWidgets.QWidget):
    signals = ("valueChanged(double)",)
    valueChanged = Signal(float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._box = QtWidgets.QDoubleSpinBox(self)
        row.addWidget(self._box)
        self._box.valueChanged.connect(self.valueChanged)

    for _name, _kind in (("value", float), ("minimum", float), ("maximum", float), ("singleStep", float),
                         ("decimals", int), ("suffix", str), ("prefix", str)):  # fmt: skip
        locals()[_name] = QtCore.Property(
            _kind,
            lambda self, _name=_name: getattr(self._box, _name),
            lambda self, value, _name=_name: setattr(self._box, _name, value),
        )
        locals()[f"set{_name[0].upper()}{_name[1:]}"] = setterOf(_name)


@standIn
class ctkRangeWidget(QtWidgets.QWidget):
    signals = ("valuesChanged(double,double)", "minimumValueChanged(double)", "maximumValueChanged(double)")
    valuesChanged = Signal(float, float)
    minimumValueChanged = Signal(float)
    maximumValueChanged = Signal(float)
    singleStep = attribute(float, "singleStep", 1.0)
    decimals = attribute(int, "decimals", 2)
    suffix = attribute(str, "suffix", "")
    minimum = attribute(float, "minimum", 0.0)
    maximum = attribute(float, "maximum", 99.0)
    minimumValue = attribute(float, "minimumValue", 0.0, "minimumValueChanged")
    maximumValue = attribute(float, "maximumValue", 99.0, "maximumValueChanged")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        for signal in (self.minimumValueChanged, self.maximumValueChanged):
            signal.connect(lambda _: self.valuesChanged.emit(self.minimumValue, self.maximumValue))

    def setRange(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def setValues(self, minimum: float, maximum: float) -> None:
        self.minimumValue, self.maximumValue = minimum, maximum


@standIn
class ctkPathLineEdit(QtWidgets.QWidget):
    signals = ("currentPathChanged(QString)",)
    currentPathChanged = Signal(str)
    currentPath = attribute(str, "currentPath", "", "currentPathChanged")
    settingKey = attribute(str, "settingKey", "")
    showHistoryButton = attribute(bool, "showHistoryButton", True)
    setCurrentPath = setterOf("currentPath")
    Dirs, Files, Readable, Writable = 1, 2, 0x10, 0x20
    filters = attribute(int, "filters", 0)
    nameFilters = attribute("QStringList", "nameFilters", [])

    def addCurrentPathToHistory(self) -> None:
        """The history is not kept here."""


@standIn
class ctkComboBox(QtWidgets.QComboBox):
    defaultText = attribute(str, "defaultText", "")


@standIn
class ctkSearchBox(QtWidgets.QLineEdit):
    showSearchIcon = attribute(bool, "showSearchIcon", False)


@standIn
class ctkMenuButton(QtWidgets.QPushButton):
    pass


@standIn
class ctkPushButton(QtWidgets.QPushButton):
    elideMode = attribute(int, "elideMode", 0)


@standIn
class ctkExpandableWidget(QtWidgets.QFrame):
    pass


@standIn
class ctkFittedTextBrowser(QtWidgets.QTextBrowser):
    pass


@standIn
class ctkMessageBox(QtWidgets.QMessageBox):
    dontShowAgainSettingsKey = attribute(str, "dontShowAgainSettingsKey", "")
    dontShowAgainVisible = attribute(bool, "dontShowAgainVisible", False)


CLASSES = (
    ctkCollapsibleButton, ctkCollapsibleGroupBox, ctkSliderWidget, ctkDoubleSpinBox, ctkRangeWidget, ctkPathLineEdit,
    ctkComboBox, ctkSearchBox, ctkMenuButton, ctkPushButton, ctkExpandableWidget, ctkFittedTextBrowser, ctkMessageBox,
)  # fmt: skip


def make() -> types.ModuleType:
    """The module `ctk`."""
    ctk = types.ModuleType("ctk", __doc__)
    for cls in CLASSES:
        setattr(ctk, cls.__name__, cls)
    return ctk

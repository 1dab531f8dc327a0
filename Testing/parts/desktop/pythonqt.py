"""The module `qt` as Slicer has it, made of PySide6.

Slicer binds Qt with PythonQt, which differs from PySide6 in what panel code touches most:

- a property is an attribute: `button.text` is a string, `button.text = "Run"` sets it;
- `widget.connect("clicked(bool)", f)` connects by signature, answers False for a signal that does not exist, and hands
  a callable no more arguments than it takes; `disconnect` undoes it;
- a widget made in C++ takes no new attributes, so a misspelt property is an error;
- `findChildren` and `children` return tuples; `className()`, `delete()` and `name` exist; `exec` is `exec_`.

Not reproduced: who owns what, enumerations that are plain integers, calls from other threads.
"""

from __future__ import annotations

import ctypes
import inspect
import os
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import shiboken6  # noqa: E402
from PySide6 import QtCore, QtGui, QtNetwork, QtSvg, QtTest, QtUiTools, QtWidgets, QtXml  # noqa: E402

_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools, QtNetwork, QtXml, QtSvg, QtTest)
_PYSIDE_ONLY = {"Signal", "SignalInstance", "Slot", "Property", "ClassInfo", "QEnum", "QFlag", "SIGNAL", "SLOT"}
_METHODS_TOO = {"layout"}  # what PythonQt keeps as a method though PySide6 lists a property of that name
_standIns: set[type] = set()
_beingLoaded: list[str] = []  # .ui files that are being read

_plainConnect = QtCore.QObject.connect
_plainDisconnect = QtCore.QObject.disconnect
_plainProperty = QtCore.QObject.property
_plainSetProperty = QtCore.QObject.setProperty
_plainFindChildren = QtCore.QObject.findChildren
_plainChildren = QtCore.QObject.children
_plainObjectName = QtCore.QObject.objectName
_plainSetObjectName = QtCore.QObject.setObjectName


def standIn(cls: type) -> type:
    """Class decorator: instances behave as objects made in C++ do. They keep their own state in names with `_`.

    `signals`, a tuple of signatures as Slicer documents them ("currentNodeChanged(vtkMRMLNode*)"), says what can be
    connected to by text; the class has a PySide6 signal for each.
    """
    _standIns.add(cls)
    return cls


def attribute(kind: type | str, name: str, default: Any, changed: str = "") -> QtCore.Property:
    """A Qt property of a stand-in that remembers its value, with the signal to emit when it changes."""
    place = f"_{name}Value"

    def get(self: QtCore.QObject) -> Any:
        return self.__dict__.get(place, default)

    def set_(self: QtCore.QObject, value: Any) -> None:
        if get(self) == value:
            return
        self.__dict__[place] = value
        if changed:
            getattr(self, changed).emit(value)

    return QtCore.Property(kind, get, set_)


def setterOf(name: str) -> Callable[[QtCore.QObject, Any], None]:
    """The method that sets such a property, for stand-ins whose C++ class has it as a slot."""
    return lambda self, value: setattr(self, name, value)


@contextmanager
def loadingUi(fileName: str) -> Iterator[None]:
    """Around the reading of a .ui file."""
    _beingLoaded.append(fileName)
    try:
        yield
    finally:
        _beingLoaded.pop()


# ---------------------------------------------------------------------------------------------------- the module


def make() -> types.ModuleType:
    """The module `qt`. Changes PySide6's classes for the whole process; to be called once."""
    _keepNoneAlive()
    qt = types.ModuleType("qt", __doc__)
    for module in _MODULES:
        for name in dir(module):
            if not name.startswith("_") and name not in _PYSIDE_ONLY:
                setattr(qt, name, getattr(module, name))
    classes = _objectClasses()
    for cls in classes:
        _installProperties(cls)
    plain = [(cls, cls.__getattribute__) for cls in classes]
    for cls, getter in plain:
        cls.__getattribute__ = _getting(getter)
        cls.__setattr__ = _setAttribute
    root = QtCore.QObject
    root.name = property(lambda self: _plainObjectName(self), lambda self, value: _plainSetObjectName(self, value))
    root.className = lambda self: self.metaObject().className()
    root.delete = lambda self: shiboken6.delete(self)
    root.findChildren = lambda self, *arguments: tuple(_plainFindChildren(self, *arguments))
    root.children = lambda self: tuple(_plainChildren(self))
    QtCore.QTimer.singleShot = staticmethod(_singleShot)
    for cls in (QtWidgets.QDialog, QtWidgets.QMenu, QtCore.QEventLoop):
        cls.exec_ = cls.exec
    return qt


def _keepNoneAlive() -> None:
    """PySide6 6.12 takes a reference to None away with each void call (measured: 100 in 100 calls of setInterval),
    which ends Python 3.11 after some thousands. From 3.12 on None cannot die."""
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 10**12


def _singleShot(milliseconds: int, receiver: Callable | QtCore.QObject, slot: str = "") -> None:
    """A property of that name hides the static function; Slicer puts it back."""
    timer = QtCore.QTimer(QtWidgets.QApplication.instance())
    QtCore.QTimer.setSingleShot(timer, True)
    timer.timeout.connect(receiver if callable(receiver) else getattr(receiver, slot.partition("(")[0]))
    timer.timeout.connect(timer.deleteLater)
    timer.start(milliseconds)


def _objectClasses() -> list[type]:
    """Every class of QObject's family, bases first."""
    found = {QtCore.QObject}
    for module in _MODULES:
        for name in dir(module):
            cls = getattr(module, name)
            if inspect.isclass(cls) and issubclass(cls, QtCore.QObject):
                found.add(cls)
    return sorted(found, key=lambda cls: len(cls.__mro__))


# ---------------------------------------------------------------------------------------------------- attributes


def _installProperties(cls: type) -> None:
    metaObject = cls.staticMetaObject
    for index in range(metaObject.propertyOffset(), metaObject.propertyCount()):
        described = metaObject.property(index)
        if described.name() not in _METHODS_TOO:
            setattr(cls, described.name(), _pythonProperty(cls, described))


def _pythonProperty(cls: type, described: QtCore.QMetaProperty) -> property:
    name = described.name()
    capital = name[0].upper() + name[1:]
    getters = [getattr(cls, each, None) for each in (name, f"is{capital}", f"has{capital}")]
    getter = next((each for each in getters if callable(each)), None)
    setter = getattr(cls, f"set{capital}", None)
    isText = described.typeName() == "QString"

    def get(self: QtCore.QObject) -> Any:
        return getter(self) if getter is not None else _plainProperty(self, name)

    def set_(self: QtCore.QObject, value: Any) -> None:
        if isText and not isinstance(value, str):
            value = str(value)
        if setter is not None:
            try:
                setter(self, value)
                return
            except TypeError:
                pass  # PythonQt converts more, an integer to an enumeration for one: let Qt try
        if not _plainSetProperty(self, name, value):
            raise ValueError(f"Property '{name}' of {type(self).__name__} does not accept {value!r}")

    return property(get, set_)


def _getting(plain: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """PySide6 answers `connect` itself, whatever the class says, so it has to be caught here."""

    def get(self: QtCore.QObject, name: str) -> Any:
        if name == "connect":
            return types.MethodType(connect, self)
        if name == "disconnect":
            return types.MethodType(disconnect, self)
        return plain(self, name)

    return get


def _setAttribute(self: QtCore.QObject, name: str, value: Any) -> None:
    for cls in type(self).__mro__:
        found = cls.__dict__.get(name)
        if found is None:
            continue
        if isinstance(found, QtCore.Property):
            if not _plainSetProperty(self, name, value):
                raise ValueError(f"Property '{name}' of {type(self).__name__} does not accept {value!r}")
            return
        if hasattr(type(found), "__set__"):
            found.__set__(self, value)
            return
        if _isFromCpp(type(self)) and not isinstance(value, QtCore.SignalInstance):  # PySide6 keeps those it has made
            raise AttributeError(f"'{name}' of {type(self).__name__} cannot be overwritten on a C++ object")
        break
    else:
        if _beingLoaded and isinstance(value, QtCore.QObject) and not name.startswith("_"):
            return  # PySide6 would make each named widget an attribute of the outermost one
        if _isFromCpp(type(self)) and not name.startswith("_"):
            raise AttributeError(
                f"'{name}' does not exist on {type(self).__name__}, and C++ objects take no new attributes"
            )
    self.__dict__[name] = value


def _isFromCpp(cls: type) -> bool:
    return cls in _standIns or cls.__module__.startswith("PySide6")


# ------------------------------------------------------------------------------------------------------- signals


def connect(self: QtCore.QObject, signature: str, target: Callable | QtCore.QObject, slot: str | None = None) -> bool:
    """Connect by signature to a callable, or to an object's slot of that signature; False without such a signal."""
    if isinstance(target, QtCore.QObject):
        target = getattr(target, (slot or "").partition("(")[0])
    how = _howToConnect(self, signature)
    if how is None:
        print(f"connect: {type(self).__name__} has no signal {signature}")
        return False
    trimmed = _trimmed(target)
    how(trimmed)
    self.__dict__.setdefault("_connections", []).append((_normalized(signature), target, trimmed))
    return True


def disconnect(
    self: QtCore.QObject, signature: str = "", target: Callable | None = None, slot: str | None = None
) -> bool:
    """Undo what `connect` made; without a target, for every one; without a signature, for every signal."""
    if isinstance(target, QtCore.QObject):
        target = getattr(target, (slot or "").partition("(")[0])
    made = self.__dict__.get("_connections", [])
    wanted = _normalized(signature)
    ended = [each for each in made if wanted in ("", each[0]) and (target is None or each[1] == target)]
    for each in ended:
        made.remove(each)
        _disconnectOne(self, each[0], each[2])
    return bool(ended)


def _howToConnect(sender: QtCore.QObject, signature: str) -> Callable[[Callable], object] | None:
    if "(" not in signature:
        return None
    normalized = _normalized(signature)
    if sender.metaObject().indexOfSignal(normalized) >= 0:
        return lambda slot: _plainConnect(sender, f"2{normalized}", slot)
    if normalized in _declared(sender):
        return getattr(sender, normalized.partition("(")[0]).connect
    return None


def _disconnectOne(sender: QtCore.QObject, normalized: str, slot: Callable) -> None:
    if sender.metaObject().indexOfSignal(normalized) >= 0:
        _plainDisconnect(sender, f"2{normalized}", slot)
    else:
        getattr(sender, normalized.partition("(")[0]).disconnect(slot)


def _declared(sender: QtCore.QObject) -> Iterator[str]:
    for cls in type(sender).__mro__:
        yield from (_normalized(each) for each in cls.__dict__.get("signals", ()))


def _normalized(signature: str) -> str:
    return bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode()


def _trimmed(target: Callable) -> Callable:
    count = _argumentCount(target)

    def slot(*arguments: Any) -> None:
        target(*(arguments if count is None else arguments[:count]))

    return slot


def _argumentCount(target: Callable) -> int | None:
    """How many positional arguments a function or method takes, by its own code; None for any number, and for what is
    neither: PythonQt hands those all there are, and does not look through decorators or partial objects."""
    function = target.__func__ if inspect.ismethod(target) else target
    if not inspect.isfunction(function) or function.__code__.co_flags & inspect.CO_VARARGS:
        return None
    return function.__code__.co_argcount - inspect.ismethod(target)

"""The module qt behaves as Slicer's, in what panels rely on."""

from __future__ import annotations

import functools

import pytest
import qt
import slicer

pytestmark = pytest.mark.slicer


def test_a_property_is_an_attribute():
    button = qt.QPushButton("Run")
    assert button.text == "Run"
    button.text = "Stop"
    button.checkable = True
    button.click()
    assert (button.text, button.checked, button.enabled) == ("Stop", True, True)


def test_a_text_property_takes_anything_as_text():
    label = qt.QLabel()
    label.text = 3
    assert label.text == "3"


def test_a_slot_gets_no_more_arguments_than_it_takes():
    button = qt.QPushButton()
    button.checkable = True
    seen = []
    assert button.connect("toggled(bool)", lambda: seen.append("none"))
    assert button.connect("toggled(bool)", lambda checked: seen.append(checked))
    button.click()
    assert seen == ["none", True]


def test_arguments_are_counted_in_the_function_itself_as_pythonqt_does():
    button = qt.QPushButton()
    button.checkable = True
    seen = []

    def nothing() -> None:
        seen.append("nothing")

    @functools.wraps(nothing)
    def wrapped(*arguments: object) -> None:
        seen.append(arguments)

    button.connect("toggled(bool)", wrapped)
    button.connect("toggled(bool)", functools.partial(seen.append))
    button.connect("toggled(bool)", lambda given="default": seen.append(given))
    button.click()
    assert seen == [(True,), True, True]


def test_a_signal_that_does_not_exist_cannot_be_connected_to(capsys):
    button = qt.QPushButton()
    assert button.connect("pushed()", print) is False
    assert button.connect("clicked", print) is False  # no signature
    assert "QPushButton has no signal pushed()" in capsys.readouterr().out


def test_a_slot_is_called_until_it_is_disconnected():
    timer = qt.QTimer()
    timer.setInterval(1)
    seen = []

    def tick() -> None:
        seen.append("tick")

    timer.connect("timeout()", tick)
    timer.timeout.emit()
    assert timer.disconnect("timeout()", tick) and not timer.disconnect("timeout()", tick)
    timer.timeout.emit()
    assert seen == ["tick"]


def test_a_method_can_be_disconnected_though_python_makes_a_new_object_of_it_each_time():
    class Panel:
        count = 0

        def onText(self, text: str) -> None:
            self.count += 1

    panel, line = Panel(), qt.QLineEdit()
    line.connect("textChanged(QString)", panel.onText)
    line.text = "a"
    line.disconnect("textChanged(QString)", panel.onText)
    line.text = "b"
    assert panel.count == 1


def test_a_widget_made_in_cpp_takes_no_new_attributes_but_one_of_a_python_class_does():
    class Row(qt.QWidget):
        pass

    with pytest.raises(AttributeError, match="txet"):
        qt.QLabel().txet = "typing error"
    with pytest.raises(AttributeError, match="setText"):
        qt.QLabel().setText = print
    with pytest.raises(AttributeError):
        _ = qt.QLabel().txet
    row = Row()
    row.model = "mine"
    assert row.model == "mine"


def test_children_come_as_tuples_and_names_are_attributes():
    box = qt.QWidget()
    layout = qt.QVBoxLayout(box)
    button = qt.QPushButton()
    button.name = "run"
    layout.addWidget(button)
    assert box.findChildren(qt.QPushButton) == (button,)
    assert isinstance(box.children(), tuple) and box.layout() is layout
    assert (button.objectName, button.className()) == ("run", "QPushButton")


def test_a_deleted_object_says_so():
    label = qt.QLabel("gone")
    label.delete()
    with pytest.raises(RuntimeError, match="deleted"):
        _ = label.text


def test_the_application_turns_its_event_loop(pump):
    seen = []
    qt.QTimer.singleShot(1, lambda: seen.append("later"))
    pump(lambda: bool(seen), timeout=10)


def test_ten_thousand_calls_do_no_harm():
    """PySide6 gives references to None away; Python 3.11 ends when they are spent."""
    label = qt.QLabel()
    for _ in range(10_000):
        label.setText("again")
    assert label.text == "again"


UI = """<ui version="4.0"><class>Panel</class><widget class="qMRMLWidget" name="Panel"><layout class="QVBoxLayout">
<item><widget class="qMRMLNodeComboBox" name="volumeSelector">
 <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
 <property name="noneEnabled"><bool>true</bool></property></widget></item>
<item><widget class="ctkCollapsibleButton" name="memorySection"><property name="text"><string>Memory</string></property>
 <property name="collapsed"><bool>true</bool></property><layout class="QVBoxLayout"><item>
 <widget class="QPushButton" name="clearButton"><property name="text"><string>Clear</string></property></widget>
 </item></layout></widget></item></layout></widget></ui>"""


def test_a_ui_file_of_slicer_is_read_by_slicers_own_function(tmp_path, scene):
    (tmp_path / "Panel.ui").write_text(UI)
    widget = slicer.util.loadUI(str(tmp_path / "Panel.ui"))
    ui = slicer.util.childWidgetVariables(widget)
    widget.setMRMLScene(scene)
    assert ui.volumeSelector.noneEnabled and tuple(ui.volumeSelector.nodeTypes) == ("vtkMRMLScalarVolumeNode",)
    assert ui.volumeSelector.mrmlScene() is scene
    assert (ui.memorySection.text, ui.memorySection.collapsed, ui.clearButton.text) == ("Memory", True, "Clear")
    widget.show()
    assert not ui.clearButton.visible
    ui.memorySection.collapsed = False
    assert ui.clearButton.visible

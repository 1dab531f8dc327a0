"""Icons of the prompt tools, painted, so that they follow the colours of the user's desktop."""

from __future__ import annotations

import qt

_SIZE = 20
_SCRIBBLE = ((3, 14), (6, 6), (10, 13), (13, 5), (17, 12))


def toolIcon(tool: str, color: qt.QColor) -> qt.QIcon:
    """Of one of MemSegSlicerLib.Strokes.TOOLS."""
    picture = qt.QPixmap(_SIZE, _SIZE)
    picture.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter(picture)
    painter.setRenderHint(qt.QPainter.Antialiasing)
    painter.setPen(qt.QPen(color, 1.8))
    if tool == "click":
        painter.drawEllipse(4, 4, 12, 12)
        painter.setBrush(qt.QBrush(color))
        painter.drawEllipse(8, 8, 4, 4)
    elif tool == "box":
        painter.drawRect(3, 5, 14, 11)
    elif tool == "scribble":
        for (startX, startY), (endX, endY) in zip(_SCRIBBLE, _SCRIBBLE[1:]):
            painter.drawLine(startX, startY, endX, endY)
    else:
        painter.drawEllipse(3, 3, 14, 10)
        painter.drawLine(7, 13, 5, 18)
    painter.end()
    return qt.QIcon(picture)

"""The Segment Editor effect. Import this package before the effect is registered: Slicer looks its class up here."""

from .SegmentEditorMemSegEffect import SegmentEditorMemSegEffect

__all__ = ["SegmentEditorMemSegEffect"]

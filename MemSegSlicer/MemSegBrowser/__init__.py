"""The browser application of MemSegSlicer, composed from the parts of trame-slicer."""

"""MRML-only library of MemSegSlicer: one scene, one worker, one session per segment; no Qt, no trame."""

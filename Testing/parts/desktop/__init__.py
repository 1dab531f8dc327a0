"""Slicer's desktop without Slicer: the modules `qt` and `ctk`, `slicer.app` and the widgets of scripted modules.

Qt itself is real (PySide6, offscreen), and so are MRML and the editor's logic (slicer-core); what the wheels lack is
stood in for, on top of them. `desktop.application.install()` puts everything in its place.
"""

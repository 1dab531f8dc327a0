"""Measuring propagation: objects followed from true slices, and corrected slice by slice."""

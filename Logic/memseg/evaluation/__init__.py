"""Measuring segmenters: labelled data sets, simulated clicks, metrics, reports."""

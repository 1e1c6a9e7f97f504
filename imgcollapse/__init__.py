"""Measures model collapse in image generators that are trained on their own pictures."""

__version__ = "0.1.0"

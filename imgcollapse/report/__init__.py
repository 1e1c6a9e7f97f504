"""Pictures of a run, made from its folder alone, half-finished ones too."""

from imgcollapse.report.figures import draw

__all__ = ["draw"]

"""Pictures of a run or an ablation, made from its folder alone, half-finished ones too."""

from imgcollapse.report.ablation_figures import draw_ablation
from imgcollapse.report.figures import draw

__all__ = ["draw", "draw_ablation"]

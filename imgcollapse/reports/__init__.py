"""Pictures and pages of a run or an ablation, made from its folder alone, half-finished ones too."""

from pathlib import Path

from imgcollapse import progress
from imgcollapse.files import digest_of, ledger
from imgcollapse.reports.ablation_figures import draw_ablation
from imgcollapse.reports.agreement import disagreements
from imgcollapse.reports.chains import PAGE
from imgcollapse.reports.figures import draw
from imgcollapse.reports.findings import Findings, read
from imgcollapse.reports.page import NOTED, Written, claim, write
from imgcollapse.reports.pictures import folder_beside

__all__ = ["PAGE", "Findings", "Written", "beside", "claim", "disagreements", "draw", "draw_ablation", "read", "write"]


def beside(findings: Findings, page: Path) -> list[Path]:
    """Writes what lies beside a page, in the folder of its name: the collapse as a moving picture, figures for a paper, and a text for a
    pull request."""
    from imgcollapse.reports.markdown import markdown
    from imgcollapse.reports.movie import movie
    from imgcollapse.reports.paper import figures

    folder = folder_beside(page)
    ledger.note(folder, NOTED, digest_of(page))
    parts = (movie, figures, markdown)
    return [path for _, part in zip(progress.steps(len(parts), "beside it"), parts, strict=True) for path in part(findings, folder)]

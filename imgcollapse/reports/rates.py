"""The table of a page that says how fast the endpoint's curve of every arm approaches its limit."""

from imgcollapse.ablation.summary import rate_rows
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.tables import Table


def rates(findings: Findings) -> Table | None:
    """An arm a row, an extractor that decides a column; None for a single run, and where there are too few generations to fit a rate."""
    headings, rows = rate_rows(findings.summary)
    if not findings.is_ablation or not rows:
        return None
    records = [{**one, "null": one["null"] or ""} for one in findings.summary["rates"]]
    return Table("rates", "Share of the distance to its limit that a generation covers [95 %]", headings, rows, records)

"""The tables of a page that rank generators."""

from imgcollapse.ablation.summary import ranking_tables
from imgcollapse.judges.titles import metric_title
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.tables import Table


def rankings(findings: Findings) -> list[Table]:
    """A table for each of the arms and axes with which the generators cross; none where there are no generators to rank."""
    found = []
    for number, (ranking, headings, rows) in enumerate(ranking_tables(findings.summary)):
        beside = f"; {ranking['beside']}" if ranking["beside"] else ""
        title = metric_title(ranking["metric"], ranking["extractors"][0], short=True)
        caption = f"Generators by {title}, generation {ranking['generation']}{beside}"
        of_all = {name: ranking[name] for name in ("beside", "metric", "quantity", "generation")}
        found.append(Table(f"ranking-{number}", caption, headings, rows, [{**of_all, **one} for one in ranking["pairs"]]))
    return found

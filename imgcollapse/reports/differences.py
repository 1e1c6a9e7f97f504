"""The tables of a page that say what every arm adds to the reference, and how probable it is that it is better."""

from collections.abc import Sequence

from imgcollapse.ablation.summary import Record, comparisons, spanned
from imgcollapse.ablation.summary.sentence import deciding, subject
from imgcollapse.ablation.summary.superior import BETTER, in_words
from imgcollapse.ablation.summary.text import columns
from imgcollapse.judges.titles import metric_title, source_title
from imgcollapse.reports.findings import Findings
from imgcollapse.reports.tables import Table

MOST = 5  # scores that a table has room for


def differences(findings: Findings) -> list[Table]:
    """A table an extractor: arm by arm the paired differences from the reference at the last generation, each with P(better).

    Not adjusted for several comparisons, as the endpoint in the first sentence is.
    """
    reference, wanted = findings.summary["reference"], columns(findings.summary, MOST)
    against = [
        one for one in findings.summary["differences"] if (one["against"], one["null"], one["against_null"]) == (reference, None, None)
    ]
    found = [(extractor, [one for one in against if extractor in one["extractors"]]) for extractor in findings.extractors]
    return [_table(findings, extractor, arms, wanted[extractor]) for extractor, arms in found if arms]


def decided(findings: Findings) -> Table | None:
    """All comparisons of the endpoint, from which the answer follows: by every extractor that decides, with the adjusted intervals.

    None where the answer tells all there is: of one arm, of one comparison by one extractor, and where a ranking stands in its place.
    """
    endpoint = findings.summary["endpoint"]
    if not findings.is_ablation or not comparisons(findings.summary):
        return None
    extractors, words = deciding(endpoint), {"same": f"same to within {endpoint['margin'] or 0:g}", "open": "undecided"}
    rows = []
    for one in endpoint["found"]:
        sides = {endpoint["extractor"]: one, **one["beside"]}
        cells = [spanned(sides[name], endpoint["metric"], "+") if name in sides else "" for name in extractors]
        rows.append([one["arm"], words.get(one["verdict"], one["verdict"]), *cells, str(one["n"])])
    adjusted = f", Holm-adjusted over {endpoint['comparisons']} comparisons" * (endpoint["comparisons"] > 1)
    every = "; a verdict needs all extractors" * (len(extractors) > 1)
    last = max(one["generation"] for one in endpoint["found"])
    known = any(one["low"] is not None for one in endpoint["found"])
    interval = f" [95 % interval{adjusted}]" if known else ", seed by seed; an interval takes three"
    caption = f"{subject(endpoint, last)}, minus that with “{endpoint['against']}”{interval}{every}"
    headings = ["arm", "verdict", *map(source_title, extractors), "paired seeds"]
    return Table("endpoint", f"{caption[0].upper()}{caption[1:]}", headings, rows, endpoint["found"])


def _table(findings: Findings, extractor: str, arms: Sequence[Record], wanted: Sequence[str]) -> Table:
    measured = [(one["arm"], one["extractors"][extractor]) for one in arms]
    names = [name for name in wanted if any(name in metrics for _, metrics in measured)]
    rows = []
    for arm, metrics in measured:
        spans = [metrics[name]["last"] if name in metrics else None for name in names]
        last = next((span for span in spans if span is not None), None)
        about = [arm, *(("", "") if last is None else (str(last["generation"]), str(last["n"])))]
        cells = [
            ("", "") if span is None else (spanned(span, name, "+"), in_words(span["probability_better"]))
            for name, span in zip(names, spans, strict=True)
        ]
        rows.append([*about, *(part for cell in cells for part in cell)])
    records = [
        {"arm": arm, "against": findings.summary["reference"], "extractor": extractor, "metric": name, "quantity": quantity, **span}
        for arm, metrics in measured
        for name, quantities in metrics.items()
        for quantity, span in quantities.items()
    ]
    other = "" if extractor == findings.extractor else f"-{extractor}"
    caption = f"Paired differences from “{findings.summary['reference']}” [95 % interval], {source_title(extractor)}"
    headings = [part for name in names for part in (metric_title(name, extractor, short=True), BETTER)]
    return Table(f"differences{other}", caption, ["arm", "generation", "paired seeds", *headings], rows, records)

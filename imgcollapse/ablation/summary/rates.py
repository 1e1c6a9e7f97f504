"""How fast the endpoint's curve of every arm approaches its limit: a record for programs, and lines for people."""

from imgcollapse.ablation.rate import fitted_rate
from imgcollapse.ablation.summary.numbers import Judged, common
from imgcollapse.ablation.summary.sentence import deciding
from imgcollapse.ablation.summary.table import Record
from imgcollapse.ablation.summary.text import named
from imgcollapse.judges.titles import metric_title


def rates_record(endpoint: Record | None, judged: Judged) -> list[Record]:
    """`rates` of the summary, see the head of `imgcollapse/ablation/summary/__init__.py`; of seeds that have come as far as any."""
    if endpoint is None:
        return []
    found, metric = [], endpoint["metric"]
    for extractor in deciding(endpoint):
        for (arm, null), by_extractor in judged.items():
            seeds = list(by_extractor.get(extractor, {}).get(metric, {}).values())
            if not seeds:
                continue
            through = max(one.generations[-1] for one in seeds)
            reached = [one for one in seeds if one.generations[-1] == through]
            there = common(reached)
            rate = fitted_rate(there, [[one.values[g] for g in there] for one in reached])
            about = {"arm": arm, "null": null, "extractor": extractor, "metric": metric}
            fitted = {"rate": rate.rate, "low": rate.low, "high": rate.high, "n": rate.n, "rises": rate.rises, "words": rate.words}
            found.append({**about, "generation": through, **fitted})
    return found


def rate_lines(summary: Record) -> list[str]:
    """A sentence for each extractor that decides, with the rate of every arm; null models aside, and none where no rate was fitted."""
    rates = [one for one in summary.get("rates", ()) if one["null"] is None]
    found = []
    for extractor in dict.fromkeys(one["extractor"] for one in rates if one["rate"] is not None):
        own = [one for one in rates if one["extractor"] == extractor]
        words = "; ".join(f"{one['arm']}: {one['words']}" for one in own)
        title = metric_title(own[0]["metric"], extractor, short=True)
        found.append(f"{title} ({extractor}), share of the distance to its limit that a generation covers: {words}")
    return found


def rate_rows(summary: Record) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table: an arm a row, null models too, an extractor a column; no rows where no rate was fitted."""
    rates = summary.get("rates", [])
    extractors = list(dict.fromkeys(one["extractor"] for one in rates))
    words = {(one["arm"], one["null"], one["extractor"]): one["words"] for one in rates}
    arms = dict.fromkeys((one["arm"], one["null"]) for one in rates)
    rows = [[named(arm, null), *(words.get((arm, null, extractor), "") for extractor in extractors)] for arm, null in arms]
    heads = [f"{metric_title(rates[0]['metric'], extractor, short=True)} ({extractor})" for extractor in extractors]
    return ["arm", *heads], rows if any(one["rate"] is not None for one in rates) else []

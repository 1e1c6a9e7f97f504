"""What came out, sentence by sentence, as the terminal prints it."""

from imgcollapse.ablation.summary.short import comparisons, short_answer
from imgcollapse.ablation.summary.superior import likely
from imgcollapse.ablation.summary.table import Record
from imgcollapse.ablation.summary.text import columns, half_lives, named, spanned
from imgcollapse.judges.titles import metric_title


def headline(summary: Record) -> list[str]:
    """What came out, in plain sentences: the answer, what it follows from, the arms' differences from the reference, their half-lives.

    Null models are left to `summary.json` and the table.
    """
    answer, wanted = short_answer(summary, summary.get("question") or ""), columns(summary)
    found = [f"{text[0].upper()}{text[1:]}." for text in (answer, comparisons(summary)) if text]
    for one in (one for one in summary["differences"] if one["against_null"] is None):
        for extractor, metrics in one["extractors"].items():
            spans = {name: metrics[name]["last"] for name in wanted[extractor] if name in metrics}
            if spans:
                last = next(iter(spans.values()))
                pair = f"{named(one['arm'], one['null'])} minus {named(one['against'], one['against_null'])}"
                where = f"generation {last['generation']}, {extractor}, {last['n']} paired seed{'s' if last['n'] > 1 else ''}"
                parts = [
                    f"{metric_title(name, extractor, short=True)} {spanned(span, name, '+')}{likely(span)}" for name, span in spans.items()
                ]
                found.append(f"{pair} ({where}): {', '.join(parts)}")
    for arm, extractor, words in half_lives(summary):
        found.append(f"{arm} ({extractor}), first generation below half of generation 0: {words}")
    return found

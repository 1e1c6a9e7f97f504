"""What an ablation found: a tidy table of all scores, and means, differences and collapse numbers with intervals over seeds.

`rows` reads run folders, `summarise` makes of the rows a record of plain JSON values. SPAN stands for "mean", "low", "high", "n", "values":
a 95 % interval over n seeds; with one or two seeds low and high are null, and the values are those of the seeds (else there are none); with
no seed the mean is null too. TIME stands for {"generation": null or the median over seeds, "within": generations seen, "reached": seeds to
which it happened, "of": seeds to which it could, "words": all of it}.

    {"method": how intervals are made, and "scope": what all seeds have in common, a sentence each
     "reference": the arm that others are compared with
     "endpoint": null (nothing is measured), or what decides the question: {"metric", "quantity", "extractor": the leading one,
               "margin": null or by how much arms may differ that are called the same,
               "named": "by default", "before the runs" or "after the runs",
               "pilot": the seeds whose spread decided how many there are (else none),
               "against": the reference, or null (one arm alone: its change since generation 0; of slope and area, from 0),
               "comparisons": of the arms asked for,
               "answer": "yes", "no" or "cannot tell",
               "found": [{"arm", "verdict": "higher", "lower", "same" or "open"; open too where not all extractors say the same,
                          "generation", "level": of the intervals by Holm, "probability_better", SPAN,
                          "beside": {EXTRACTOR: {"generation", "verdict", "level", "probability_better", SPAN}}, what the other extractors
                                    that decide say}]}
     "rates": [{"arm", "null", "extractor": one that decides, "metric": that of the endpoint, "generation",
               "rate": null (too few generations) or the share of the distance to its end that the curve covers in a generation,
               "low", "high": null or the rates that the seeds do not contradict (95 %), "n", "rises", "words"}],
     "rankings": [{"beside": what else the generators' arms have in common (`models` or an axis `model`; else there is no ranking),
                   "metric", "quantity", "margin", "extractors": of the endpoint, "generation", "comparisons": pairs of generators,
                   "ranks": [{"model", "arm", "first", "last": the ranks that the comparisons leave to it, "tied": generators to which it
                              is neither before nor behind, "mean", "generation", "n": by the leading extractor, "planned": seeds,
                              "by": {EXTRACTOR: SPAN}}], the best mean first,
                   "pairs": [{"model", "against", "side": of the model, "before", "behind", "same" or "open", and as in "found" of the
                              endpoint, Holm-adjusted over the comparisons}], of the pairs that have come as far as any,
                   "views": [{"extractor", "metric", "order": as that of the endpoint: "same", "other" or "undecided", "decided": pairs}],
                   "reversals": [{"model", "against", "with_judge": by one metric, "with_metric": by one extractor,
                                  "before", "behind": [{"extractor", "metric", "level", "probability_better", SPAN}]}]}],
     "arms": [{"arm", "null": null or the null model's name, "model", "regime", "gens": generations asked for,
               "planned": all seeds, "seeds": those with scores,
               "extractors": {EXTRACTOR: {METRIC: {
                 "real": null (the metric has no real-vs-real value) or {"mean", "low", "high"}, means over seeds,
                 "by_generation": [{"generation", SPAN}],
                 "last":  {"generation", SPAN, "unit"},
                 "slope": {"generation", SPAN, "unit", "scale"},
                 "area":  {"generation", SPAN, "unit"},                                           (metrics that have "real" only)
                 "half":  TIME                                                        (metrics that are `halved` in SCORES only)
               }}},
               "lost": {EXTRACTOR: {CLASS: TIME}}}]
     "differences": [{"arm", "null", "against", "against_null",
               "extractors": {EXTRACTOR: {METRIC: {
                 QUANTITY: {"generation", SPAN, "unit", "probability_better"}                                  (last, slope, area)
               }}}}]
     "warnings": [{"arm", "null",
               "halves": null or when recall falls below half of generation 0: {"extractor", "generation", "words"},
               "scores": [{"extractor", "metric", TIME: when it left real vs real for good (`ablation/warning.py`), in this order,
                           "already": seeds in which it was outside at generation 0, "worse", "better": seeds in which it left on that side,
                           "lead": by how many generations before recall (by that extractor, else by the one of "halves") halved, of the
                           seeds in which both happened}]}]}

"probability_better" is the posterior probability that the expected paired difference favours the arm (`ablation/superiority.py`); null
where there is no interval. (Of one arm alone: that it is better than at generation 0.)

METRIC is an entry of SCORES; the shares of single classes are in the table only. CLASS is the number of a class, as text, lost since the
generation from which on `share_alive_CLASS` is 0 up to the last one seen; seeds in which it is 0 among real ones do not count. "generation"
in a SPAN is the last one that went in: "last" is the value there, "slope" and "area" are of generations 0 to there. In an arm it is the
farthest that any seed has come, and only seeds that have come as far count, which n says; a TIME uses all seeds, those cut short as
censored. Differences are paired by seed, up to the last generation that some seed has in both arms: every arm against the reference (null
models aside), and every arm against its own null models.
A chain is the judged generations in order up to the first that should have been judged (`judge.every` of the study) and is not; of a judge
that the study does not name, all that it has judged. Runs and sides are compared at the generations that all of them have. Where not every
generation was judged, a TIME is the first judged one after what happened, and its words say "at the latest".
"""

from imgcollapse.ablation.summary.headline import headline
from imgcollapse.ablation.summary.numbers import QUANTITIES, losses
from imgcollapse.ablation.summary.ranked import ranking_lines, ranking_tables
from imgcollapse.ablation.summary.rates import rate_lines, rate_rows
from imgcollapse.ablation.summary.sentence import endpoint_text, quoted, sentence
from imgcollapse.ablation.summary.short import comparisons, short_answer
from imgcollapse.ablation.summary.table import COLUMNS, SCORES_CSV, Record, Run, rows, write_csv
from imgcollapse.ablation.summary.text import named, spanned, table_lines
from imgcollapse.ablation.summary.whole import summarise

__all__ = [
    "COLUMNS",
    "QUANTITIES",
    "SCORES_CSV",
    "Record",
    "Run",
    "comparisons",
    "endpoint_text",
    "headline",
    "losses",
    "named",
    "quoted",
    "ranking_lines",
    "ranking_tables",
    "rate_lines",
    "rate_rows",
    "rows",
    "sentence",
    "short_answer",
    "spanned",
    "summarise",
    "table_lines",
    "write_csv",
]

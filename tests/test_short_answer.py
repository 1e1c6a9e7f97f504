"""The first sentence: its form follows from the question's, it has at most three numbers, and it says no more than the intervals."""

import re
from typing import Any

import pytest

from imgcollapse.ablation.comparisons import Difference, verdict
from imgcollapse.ablation.summary import comparisons, short_answer
from imgcollapse.ablation.summary.decided import _word
from imgcollapse.ablation.summary.short import kind_of

MARGIN, SEEDS = 0.05, 3
HIGHER, LOWER, SAME, OPEN = (0.30, 0.31, 0.32), (-0.40, -0.41, -0.42), (0.0, 0.001, -0.001), (0.3, -0.2, 0.1)


def found(arm: str, values: tuple[float, ...]) -> dict[str, Any]:
    """A comparison as the summary has it."""
    over = Difference.of(dict(enumerate(values)), ()).interval(0.95, (None, None))
    span = {"mean": over.mean, "low": over.low, "high": over.high, "n": over.n, "values": list(over.values)}
    return {"arm": arm, "generation": 9, "level": 0.95, "verdict": verdict(over, MARGIN), "probability_better": None, "beside": {}, **span}


def asked(**arms: tuple[float, ...]) -> dict[str, Any]:
    """A summary whose endpoint compares these arms with `none`."""
    said = [found(arm.replace("_", " "), values) for arm, values in arms.items()]
    what = type("Compared", (), {"metric": "coverage", "others": list(arms)})()
    endpoint = {"metric": "coverage", "quantity": "last", "extractor": "pixels", "margin": MARGIN, "named": "by default"}
    endpoint |= {"against": "none", "comparisons": len(arms), "found": said}
    return {"endpoint": endpoint | {"answer": _word(what, "last", False, [one["verdict"] for one in said])}, "arms": []}


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Does it collapse?", "whether"),
        ("Is FD enough", "whether"),
        ("", "whether"),
        ("Which classes go first, and is that chance?", "which"),
        ("With which remedy is less lost?", "which"),
        ("How much is lost?", "how much"),
        ("“How much is lost?”", "how much"),
        ("How do these runs compare?", "other"),
        ("How many seeds does it take?", "other"),
        ("What is lost?", "other"),
        ("Retention on MNIST", "other"),
    ],
)
def test_the_first_words_of_a_question_say_what_answer_it_wants(question: str, kind: str) -> None:
    assert kind_of(question) == kind


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Does it help?", "yes: coverage at generation 9 is higher with half than with none by 0.310 [0.285, 0.335]; undecided with some"),
        ("Which helps?", "half: coverage at generation 9 is higher than with none by 0.310 [0.285, 0.335]; undecided with some"),
        ("How much?", "by 0.310 [0.285, 0.335]: coverage at generation 9 is higher with half than with none; undecided with some"),
        (
            "What helps?",
            "they differ: coverage at generation 9 is higher with half than with none by 0.310 [0.285, 0.335]; undecided with some",
        ),
    ],
)
def test_the_answer_has_the_form_that_the_question_asks_for(question: str, said: str) -> None:
    assert short_answer(asked(half=HIGHER, some=OPEN), question) == said


@pytest.mark.parametrize("question", ["Does it?", "Which?", "How much?", "What?"])
@pytest.mark.parametrize(
    "arms",
    [
        {"half": HIGHER, "all": (0.5, 0.52, 0.54), "bad": LOWER, "same": SAME, "some": OPEN},
        {"same": SAME, "alike": SAME},
        {"some": OPEN},
        {"some": OPEN, "other": OPEN, "same": SAME},
        {"few": (0.3, 0.4)},
        {f"arm_{letter}": HIGHER for letter in "abcdefgh"},
        {"tiny": (0.010, 0.011, 0.012)},
    ],
)
def test_no_answer_has_more_than_three_numbers_and_none_says_yes_to_what_is_no_yes_or_no_question(
    question: str, arms: dict[str, tuple[float, ...]]
) -> None:
    said = short_answer(asked(**arms), question)
    numbers = re.findall(r"[-+]?\d+\.\d+", said)
    assert len(numbers) <= 3, said
    if question != "Does it?":
        assert not re.match("yes|no:", said), said
    higher = [arm for arm, values in arms.items() if min(values) > 0 and len(values) > 2]
    assert ("is higher" in said) == bool(higher), said
    assert ("within the margin" in said) == any(arm in arms for arm in ("same", "tiny")) or said.startswith(
        ("no", "none", "by no", "they are")
    )


def test_the_better_arms_come_first_and_of_many_a_word_says_how_many() -> None:
    said = asked(bad=LOWER, half=HIGHER, all=(0.5, 0.52, 0.54))
    assert short_answer(said, "Which helps?") == (
        "half and all: coverage at generation 9 is higher than with none, most with all: by 0.520 [0.470, 0.570]; lower with bad"
    )
    many = asked(**{f"arm_{letter}": HIGHER for letter in "abcdefgh"})
    assert short_answer(many, "Which helps?").startswith("eight arms: ")
    assert short_answer(many, "Does it?").endswith("; higher too with seven arms")
    assert len(comparisons(many)) > len(short_answer(many)) and comparisons(asked(half=HIGHER)) == "", "the answer has said it"


def test_what_is_the_same_is_no_difference() -> None:
    same = asked(half=SAME, all=SAME)
    assert short_answer(same, "Does it?") == "no: coverage at generation 9 is the same with half and all as with none, to within 0.05"
    assert short_answer(same, "Which?").startswith("none: ") and short_answer(same, "How much?").startswith("by no more than 0.05: ")
    assert short_answer(same, "What?").startswith("they are the same: ")


def test_an_endpoint_that_was_named_after_the_runs_is_said_to_be() -> None:
    late = asked(half=HIGHER)
    late["endpoint"]["named"] = "after the runs"
    assert short_answer(late, "Does it?").endswith(" (endpoint named after the runs)")


def ranked(*ranks: tuple[str, int, int], pairs: tuple[Any, ...] = ()) -> dict[str, Any]:
    """A summary that ranks generators: name, first and last rank."""
    rows = [{"model": model, "first": first, "last": last, "n": 3} for model, first, last in ranks]
    ranking = {"beside": "", "metric": "coverage", "quantity": "last", "generation": 9, "extractors": ["pixels"], "ranks": rows}
    return {**asked(b=HIGHER), "rankings": [{**ranking, "pairs": list(pairs)}]}


def test_which_generator_is_answered_by_the_ranking() -> None:
    pair = {**found("", (0.1, 0.11, 0.12)), "model": "mixture", "against": "b"}
    first = ranked(("mixture", 1, 1), ("b", 2, 3), ("c", 2, 3), pairs=(pair,))
    assert short_answer(first, "Which generator keeps most?") == (
        "mixture: by coverage at generation 9 it ranks before all others, 0.110 [0.085, 0.135] from b, the next by its mean"
    )
    assert comparisons(first) == "" and short_answer(first, "Does it help?").startswith("yes: "), "what the endpoint says"
    tied = ranked(("a", 1, 2), ("b", 1, 2), ("c", 3, 3))
    assert short_answer(tied, "Which?") == "a or b: by coverage at generation 9, no generator ranks before any of them"
    alone = ranked(("a", 1, 2), ("b", 2, 3), ("c", 2, 3))
    assert short_answer(alone, "Which?") == "a: by coverage at generation 9, no generator ranks before it"
    open_ = ranked(("a", 1, 2), ("b", 1, 2), pairs=(pair,))
    assert short_answer(open_, "Which?") == "cannot tell with 3 seeds: by coverage at generation 9 none of a and b ranks before another"


def test_what_leaves_it_open_is_shown_where_judges_do_not_say_the_same() -> None:
    """The interval of the features that lead would look like an answer."""

    def with_random(values: tuple[float, ...]) -> str:
        said = asked(half=HIGHER)
        (one,) = said["endpoint"]["found"]
        beside = found("half", values)
        one |= {"verdict": "open", "beside": {"random": beside}}
        said["endpoint"]["answer"] = "cannot tell"
        return short_answer(said, "Does it?").partition("against none, ")[2]

    assert with_random(OPEN).startswith("for it is higher by the features of pixels but undecided by the features of random, +")
    assert with_random(LOWER) == "for it is higher by the features of pixels but lower by the features of random"

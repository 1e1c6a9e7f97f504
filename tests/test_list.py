"""`imgcollapse list NAME` for the names that stand in tables and CSV."""

import csv
from pathlib import Path

import pytest
from terminal import call, done

from imgcollapse.cli import about, listing
from imgcollapse.metrics import METRICS
from imgcollapse.metrics.details import DETAILS
from imgcollapse.metrics.scores import SCORES


def test_every_score_is_explained_with_its_metric_and_direction() -> None:
    for name, score in SCORES.items():
        first, second, *_ = listing.explained(name)
        (metric,) = (own for own, one in METRICS.items() if name in one.scores)
        assert first == f"{name} (score of the metric {metric}): {score.title}: {score.meaning}"
        assert second.startswith(f"{score.better} is better; ")
        assert listing.explained(score.title)[0] == first, "the heading of a table is known too"
    said = done("list", "fd").stdout
    assert said.startswith("fd (score of the metric frechet_distance): Fréchet distance (FD): ") and "lower is better" in said
    assert done("list", "FID").stdout == said
    both = done("list", "within_class_distance").stdout
    assert "within_class_distance (metrics)" in both and "(score of the metric within_class_distance)" in both


def test_every_name_in_the_table_of_a_run_is_explained(grid: Path) -> None:
    """Details of classes too; a name that nothing gives is not."""
    with (grid / "ablation.csv").open(newline="", encoding="utf-8") as file:
        names = {row["metric"] for row in csv.DictReader(file)}
    assert {"share_3", "recall_0", "fd"} <= names
    assert not [name for name in names if not listing.explained(name)]
    assert listing.explained("share_3")[0].startswith("share_3 (detail of the metric class_variety): share of the confident pictures")
    assert "class 7" in listing.explained("share_lost_7")[0]
    assert not listing.explained("share_") and not listing.explained("nothing_3")


def test_details_name_metrics_that_are_there() -> None:
    assert {metric for metric, _ in DETAILS.values()} <= METRICS.keys()


@pytest.mark.parametrize(
    ("name", "title"), [("models", "models"), ("datasets", "data sets"), ("data-sets", "data sets"), ("Metric", "metrics")]
)
def test_a_group_is_listed_by_its_heading(name: str, title: str) -> None:
    lines = done("list", name).stdout.splitlines()
    assert lines[0].rstrip() == title
    assert [line.split()[0] for line in lines[1:] if line.startswith("  ") and line[2:3].strip()] == list(about.TABLES[title])


def test_a_mistyped_score_is_told_the_right_one() -> None:
    wrong = call("list", "recal")
    assert (
        wrong.exit_code == 2
        and wrong.stderr == "imgcollapse: list: there is no 'recal'; did you mean 'recall'? `imgcollapse list` shows all names\n"
    )

"""The tables of docs/results, on an ablation written by hand; and what is published of a small one."""

import gzip
import json
import runpy
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from terminal import done

from imgcollapse.ablation import plan
from imgcollapse.ablation.summary import spanned

ROOT = Path(__file__).parent.parent
COUNTS = [123, 88, 63, 45, 32, 23, 17, 12, 9, 6]  # of the bundled digits with imbalance 20


def script(*arguments: object) -> str:
    """`python scripts/results.py` with these arguments, in this process."""
    main = runpy.run_path(str(ROOT / "scripts" / "results.py"))["main"]
    finished = CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)
    assert finished.exit_code == 0, finished.output
    return finished.stdout


def test_shares_are_divided_by_the_true_shares_of_the_training_part(tmp_path: Path) -> None:
    """Twice the real share of class 8 with one seed and none with the other; real vs real says something else."""
    (tmp_path / "ablation.yaml").write_text("base: {dataset: {kind: digits, imbalance: 20}, model: gmm}\narms: {none: {}}\nseeds: 2\n")
    rows = ["arm,model,null,regime,seed,generation,extractor,metric,value,real,real_low,real_high,n"]
    for seed, times in ((0, 2.0), (1, 0.0)):
        for generation in (0, 1):
            shares = [count / 418 * (times if c == 8 and generation else 1) for c, count in enumerate(COUNTS)]
            rows += [
                f"none,gmm,,replace,{seed},{generation},classifier,share_{c},{share},0.5,0.4,0.6,418" for c, share in enumerate(shares)
            ]
    (tmp_path / "ablation.csv").write_text("\n".join(rows) + "\n")
    lines = script("classes", tmp_path, "--arm", "none").splitlines()
    assert lines[0] == "Shares are of 418 pictures drawn."
    assert lines[4] == "| 0 | 29.4 % | 1.00 and 1.00 | 0 of 2 seeds |"
    cells = [cell.strip() for cell in lines[12].strip("|").split("|")]
    assert cells[:2] == ["8", "2.2 %"] and cells[2] == "2.00 and 0.00" and cells[3] == "1 of 2 seeds"
    assert len(lines) == 14 and lines[13].startswith("| 9 | 1.4 % | 1.00 ")


@pytest.mark.slow
def test_what_is_published_can_be_judged_again_by_anybody(grid: Path, tmp_path: Path) -> None:
    """The archive has every sample of the arms, nothing of null models, no network, and no path of the machine that made it."""
    script("publish", grid, tmp_path / "here")
    with tarfile.open(tmp_path / "here" / "samples.tar.xz") as tar:
        tar.extractall(tmp_path / "there", filter="data")
    there, runs = tmp_path / "there" / grid.name, plan.runs_in(grid)
    for run in runs:
        own = there / "runs" / run.folder.name
        samples = {path.relative_to(own): path.read_bytes() for path in own.rglob("samples.npz")}
        assert samples == {path: (run.folder / path).read_bytes() for path in samples}
        assert len(samples) == (run.study.gens if run.null is None else 0)
        assert not list(own.glob("gen_*/model"))
    assert not [path for path in there.rglob("*") if path.is_file() and str(grid.parent).encode() in path.read_bytes()]
    done("judge", there, "--extractor", "pixels")
    done("report", there)
    assert "N = 200" in (there / "report.html").read_text(encoding="utf-8"), "of a judge that the study does not name"


def test_of_a_single_run_settings_figures_and_tables_are_published(tmp_path: Path) -> None:
    """With the command that makes it again, and no path of the machine that made it."""
    run, into = tmp_path / "run", tmp_path / "into"
    done("run", "--model", "gmm", "--gens", 1, "--set", "judge.extractors=[pixels]", "--out", run)
    script("publish", run, into)
    assert sorted(path.name for path in into.iterdir()) == ["curves.png", "grid_all.png", "report.md", "scores.csv.gz", "study.yaml"]
    assert gzip.decompress((into / "scores.csv.gz").read_bytes()) == (run / "scores.csv").read_bytes()
    assert (into / "study.yaml").read_bytes() == (run / "study.yaml").read_bytes()
    report = (into / "report.md").read_text(encoding="utf-8")
    assert "imgcollapse run --dataset" in report and str(tmp_path) not in report


def test_a_line_of_the_endpoint_for_each_judge_and_null_model(grid: Path) -> None:
    summary = json.loads((grid / "summary.json").read_text())
    endpoint = summary["endpoint"]
    head, _, *lines = script("short", grid).splitlines()
    arms = [one for one in summary["arms"] if one["null"] is None]
    assert head == f"| | features | real vs real | {' | '.join(one['arm'] for one in arms)} |"
    deciding = dict.fromkeys([endpoint["extractor"], *(extractor for one in endpoint["found"] for extractor in one["beside"])])
    assert [line.split(" | ")[1] for line in lines] == [extractor for extractor in deciding for _ in range(2)]
    values = [one["extractors"][endpoint["extractor"]][endpoint["metric"]]["last"] for one in arms]
    assert lines[0].endswith("| " + " | ".join(spanned(one, endpoint["metric"], "", 1) for one in values) + " |")


def test_arms_are_compared_seed_by_seed_also_with_those_of_another_ablation(tmp_path: Path) -> None:
    """Differences of 0.1, 0.2 and 0.3: t = 4.303 with two degrees of freedom, half the width 4.303 * 0.1 / sqrt 3."""
    for folder, arms in (("one", {"a": 0.1, "b": 0.0}), ("two", {"b": -1.0})):
        rows = ["arm,model,null,regime,seed,generation,extractor,metric,value,real,real_low,real_high,n"]
        for arm, step in arms.items():
            rows += [f"{arm},gmm,,replace,{seed},3,classifier,fd,{0.5 + step * (seed + 1)},,,,9" for seed in (0, 1, 2)]
            rows += [f"{arm},bootstrap,bootstrap,replace,0,3,classifier,fd,70,,,,9", f"{arm},gmm,,replace,0,2,classifier,fd,90,,,,9"]
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "ablation.csv").write_text("\n".join(rows) + "\n")
    within = script("apart", tmp_path / "one", "a", "b", "--metric", "fd")
    assert within == "a minus b, fd, generation 3, classifier, 3 seeds: +0.20 [-0.05, +0.45]\n"
    across = script("apart", tmp_path / "one", "a", "b", "--metric", "fd", "--of", tmp_path / "two")
    assert across == "a minus b of two, fd, generation 3, classifier, 3 seeds: +2.20 [-0.53, +4.93]\n"

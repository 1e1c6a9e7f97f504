"""`status` of a folder with many runs, and what the other commands say of one."""

import json
from pathlib import Path

import pytest
from terminal import call, done

import imgcollapse as ic

TOY = ["--dataset", "grid25", "--model", "bootstrap", "--set", "dataset.size=400", "--samples", "50", "--set", "judge.extractors=[pixels]"]


@pytest.fixture
def runs() -> Path:
    done("run", *TOY, "--gens", 1, "--out", "runs/one")
    done("run", *TOY, "--gens", 2, "--out", "runs/two")
    study = Path("runs/two/study.yaml")
    study.write_text(study.read_text().replace("gens: 2", "gens: 5"))
    Path("runs/broken").mkdir()
    Path("runs/broken/study.yaml").write_text("gens: none of it")
    Path("runs/notes").mkdir()
    return Path("runs")


def test_status_has_a_line_for_each(runs: Path) -> None:
    found = {one["name"]: one for one in json.loads(done("status", runs, "--json").stdout)["inside"]}
    assert list(found) == ["broken", "one", "two"]
    assert (found["one"]["what"], found["one"]["state"], found["one"]["done"], found["one"]["generations"]) == ("run", "done", 1, 1)
    assert (found["two"]["state"], found["two"]["done"], found["two"]["generations"]) == ("waiting", 2, 5)
    assert found["broken"]["state"] == "unreadable" and found["broken"]["message"].startswith("gens: ")
    lines = done("status", runs).stdout.splitlines()
    assert lines[0].strip() == "runs" and any(line.split()[1:] and "2 of 5" in line and "two" in line for line in lines)


def test_the_report_has_a_row_for_each_and_links_to_those_with_a_page(runs: Path) -> None:
    (runs / "two" / "report.html").unlink()
    named = runs / "one <b>"
    (runs / "one").rename(named)
    written = json.loads(done("report", runs, "--json").stdout)
    assert written["files"] == [written["report"]] == ["runs/report.html"]
    page = Path("runs/report.html").read_text()
    assert "3 runs and ablations in runs" in page and page.count('<tr><th scope="row">') == 5
    assert page.count('href="one%20%3Cb%3E/report.html">one &lt;b&gt;</a>') == 2, "a folder's name is text, and an address"
    assert "two/report.html" not in page and "<code>imgcollapse report runs/two</code>" in page
    assert ">waiting</td><td>2 of 5</td>" in page and ">unreadable</td><td></td><td>gens: " in page
    # the last scores, each above real vs real
    (row,) = (one for one in ic.open(named).scores() if (one["extractor"], one["metric"]) == ("pixels", "recall"))
    real = (
        " to ".join(f"{row[part]:.3f}" for part in ("real", "real_low", "real_high")).replace(" to ", " [", 1).replace(" to ", ", ") + "]"
    )
    assert f'<td>{row["value"]:.3f}<br><span class="soft">{real}</span></td>' in page
    # again, and never over what is not ours
    assert ic.report("runs", quiet=True) == Path("runs/report.html")
    Path("runs/report.html").write_text("mine")
    assert ic.report("runs", quiet=True).is_file() and "mine" in next(Path("runs/set_aside").rglob("report.html*")).read_text()


def test_others_say_what_to_name(runs: Path) -> None:
    said = call("judge", runs)
    wanted = "name those that you mean: runs/broken runs/one ..."
    assert said.exit_code == 2 and said.stderr == f"imgcollapse: runs: is neither a run nor an ablation, but holds 3; {wanted}\n", (
        said.stderr
    )
    assert call("report", runs, "--watch").stderr == f"imgcollapse: --watch: runs is neither a run nor an ablation; {wanted}\n"
    assert call("report", runs, "runs/one").exit_code == 2
    assert not Path("runs/report.html").exists()

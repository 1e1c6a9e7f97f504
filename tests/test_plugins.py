"""Parts of one's own: files and installed packages that add to the tables, in the loop as any shipped part is."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from terminal import call, done

import imgcollapse as ic
from imgcollapse import errors, plugins
from imgcollapse.plugins import code_of
from imgcollapse.plugins.parts import TABLES, Plugin, _added

MANUAL = Path(__file__).parent.parent / "docs" / "plugins.md"
SHORT = ("--gens", 2, "--samples", 120, "--extractor", "pixels")

PARTS = '''
"""One of each, as small as can be."""
from typing import ClassVar, Literal

import torch

from imgcollapse.datasets.dataset import Dataset
from imgcollapse.images import ImageSet, World, concatenate
from imgcollapse.metrics import Metric
from imgcollapse.metrics.score import Score
from imgcollapse.regimes.regime import Plan
from imgcollapse.settings import Settings


class Grey(Dataset):
    """Pictures of about one grey level each."""

    kind: Literal["grey"] = "grey"

    def read(self, seed, extra):
        def some(n):
            levels = 37 * torch.arange(n) % 256
            return ImageSet.of(((levels[:, None, None, None] + torch.arange(8)).expand(n, 1, 8, 8) % 256).to(torch.uint8), levels // 128)

        return World("grey", some(200), some(100), ("dark", "light"))


class Half(Settings):
    """Half real pictures, half samples."""

    kind: Literal["half"] = "half"
    needs_all_samples: ClassVar[bool] = False
    from_teacher: ClassVar[bool] = False
    streams: ClassVar[bool] = False

    def __call__(self, real, past, n, seed):
        return real.seen if not past else concatenate([real.seen[: n // 2], past[-1][: n - n // 2]])

    def title(self):
        return "half real"

    def plan(self, n, gens, have):
        return Plan(n, 0)


class Bright(Settings):
    """Lets in pictures that are not dark."""

    kind: Literal["bright"] = "bright"
    changes: ClassVar[bool] = False

    def title(self):
        return "bright ones"

    def candidates(self, n):
        return n

    def publish(self, drawn, seed):
        return drawn

    def admit(self, offered, real, past, seed):
        return offered.pixels.float().mean((1, 2, 3)) >= 40


class Mean(Settings):
    """The mean grey level and its spread."""

    kind: Literal["mean"] = "mean"
    name: ClassVar[str] = "mean"

    def fit(self, world):
        return self

    def features(self, pixels):
        values = pixels.float().flatten(1)
        return torch.stack([values.mean(1), values.std(1)], 1)

    def probabilities(self, features_ND):
        return None

    def record(self):
        return {"digest": "none", "dim": 2}


def measured(evidence):
    """Mean of all features."""
    return {"mean_feature": float(evidence.generated.features.mean())}


DATASETS, REGIMES, GATES, EXTRACTORS = {"grey": Grey}, {"half": Half}, {"bright": Bright}, {"mean": Mean}
METRICS = {"mean_feature": Metric(measured, {"mean_feature": Score("mean feature", "how bright", "lower", "linear", 2, "The mean.")})}
'''


@pytest.fixture(autouse=True)
def _tables_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a test has added is gone after it."""
    monkeypatch.chdir(tmp_path)
    before = {table: dict(there) for table, (there, _) in TABLES.items()}
    whose = dict(_added)
    yield
    for table, (there, _) in TABLES.items():
        there.clear()
        there.update(before[table])
    _added.clear()
    _added.update(whose)


@pytest.fixture
def mine() -> Path:
    """The model of the manual."""
    Path("mine.py").write_text(re.findall(r"```python\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.S)[0])
    return Path("mine.py")


def line(*arguments: object) -> str:
    """What a command that fails says in its last line."""
    said = call(*arguments)
    assert said.exit_code != 0, said.output
    return said.stderr.splitlines()[-1].removeprefix("imgcollapse: ")


# --- in the loop


def test_the_manuals_model_runs_goes_on_and_is_looked_at_without_the_flag(mine: Path) -> None:
    run = ("run", "--plugin", mine, "--model", "noisy", *SHORT, "--out", "run")
    done(*run)
    done(*run)
    done("run", "--plugin", mine, "--model", "noisy", "--gens", 3, *SHORT[2:], "--out", "run")
    for command in (["report", "run"], ["status", "run"], ["judge", "run", "--extractor", "random"]):
        done(*command)
    again = [row for row in (Path("run") / "report.html").read_text().splitlines() if "--plugin mine.py" in row]
    assert again, "the command that makes it again names the file"
    assert ic.open("run").model(0).kind == "noisy"


def test_the_manuals_gate_and_metric_are_measured() -> None:
    (source,) = (one for one in re.findall(r"```python\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.S) if "GATES = " in one)
    Path("more.py").write_text(source)
    done("run", "--plugin", "more.py", "--model", "gmm", *SHORT, "--set", "model.components=10", "--set", "gates=[bright]", "--out", "run")
    rows = [row for row in ic.open("run").scores() if row["metric"] == "moved"]
    assert [row["generation"] for row in rows] == [0, 1] and all(row["value"] > 0 for row in rows)


def test_options_are_settings_as_any_others(mine: Path) -> None:
    base = ("run", "--plugin", mine, "--model", "noisy", "--gens", 1)
    assert line(*base, "--set", "model.noise=x") == "model.noise: 'x' cannot be used; it should be a valid number"
    assert line(*base, "--set", "model.nose=1") == "model.nose: there is no such setting; did you mean 'noise'? there are: noise"
    said = line("run", "--plugin", mine, "--model", "nosy", "--gens", 1)
    assert said.startswith("model: 'nosy' is unknown; did you mean 'noisy'? there are: ddpm, ") and said.endswith(", noisy")
    assert "noisy" in done("list", "--plugin", mine).stdout and "noise = 8.0" in done("list", "noisy", "--plugin", mine).stdout


def test_one_of_each_kind_works_with_the_others() -> None:
    Path("parts.py").write_text(PARTS)
    done(
        *("run", "--plugin", "parts.py", "--dataset", "grey", "--model", "gaussian", "--regime", "half", "--gens", 2, "--samples", 100),
        *("--extractor", "mean,pixels", "--set", "gates=[bright]", "--set", "judge.k=3", "--out", "run"),
    )
    rows = ic.open("run").scores()
    found = {(row["extractor"], row["generation"]) for row in rows if row["metric"] == "mean_feature"}
    assert found == {(name, generation) for name in ("mean", "pixels") for generation in (0, 1)}
    provenance = json.loads((Path("run") / "gen_001" / "provenance.json").read_text())
    assert provenance["gates"] if "gates" in provenance else "bright" in json.dumps(provenance)
    done("report", "run")


@pytest.mark.slow  # starts processes
def test_arms_of_an_ablation_through_the_local_engine(mine: Path) -> None:
    command = ("ablate", "--plugin", mine, "--model", "noisy,gmm", "--seeds", 1, *SHORT, "--no-nulls", "--jobs", 2, "--out", "grid")
    done(*command)
    studies = {path.parent.name: path.read_text() for path in Path("grid/runs").glob("*/study.yaml")}
    assert len(studies) == 2 and all("mine.py" in text for text in studies.values())
    assert len(list(Path("grid/runs").glob("*/gen_001/samples.npz"))) == 2
    mine.write_text(mine.read_text() + "\n# another version\n")
    said = done(*command).stderr
    assert "arm 'model noisy' is not what it was (plugins.0.sha256 '" in said and "the old ones stay in grid/runs" in said


@pytest.mark.slow  # starts processes
def test_a_worker_loads_it_from_whatever_folder(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done("ablate", "--plugin", mine, "--model", "noisy", "--seeds", 1, *SHORT, "--no-nulls", "--jobs", 1, "--out", "grid")
    (run,) = Path("grid/runs").iterdir()
    made = (run / "gen_001" / "samples.npz").read_bytes()
    command = [sys.executable, "-m", "imgcollapse", "worker", str(run.absolute())]
    for folder in run.glob("gen_*"):
        subprocess.run(["rm", "-r", folder], check=True)
    subprocess.run(["rm", "-r", Path("grid/shared")], check=True)
    subprocess.run(command, cwd="/", check=True, capture_output=True)
    assert (run / "gen_001" / "samples.npz").read_bytes() == made


@pytest.mark.slow  # starts processes
def test_from_python_and_with_a_judge_beside(mine: Path) -> None:
    more = {"model": "noisy", "gens": 1, "samples": 120, "extractor": "pixels", "judge_beside": True, "quiet": True}
    assert ic.run(plugins=mine, out="run", **more).generations == [0]
    fails = PARTS.replace('return {"mean_feature"', 'return {}["x"], {"mean_feature"')
    Path("fails.py").write_text(fails)
    with pytest.raises(ic.ProgramProblem, match=r"^plugins: .*fails\.py, line \d+: KeyError: 'x'; mend it"):
        ic.run(plugins=["fails.py", mine], out="fails", **more)


@pytest.mark.slow  # starts another pytest
def test_the_manuals_own_test_passes(mine: Path) -> None:
    """As pytest would find it, beside the file."""
    blocks = re.findall(r"```python\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.S)
    (more,) = (one for one in blocks if "METRICS = {" in one)
    Path("more.py").write_text(more)
    for name, check in (("test_mine.py", "check_model("), ("test_more.py", "check_gate(")):
        (source,) = (one for one in blocks if check in one)
        Path(name).write_text(source)
    alone = ["-p", "no:xdist", "-p", "no:cacheprovider", "-o", "addopts="]
    command = [sys.executable, "-m", "pytest", "-q", *alone, "test_mine.py", "test_more.py"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0 and "3 passed" in finished.stdout, finished.stdout


# --- what it is, and when it is another


def test_another_file_is_another_study_and_what_does_not_use_it_keeps_its_identity(mine: Path) -> None:
    run = ("run", "--plugin", mine, "--model", "noisy", *SHORT, "--out", "run")
    done(*run)
    made = {path: path.read_bytes() for path in Path("run").rglob("samples.npz")}
    mine.write_text(mine.read_text() + "\n# another version\n")
    assert line(*run).startswith("run: holds another study (plugins.0.sha256 ")
    assert line("report", "run").startswith(f"plugins: {mine.absolute()}: was changed: the study is of SHA-256 ")
    mine.rename("gone.py")
    assert line("report", "run") == f"plugins: {mine.absolute()}: No such file or directory; name a Python file"
    assert made == {path: path.read_bytes() for path in Path("run").rglob("samples.npz")}


def test_where_the_file_lies_changes_nothing(mine: Path) -> None:
    done("run", "--plugin", mine, "--model", "noisy", *SHORT, "--out", "run")
    Path("other").mkdir()
    (Path("other") / "renamed.py").write_text(mine.read_text())
    done("run", "--plugin", "other/renamed.py", "--model", "noisy", "--gens", 3, *SHORT[2:], "--out", "run")


def test_a_plugin_whose_parts_make_no_picture_changes_no_generation() -> None:
    """Its metric is measured; the generations are those of the study without it, byte for byte."""
    Path("parts.py").write_text(PARTS)
    done("run", "--model", "gmm", *SHORT, "--out", "without")
    done("run", "--model", "gmm", *SHORT, "--plugin", "parts.py", "--out", "with")
    for name in ("gen_000", "gen_001"):
        one, other = (json.loads((Path(run) / name / "MANIFEST.json").read_text()) for run in ("without", "with"))
        assert one["made_by"] == other["made_by"]
    metrics = {row["metric"] for row in ic.open("with").scores()}
    assert "mean_feature" in metrics and "mean_feature" not in {row["metric"] for row in ic.open("without").scores()}


def test_what_was_measured_of_real_pictures_by_another_version_of_a_file_is_measured_again() -> None:
    """The reference's real-vs-real values are kept in the data folder for all runs; a metric's file may have another formula by now."""
    run = ("run", "--model", "gaussian", "--gens", 1, "--samples", 60, "--extractor", "pixels", "--plugin", "parts.py", "--out")

    def real(folder: str) -> float:
        (row,) = (row for row in ic.open(folder).scores() if row["metric"] == "mean_feature")
        return float(row["real"])

    Path("parts.py").write_text(PARTS)
    done(*run, "first")
    before = real("first")
    Path("parts.py").write_text(PARTS.replace("features.mean())", "features.mean()) + 1000"))
    done(*run, "second")
    assert real("second") - before == pytest.approx(1000, abs=1e-3)


def test_a_study_that_uses_a_part_of_another_studys_plugin_names_it_too(mine: Path) -> None:
    plugins.loaded([str(mine)])
    done("run", "--model", "noisy", *SHORT, "--out", "run")
    assert "mine.py" in (Path("run") / "study.yaml").read_text()


# --- what cannot be used, before anything is written


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", ": adds nothing, for it has none of MODELS, DATASETS, REGIMES, GATES, CORRECTIONS, EXTRACTORS, METRICS; write for example "),
        ("x = (\n", ", line 1: SyntaxError: '(' was never closed; fix it"),
        ("x = 1\nraise ValueError('no\\nluck')", ", line 2: ValueError: no luck; fix it"),
        ("import no_such_module", ", line 1: ModuleNotFoundError: No module named 'no_such_module'; fix it"),
        ("MODELS = 3", ": MODELS is int; make it a dict of names and parts"),
        ("MODELS = {'mine': 3}", ": MODELS['mine'] is not a class of options; derive it from imgcollapse.settings.Settings"),
        ("{S}MODELS = {{'mine': Mine}}", ": MODELS['mine'] lacks `fit`: A fitted copy that has learned from these pictures"),
        (
            "{S}MODELS = {{'other': Mine}}",
            ": MODELS['other']: the name in the dict and the class's field kind differ; give the class kind: Literal['other'] = 'other'",
        ),
        ("{S}MODELS = {{'gmm': Mine}}", ": MODELS['gmm'] has the name of a shipped part; choose another"),
        ("{S}DATASETS = {{'mine': Mine}}", ": DATASETS['mine'] is not a data set; derive it from imgcollapse.datasets.dataset.Dataset"),
        (
            "METRICS = {'m': len}",
            ": METRICS['m'] is not an imgcollapse.metrics.Metric with scores; write Metric(measure, {name: Score(...)})",
        ),
        (PARTS.replace('"mean_feature": Score(', '"fd": Score('), ": METRICS['mean_feature'] has a score 'fd', as another metric has"),
        (
            PARTS.replace('"The mean.")})', '"The mean.")}, of="gate")'),
            ": METRICS['mean_feature'] is of='gate', which every study with a gate",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(source: str, text: str) -> None:
    settings = "from typing import Literal\nfrom imgcollapse.settings import Settings\n"
    settings += "class Mine(Settings):\n    kind: Literal['mine'] = 'mine'\n    def for_world(self): ...\n"
    Path("a.py").write_text(source.format(S=settings) if "{S}" in source else source)
    said = line("run", "--plugin", "a.py", *SHORT, "--out", "run")
    assert said.startswith(f"plugins: {Path('a.py').absolute()}{text}"), said
    assert not Path("run").exists()


def test_a_file_that_is_none_and_two_with_one_name(mine: Path) -> None:
    assert (
        line("run", "--plugin", "no.py", "--out", "run")
        == f"plugins: {Path('no.py').absolute()}: No such file or directory; name a Python file"
    )
    Path("b.py").write_text(mine.read_text() + "# b\n")
    said = line("run", "--plugin", mine, "--plugin", "b.py", "--model", "noisy", "--out", "run")
    assert said.endswith("both have MODELS['noisy']; rename one") and not Path("run").exists()
    assert line("run", "--set", "plugins=[{package: no-such}]", "--out", "run").startswith("plugins: no-such is not installed")
    assert line("run", "--set", "plugins=[{}]", "--out", "run").startswith("a plug-in names a file or a package; write for example ")


BROKEN = {
    "drew too few": ("[:n]", "[: n - 1]", r"model 'noisy': sample gave 119 pictures; it was asked for 120, and must give as many"),
    "floats": (".to(torch.uint8)", "", r"model 'noisy': sample gave float32 \[120, 1, 8, 8\]; it must give uint8 \[N, 1, 8, 8\]"),
    "another size": (
        ".to(torch.uint8)",
        ".to(torch.uint8)[:, :, :7]",
        r"model 'noisy': sample gave uint8 \[120, 1, 7, 8\]; it must give uint8 \[N, 1, 8, 8\], as the real pictures are",
    ),
    "no set": ("return ImageSet.of(", "return (", r"model 'noisy': sample gave tuple; it must give an imgcollapse.images.ImageSet"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_model_that_breaks_its_promise_is_told_which(broken: str, mine: Path) -> None:
    old, new, text = BROKEN[broken]
    source = mine.read_text().replace("(len(known), (n,)", "(len(known), (n,)")
    assert old in source or old == "[:n]"
    source = (
        source.replace("ImageSet.of(pixels, some.labels)", "ImageSet.of(pixels, some.labels)[: n - 1]")
        if old == "[:n]"
        else source.replace(old, new)
    )
    mine.write_text(source)
    said = call("run", "--plugin", mine, "--model", "noisy", *SHORT, "--out", "run")
    assert said.exit_code == 9, said.output
    assert re.match(f"imgcollapse: {text}", said.stderr.splitlines()[-1]), said.stderr


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (
            ">= 40",
            ".float()",
            "gate 'bright': admit gave float32 [100]; it must say yes or no to each of 100 pictures: a bool tensor [100]",
        ),
        ("return drawn", "return drawn[:5]", "gate 'bright': publish gave 5 pictures; it was asked for 100, and must give as many"),
        (
            "values.std(1)], 1)",
            "values.std(1)], 1).double()",
            "extractor 'mean': features gave float64 [50, 2]; it must give a float32 tensor",
        ),
        (
            "values.std(1)], 1)",
            "values.std(1) / 0], 1)",
            "extractor 'mean': features gave features that are NaN or infinite",
        ),
        (
            '"mean_feature": float',
            '"other": float',
            "gave 'other', which is none of its scores; name it in Metric(scores=...): mean_feature",
        ),
        ('return {"mean_feature"', 'return {}["x"], {"mean_feature"', "parts.py, line LINE: KeyError: 'x'; mend it (`imgcollapse --debug"),
        ("return drawn", "raise TypeError('no', 'go')", "parts.py, line LINE: TypeError: ('no', 'go'); mend it"),
        ("return n", "return 1.5 * n", "gate 'bright': candidates gave 150.0 for 100 pictures; it must give a whole number"),
    ],
)
def test_other_parts_are_told_as_well(old: str, new: str, text: str) -> None:
    assert old in PARTS
    text = text.replace("LINE", str(PARTS[: PARTS.index(old)].count("\n") + 1))
    Path("parts.py").write_text(PARTS.replace(old, new, 1))
    said = call(
        *("run", "--plugin", "parts.py", "--dataset", "grey", "--model", "gaussian", "--regime", "half", "--gens", 2, "--samples", 100),
        *("--extractor", "mean", "--set", "gates=[bright]", "--set", "judge.k=3", "--out", "run"),
    )
    assert said.exit_code == 9 and text in said.stderr.splitlines()[-1], said.output


def test_a_line_of_a_package_is_named_and_one_of_nobodys_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "PLUGINS", {f"{tmp_path}/theirs/"})

    def raised_in(file: str) -> errors.Problem | None:
        try:
            exec(compile("\n\nint('three')", file, "exec"), {})
        except ValueError as error:
            return errors.explained(error)
        raise AssertionError("nothing was raised")

    found = raised_in(f"{tmp_path}/theirs/inner/part.py")
    assert isinstance(found, errors.ProgramProblem) and str(found).startswith(
        f"plugins: {tmp_path}/theirs/inner/part.py, line 3: ValueError: "
    )
    assert raised_in(f"{tmp_path}/theirs.py") is None and raised_in(f"{tmp_path}/other/part.py") is None


# --- installed packages


@pytest.mark.slow  # builds a package, and starts three programs
def test_an_installed_packages_parts_are_there_and_its_version_is_part_of_the_study(mine: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "noisy_model.py").write_text(mine.read_text())

    def install(version: str) -> None:
        (project / "pyproject.toml").write_text(
            '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
            f'[project]\nname = "noisy-model"\nversion = "{version}"\n'
            '[project.entry-points."imgcollapse.models"]\nnoisy = "noisy_model:Noisy"\nbroken = "no_such_module:Model"\n'
            '[tool.setuptools]\npy-modules = ["noisy_model"]\n'
        )
        subprocess.run(["rm", "-rf", tmp_path / "site"], check=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--target", tmp_path / "site", project], check=True)

    def ran(*arguments: object) -> subprocess.CompletedProcess[str]:
        root = Path(__file__).parent.parent
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tmp_path / 'site'}:{root}", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "imgcollapse", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    install("1.0")
    first = ran("run", "--model", "noisy", *SHORT, "--out", "run")
    assert first.returncode == 0, first.stderr
    assert "plug-in broken is left out: noisy-model: ModuleNotFoundError: No module named 'no_such_module'" in first.stderr
    kept = (tmp_path / "run" / "study.yaml").read_text()
    assert re.search(r"plugins:\n- sha256: [0-9a-f]{64}\n  package: noisy-model\n  version: '1.0'\n", kept), kept
    installed = tmp_path / "site" / "noisy_model.py"
    source = installed.read_text()
    installed.write_text(source + "# edited, as in an editable install\n")
    edited = ran("report", "run")
    assert edited.returncode == 2 and "package noisy-model 1.0: was changed: the study is of SHA-256" in edited.stderr, edited.stderr
    installed.write_text(source)
    install("1.1")
    other = ran("run", "--model", "noisy", *SHORT, "--out", "run")
    assert other.returncode == 5 and "plugins.0.version '1.0', now '1.1'" in other.stderr, other.stderr
    assert "noisy" in ran("list").stdout


def test_all_python_files_of_a_package_tell_it_from_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "some_parts" / "inner").mkdir(parents=True)
    for name in ("__init__", "inner/__init__", "inner/part", "helper"):
        (tmp_path / "some_parts" / f"{name}.py").write_text("")
    (tmp_path / "spaced" / "named").mkdir(parents=True)  # without an __init__.py: a namespace, which others may share
    (tmp_path / "spaced" / "named" / "__init__.py").write_text("")
    for name in ("some_parts.inner.part", "spaced.named"):
        importlib.import_module(name)
    before = code_of("some_parts.inner.part"), code_of("spaced.named")
    (tmp_path / "spaced" / "other.py").write_text("x = 1")
    (tmp_path / "some_parts" / "notes.txt").write_text("no code")
    assert (code_of("some_parts.inner.part"), code_of("spaced.named")) == before
    (tmp_path / "some_parts" / "helper.py").write_text("x = 1")
    assert code_of("some_parts.inner.part") != before[0]
    for name in ("some_parts", "some_parts.inner", "some_parts.inner.part", "spaced", "spaced.named"):
        sys.modules.pop(name)


def test_a_plugin_is_read_from_the_plainest_words() -> None:
    assert Plugin.model_validate("a.py") == Plugin(file="a.py")

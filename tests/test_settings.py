"""Settings: the order of their sources, what YAML does to values, and the text of every mistake."""

from pathlib import Path
from typing import Any

import pytest

from imgcollapse.errors import SettingsProblem
from imgcollapse.interface.running import study_from
from imgcollapse.regimes import REGIMES
from imgcollapse.settings import assignment, build, merge, read_file, to_yaml
from imgcollapse.study import Study

FIELDS = ", ".join(sorted(Study.model_fields))


def study(*assignments: str, **given: Any) -> Study:
    return study_from(given, assignments)


@pytest.mark.parametrize(
    ("assignments", "text"),
    [
        (["model.stepz=1"], "model.stepz: there is no such setting; did you mean 'steps'? there are: "),
        (["model.sampler_steps=3"], "model.sampler_steps: is now model.sampling.steps; set it there"),
        (["model=vae", "model.draw=sample"], "model.draw: is now model.sampling.draw; set it there"),
        (["model.sampling.guidance=-1"], "model.sampling.guidance: -1 cannot be used; it should be greater than or equal to 0"),
        (["model.condition_dropout=1"], "model.condition_dropout: 1 cannot be used; it should be less than 1"),
        (
            ["model.sampling.step=3"],
            "model.sampling.step: there is no such setting; did you mean 'steps'? there are: anneal, guidance, sampler, steps",
        ),
        (["model.sampling.sampler=euler"], "model.sampling.sampler: 'euler' cannot be used; it should be 'ddpm', 'ddim' or 'dpm++'"),
        (["model.sampling=ddim"], "model.sampling: 'ddim' cannot be used; it should be a mapping, such as {key: value}"),
        (
            ["genz=1"],
            f"genz: there is no such setting; did you mean 'gens'? there are: {FIELDS}",
        ),
        (["model=dpm"], "model: 'dpm' is unknown; did you mean 'ddpm'? there are: ddpm, vae, gmm, gaussian, bootstrap, smooth"),
        (["model=DDPM"], "model: 'DDPM' is unknown; did you mean 'ddpm'? there are: ddpm, "),
        (["dataset=MNIST"], "dataset: 'MNIST' is unknown; did you mean 'mnist'? there are: digits, mnist, "),
        (["dataset=Fashion_MNIST"], "dataset: 'Fashion_MNIST' is unknown; did you mean 'fashion-mnist'? "),
        (["dataset=CIFAR-10"], "dataset: 'CIFAR-10' is unknown; did you mean 'cifar10'? "),
        (["model.Steps=1"], "model.Steps: there is no such setting; did you mean 'steps'? "),
        (
            ["regime.kind=retain", "regime.real_fraction=10"],
            "regime.real_fraction: 10 cannot be used; it should be less than or equal to 1; did you mean 0.1?",
        ),
        (
            ["regime.kind=retain", "regime.real_fraction=10 %"],
            "regime.real_fraction: '10 %' cannot be used; it should be a valid number; did you mean 0.1?",
        ),
        (["model.condition_dropout=20"], "model.condition_dropout: 20 cannot be used; it should be less than 1; did you mean 0.2?"),
        (["model.kind=3"], "model: '3' is unknown; there are: ddpm, "),
        (["dataset=cifar"], "dataset: 'cifar' is unknown; did you mean 'cifar10'? there are: digits, mnist, "),
        (["regime=retian"], "regime: 'retian' is unknown; did you mean 'retain'? there are: " + ", ".join(REGIMES)),
        (["regime=retain", "regime.real_fraction=1.5"], "regime.real_fraction: 1.5 cannot be used; it should be less than or equal to 1"),
        (["regime=retain", "regime.pool=old"], "regime.pool: 'old' cannot be used; it should be 'fixed', 'resample' or 'fresh'"),
        (["init=folder:"], "init: folder: names no folder; write folder:PATH"),
        (["init=best"], "init: 'best' cannot be used; it should be 'scratch', 'previous', 'base' or 'folder:PATH'"),
        (["init='folder: '"], "init: 'folder: ' cannot be used; it should be 'scratch', 'previous', 'base' or 'folder:PATH'"),
        (["gens=0"], "gens: 0 cannot be used; it should be greater than 0"),
        (["gens=ten"], "gens: 'ten' cannot be used; it should be a valid integer"),
        (["gens=2.5"], "gens: 2.5 cannot be used; it should be a valid integer"),
        (["gens="], "gens: None cannot be used; it should be a valid integer"),
        (["model.learning_rate=.nan"], "model.learning_rate: nan cannot be used; it should be "),
        (["dataset=folder"], "dataset.path: is missing; give it a value (folder of class folders"),
        (["steps=3"], "steps: there is no such setting; did you mean 'model.steps'? there are: "),
        (["real_fraction=0.1"], "real_fraction: there is no such setting; did you mean 'regime.real_fraction'? there are: "),
        (["model.temperature=0.9"], "model.temperature: there is no such setting; did you mean 'sampling.temperature'? there are: "),
        (["dataset='folder:'"], "dataset.path: '' cannot be used; string should have at least 1 character"),
        (
            ["judge.extractors=[classifier, {kind: pixels, within: -1}]"],
            "judge.extractors.1.within: -1 cannot be used; it should be greater",
        ),
        (["judge.extractors=[inceptoin]"], "judge.extractors.0: 'inceptoin' is unknown; did you mean 'inception'? there are: "),
        (
            ["judge.extractors=[{dim: 3}]"],
            "judge.extractors.0: {'dim': 3} names no kind; write for example `judge.extractors.0: {kind: ...}`",
        ),
        (["model=[1]"], "model: [1] "),
        (["model.steps"], "--set: 'model.steps' is not PATH=VALUE; write for example --set model.steps=500"),
        (["=3"], "--set: '=3' is not PATH=VALUE"),
        (["model..steps=3"], "--set: 'model..steps=3' is not PATH=VALUE"),
        (["model.steps=[1"], "--set: the value in 'model.steps=[1' is not YAML; put it in quotes"),
    ],
)
def test_a_mistake_is_one_line_with_place_value_and_cure(assignments: list[str], text: str) -> None:
    with pytest.raises(SettingsProblem) as caught:
        study(*assignments)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"gens: [1", ":1: not YAML ("),
        (b"- 1\n- 2", ": holds list, not settings; write lines such as `gens: 10`"),
        (b"", ": holds NoneType, not settings"),
        (b"\xff\xfe\x00", ": cannot be read (it is not UTF-8 text); name a YAML file"),
        (None, ": cannot be read (No such file or directory); name a YAML file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, text: str) -> None:
    file = tmp_path / "study.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsProblem) as caught:
        read_file(file)
    assert str(caught.value).startswith(f"{file}{text}")
    assert "\n" not in str(caught.value)


def test_a_small_number_needs_no_dot() -> None:
    assert assignment("model.learning_rate=1e-4") == {"model": {"learning_rate": 1e-4}}, "PyYAML, which follows YAML 1.1, reads text here"
    assert study("model.learning_rate=1e-4").model.learning_rate == 1e-4  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("assignments", "text"),
    [
        (["model.learning_rate=yes"], "model.learning_rate: 'yes' cannot be used; it should be a valid number"),
        (["model.learning_rate=true"], "model.learning_rate: True cannot be used; it should be a valid number"),
        (["model.learning_rate='1e-4'"], "model.learning_rate: '1e-4' cannot be used; it should be a valid number, without quotes"),
        (["model.steps=1:30"], "model.steps: '1:30' cannot be used; it should be a valid integer"),
        (["model.steps=1_000"], "model.steps: '1_000' cannot be used; it should be a valid integer"),
        (["gens=true"], "gens: True cannot be used; it should be a valid integer"),
        (["gens='10'"], "gens: '10' cannot be used; it should be a valid integer, without quotes"),
        (["gens=1e3"], "gens: 1000.0 cannot be used; it should be a valid integer, written 1000"),
        (["model.attention=1"], "model.attention: 1 cannot be used; it should be true or false"),
        (["model.attention=no"], "model.attention: 'no' cannot be used; it should be true or false"),
        (["model.widths=16"], "model.widths: 16 cannot be used; it should be a list, such as [a, b]"),
        (["dataset.kind=folder", "dataset.path=010"], "dataset.path: 10 cannot be used; it should be text; put it in quotes"),
        (["judge=classifier"], "judge: 'classifier' cannot be used; it should be a mapping, such as {key: value}"),
        (["gens=" + "9" * 5000], "--set: the value in 'gens=" + "9" * 54 + "... (5,007 characters) cannot be used: "),
        (["gens={a: 1, a: 2}"], "--set: the value in 'gens={a: 1, a: 2}' cannot be used: 'a' is given twice, first in line 1; "),
        ([".".join("a" * 5000) + "=1"], "'a.a.a.a."),
        (["x" * 500 + "=1"], "x" * 60 + "... (500 characters): there is no such setting; "),
        (["gens=[" + "1, " * 500 + "1]"], "gens: [1, 1, "),
        (['"a\nb"=1'], "'"),
    ],
)
def test_numbers_are_numbers_booleans_booleans_and_no_message_prints_itself(assignments: list[str], text: str) -> None:
    with pytest.raises(SettingsProblem) as caught:
        study(*assignments)
    assert str(caught.value).startswith(text), caught.value
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_flag_over_file_over_default(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("gens: 3\nseed: 5\nmodel: {kind: vae, steps: 7, latent: 4}\n")
    made = study("model.latent=8", config=file, gens=2)
    assert (made.gens, made.seed, made.model.kind) == (2, 5, "vae")
    assert made.model.model_dump()["steps"] == 7 and made.model.model_dump()["latent"] == 8  # type: ignore[attr-defined]


def test_another_kind_drops_the_options_of_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("model: {kind: vae, latent: 4}\n")
    assert study(config=file, model="gmm").model.kind == "gmm"
    assert merge({"model": "vae"}, {"model": {"steps": 3}}) == {"model": {"kind": "vae", "steps": 3}}


def test_a_real_fraction_means_retain_unless_another_regime_was_named() -> None:
    assert study(real_fraction=0.25).regime.model_dump() == {"kind": "retain", "real_fraction": 0.25, "pool": "resample"}  # type: ignore[attr-defined]
    with pytest.raises(SettingsProblem, match=r"^regime\.real_fraction: there is no such setting; there are: stream$"):
        study(regime="replace", real_fraction=0.25)


def test_a_study_written_down_is_the_same_study_and_names_every_default() -> None:
    made = study("judge.extractors=[classifier]", model="vae", real_fraction=0.5, dataset="zip:a*.zip")
    text = to_yaml(made)
    assert "imbalance: 1.0" in text and "pool: resample" in text and "temperature: 1.0" in text
    Path("written.yaml").write_text(text)
    assert build(Study, read_file(Path("written.yaml"))) == made


def test_the_default_folder_is_the_same_for_the_same_settings_only() -> None:
    assert study().name() == study("seed=0").name() == study("gens=11").name(), "more generations go on in it"
    assert study().name() != study("seed=1").name() != study("samples=11").name()


@pytest.mark.parametrize("model", ["ddpm", "vae"])
def test_an_option_that_came_later_is_written_where_it_is_used(model: str) -> None:
    """So that what was made before it was there has the name and the settings that it had."""
    plain, mirrored = study(f"model={model}"), study(f"model={model}", "model.mirror=true")
    assert "mirror" not in to_yaml(plain) and "mirror: true" in to_yaml(mirrored)
    assert build(Study, mirrored.model_dump(mode="json")) == mirrored != plain == build(Study, plain.model_dump(mode="json"))
    assert study(f"model={model}", "model.mirror=false").name() == plain.name() != mirrored.name()
    assert "mirror" in build(Study, {"judge": {"extractors": ["classifier"]}}).model_dump_json(), "the classifier has had it from the first"

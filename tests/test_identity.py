"""What makes a generation the one that it is: everything in a study but a named list; and what is not made twice because of that."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from imgcollapse import store
from imgcollapse.errors import SettingsProblem
from imgcollapse.images import ImageSet
from imgcollapse.judges.judge import Reference
from imgcollapse.models.vae import VAE
from imgcollapse.regimes import REGIMES, Accumulate, Replace
from imgcollapse.settings import build
from imgcollapse.store import history
from imgcollapse.store.identity import NOT_IDENTITY, identity, learning
from imgcollapse.store.manifest import made_by
from imgcollapse.study import Study, run

TOY: dict[str, Any] = {"dataset": {"kind": "grid25", "size": 200}, "model": "bootstrap", "gens": 3}
NET: dict[str, Any] = {"dataset": "digits", "model": {"kind": "vae", "steps": 3, "width": 8, "prior": "normal"}, "samples": 40, "gens": 2}
NET["judge"] = {"extractors": ["pixels"], "metrics": ["frechet_distance"]}
OTHER: dict[str, Any] = {
    "dataset": {"kind": "grid25", "size": 300},
    "model": "gaussian",
    "regime": "accumulate",
    "gates": ["curate"],
    "init": "previous",
    "correction": "neon",
    "judge": {"k": 3},
    "keep": {"models": "none"},
    "ensemble": 2,
    "gens": 5,
    "samples": 100,
    "seed": 1,
}


def made(folder: Path, values: dict[str, Any], shared: Path | None = None) -> Path:
    run(build(Study, values), folder, shared=shared)
    return folder


def samples(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("gen_*/samples.npz"))]


def how(folder: Path) -> list[str]:
    return [line["how"] for line in history.lines(folder) if line["how"] != "thinned"]


def counted(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[object]:
    """A list that grows whenever the method is called."""
    calls: list[object] = []
    real = getattr(owner, name)

    def counting(self: object, *args: object, **more: object) -> object:
        calls.append(self)
        return real(self, *args, **more)

    monkeypatch.setattr(owner, name, counting)
    return calls


@pytest.mark.parametrize("field", [name for name in Study.model_fields if name != "plugins"])  # those: tests/test_plugins.py
def test_a_field_of_a_study_is_in_the_identity_or_the_list_says_why_not(field: str) -> None:
    plain, other = (build(Study, values).model_dump(mode="json") for values in (TOY, {**TOY, field: OTHER[field]}))
    assert plain.get(field) != other.get(field)
    differs = identity(plain) != identity(other)
    assert differs != (field in NOT_IDENTITY), "either it decides a generation, or the list gives the reason why it does not"


def test_the_list_names_fields_that_there_are_and_a_reason_for_each() -> None:
    assert set(NOT_IDENTITY) < set(Study.model_fields) and all(len(reason.split()) > 4 for reason in NOT_IDENTITY.values())


@pytest.mark.parametrize("field", ["gens", "judge", "keep"])
def test_what_is_left_out_changes_no_generation(field: str, tmp_path: Path) -> None:
    plain = made(tmp_path / "plain", TOY, tmp_path / "shared")
    other = made(tmp_path / "other", {**TOY, field: OTHER[field]}, tmp_path / "shared")
    assert how(other)[:3] == ["shared"] * 3 and samples(other)[:3] == samples(plain)


def test_what_stands_in_the_identity_for_what_is_left_out(tmp_path: Path) -> None:
    """Data, training set and parents by their digests, the weights that it began from, and how many pictures are drawn."""
    plain = made_by(made(tmp_path / "plain", NET) / "gen_001")
    for values, names in (
        ({"dataset": {"kind": "digits", "subset": 100}}, {"data", "training_set", "parents"}),
        ({"regime": "accumulate"}, {"training_set"}),
        ({"gates": [{"kind": "curate", "keep": 0.5}]}, {"training_set", "drawn", "parents"}),
        ({"init": "previous"}, {"start"}),
        ({"samples": 50}, {"samples", "training_set", "drawn", "parents"}),
    ):
        other = made_by(made(tmp_path / str(names), {**NET, **values}) / "gen_001")
        assert plain is not None and other is not None
        assert {name for name in plain if plain[name] != other[name]} == names, values


def test_an_ablation_of_samplers_trains_generation_0_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = counted(monkeypatch, VAE, "fit")
    arms = [{"kind": "vae", "steps": 3, "width": 8, "sampling": {"temperature": one}} for one in (1.0, 0.5, 0.2)]
    runs = [made(tmp_path / str(number), {**NET, "model": arm}, tmp_path / "shared") for number, arm in enumerate(arms)]
    assert len(fits) == 1 + 3, "generation 0 once, generation 1 of each arm from samples of its own"
    firsts = {samples(folder)[0] for folder in runs}
    assert len(firsts) == 3 and len({(folder / "gen_000/model/diffusion_pytorch_model.safetensors").read_bytes() for folder in runs}) == 1
    alone = made(tmp_path / "alone", {**NET, "model": arms[2]})
    assert samples(alone) == samples(runs[2]), "weights from a file draw what the fitted ones do"


def test_arms_that_draw_in_another_way_learn_the_same() -> None:
    one, other = ({"model": {"kind": "vae", "steps": 3, "sampling": {"temperature": t}}, "samples": n} for t, n in ((1.0, 10), (0.5, 20)))
    assert one != other and learning(one) == learning(other)
    assert learning({**one, "model": {"kind": "vae", "steps": 4}}) != learning(one)


@pytest.mark.parametrize("regime", ["replace", "accumulate"])
def test_a_resumed_run_builds_no_training_set_of_a_finished_generation(
    regime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {**TOY, "regime": regime, "judge": {"metrics": ["frechet_distance"]}}
    folder = made(tmp_path / "run", values)
    built = counted(monkeypatch, {"replace": Replace, "accumulate": Accumulate}[regime], "__call__")
    made(folder, values)
    assert not built
    made(folder, {**values, "gens": 4})
    assert len(built) == 1 and how(folder) == ["made"] * 4


def test_a_run_that_keeps_no_word_of_a_generation_looks_at_all_of_it(tmp_path: Path) -> None:
    """Without its history it cannot tell the generations of another regime from its own but by their training sets."""
    values = {**TOY, "judge": {"extractors": []}}
    folder, other = made(tmp_path / "run", values), made(tmp_path / "other", {**values, "regime": "accumulate"})
    wanted = samples(folder)
    (folder / "history.jsonl").unlink()
    shutil.rmtree(folder / "gen_001")
    shutil.copytree(other / "gen_001", folder / "gen_001")
    made(folder, values)
    assert samples(folder) == wanted and how(folder) == ["kept", "made", "kept"]


def test_generation_0_is_shared_by_arms_that_differ_in_what_follows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits, judged = counted(monkeypatch, VAE, "fit"), counted(monkeypatch, Reference, "__call__")
    arms: list[dict[str, Any]] = [{}, {"regime": "accumulate"}, {"init": "previous"}, {"init": "base"}]
    for number, arm in enumerate(arms):
        made(tmp_path / str(number), {**NET, **arm}, tmp_path / "shared")
    assert len(fits) == 1 + 3, "in generation 1 the previous model is the base model"
    assert len(judged) == 1 + 3, "what is alike is judged once"


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("init", ["previous", pytest.param("base", marks=pytest.mark.slow)])
def test_a_network_begins_with_the_weights_that_it_is_given(
    regime: str, init: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[Any] = []
    real = VAE.fit

    def fit(self: VAE, images: ImageSet, seed: int, start: VAE | None = None) -> VAE:
        began.append(start)
        return real(self, images, seed, start)

    monkeypatch.setattr(VAE, "fit", fit)
    folder = made(tmp_path / "run", {**NET, "gens": 3, "regime": regime, "init": init, "judge": {"extractors": []}})
    assert began[0] is None
    for generation, start in enumerate(began[1:], 1):
        source = generation - 1 if init == "previous" else 0
        wanted = build(VAE, NET["model"]).load(folder / f"gen_{source:03d}" / "model").weights()
        assert all((wanted[name] == value).all() for name, value in start.weights().items())
        record = made_by(folder / f"gen_{generation:03d}")
        assert record is not None and record["start"]["generation"] == source
    scratch = made(tmp_path / "scratch", {**NET, "gens": 3, "regime": regime, "judge": {"extractors": []}})
    assert samples(scratch)[0] == samples(folder)[0] and samples(scratch)[1] != samples(folder)[1]


@pytest.mark.parametrize("regime", REGIMES)
def test_curation_by_chance_crosses_with_every_regime(regime: str, tmp_path: Path) -> None:
    values = {**TOY, "regime": regime, "gates": [{"kind": "curate", "keep": 0.5}], "samples": 100}
    folder = made(tmp_path / "run", values)
    for generation in range(3):
        place = store.generation_folder(folder, generation)
        assert len(store.read_images(place / "samples.npz")) == 200, "twice as many candidates are drawn"
        record = store.read_json(place / "provenance.json")
        times = {"accumulate": 1 + generation, "augment": 1 + (generation > 0)}
        assert record["size"] == 100 * times.get(regime, 1)
        for origin, offered in record["gates"]["offered"].items():
            let_in = record["gates"]["let_in"][origin]["pictures"]
            assert let_in == (offered["pictures"] if origin == "real" else 100) and offered["pictures"] >= let_in
    plain = made(tmp_path / "plain", {**TOY, "regime": regime, "samples": 100})
    assert "gates" not in store.read_json(plain / "gen_001" / "provenance.json")
    made(folder, values)
    assert how(folder) == ["made"] * 3


def test_a_stream_for_replace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {**NET, "regime": {"kind": "replace", "stream": True}, "gens": 3}
    folder = made(tmp_path / "run", values)
    for generation in (1, 2):
        record = store.read_json(store.generation_folder(folder, generation) / "provenance.json")
        origin = f"generation {generation - 1}"
        assert record["stream"]["generation"] == generation - 1 and record["made_of"] == {origin: {"pictures": 3 * 128, "classes": {}}}
    assert samples(made(tmp_path / "again", values)) == samples(folder)
    plain = made(tmp_path / "plain", {**NET, "gens": 3})
    assert samples(plain)[0] == samples(folder)[0] and samples(plain)[1] != samples(folder)[1]
    fits = counted(monkeypatch, VAE, "fit")
    made(folder, values)
    assert not fits


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"init": "previous"}, r"^init: model 'bootstrap' has no weights to start from; set it to scratch"),
        ({"regime": {"kind": "replace", "stream": True}}, r"^regime\.stream: model 'bootstrap' learns from a whole set at once; set it to"),
        ({**NET, "regime": {"kind": "replace", "stream": True}, "gates": ["curate"]}, r"^gates: a stream has no set of samples"),
        ({"regime": "accumulate", "keep": {"samples": "last"}}, r"^keep\.samples: regime 'accumulate' learns from .*; set it to all$"),
        ({**NET, "init": "base", "keep": {"models": "last"}}, r"^keep\.models: init 'base' begins every generation with .* set it to all"),
    ],
    ids=str,
)
def test_parts_that_do_not_go_together_are_refused_before_anything_is_written(values: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsProblem, match=said):
        made(tmp_path / "run", {**TOY, **values})
    assert not (tmp_path / "run").exists()

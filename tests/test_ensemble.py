"""Several chains that feed each other: from whom each learns and by whose seed; and they are kept, resumed and judged as any run."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from terminal import call, done

from imgcollapse import progress, reports, store
from imgcollapse.ablation import ensemble, plan
from imgcollapse.errors import SettingsProblem
from imgcollapse.exchange.card.subject import Lineage, lineages
from imgcollapse.gates.chains import Ensemble, shares
from imgcollapse.images import CHAINS, ImageSet
from imgcollapse.regimes import REGIMES, made_of, of_chain, origins
from imgcollapse.reports.reproduce import reproduce
from imgcollapse.seeds import derive
from imgcollapse.settings import build
from imgcollapse.store import history
from imgcollapse.store.manifest import made_by, part_digest
from imgcollapse.store.records import read_json
from imgcollapse.store.run_folder import RunFolder
from imgcollapse.study import DEFAULT_KINDS, Study, prepare
from imgcollapse.study import run as run_alone

K = 3
TOY: dict[str, Any] = {"dataset": {"kind": "grid25", "size": 300}, "samples": 31, "gens": 3, "judge": {"extractors": []}}
TOY |= {"model": {"kind": "gmm", "components": 3}}
RING, ALL, OWN = ({**TOY, "ensemble": {"chains": K, "mix": mix}} for mix in ("ring", "all", "own"))


def made(folder: Path, values: dict[str, Any], shared: Path | None = None) -> Path:
    ensemble.run(build(Study, {**DEFAULT_KINDS, **values}), folder, shared=shared)
    return folder


def part(folder: Path, chain: int, generation: int) -> Path:
    return store.generation_folder(store.chain_folder(folder, chain), generation)


def samples(folder: Path, chain: int, generation: int) -> ImageSet:
    return store.read_images(part(folder, chain, generation) / store.SAMPLES)


def learned(folder: Path, chain: int, generation: int) -> ImageSet:
    """What a chain learned from, proved by the digest."""
    one = plan.run_at(store.chain_folder(folder, chain))
    study, world, real = prepare(one.study)
    found, _ = study.training_set(world, real, RunFolder(one.folder, study.model.load).past(generation))
    assert isinstance(found, ImageSet)
    assert found.digest() == provenance(part(folder, chain, generation))["training_set"]
    return found


def provenance(generation: Path) -> dict[str, Any]:
    return read_json(generation / store.PROVENANCE)


def counts(generation: Path) -> dict[str, int]:
    return {name: one["pictures"] for name, one in provenance(generation)["made_of"].items()}


def made_files(folder: Path) -> dict[str, Any]:
    """Every file of every generation, of manifests what made them."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (
            path.is_file()
            and "gen_" in name
            and not name.startswith(("scores", "set_aside"))
            and "/scores/" not in name
            and "aside" not in name
        ):
            found[name] = made_by(path.parent) if path.name == "MANIFEST.json" else path.read_bytes()
    return found


# from whom a chain learns


def test_a_mix_has_equal_shares_of_all_and_so_has_every_beginning_of_it() -> None:
    sets = [ImageSet.of(torch.arange(100 * k, 100 * k + 31, dtype=torch.float32).view(31, 1, 1, 1), born=k) for k in range(K)]
    mixed = shares(sets, 5)
    assert mixed.born.tolist() == [i % K for i in range(31)] and mixed.digest() == shares(sets, 5).digest() != shares(sets, 6).digest()
    values = mixed.pixels.flatten().tolist()
    assert len(set(values)) == 31 and all(100 * (i % K) <= value < 100 * (i % K) + 31 for i, value in enumerate(values))
    chosen = Counter(value for seed in range(3000) for value in shares(sets, seed).pixels.flatten().tolist())
    for k, taken in enumerate((11, 10, 10)):  # each with the chance taken / 31
        hits = torch.tensor([chosen[100 * k + i] for i in range(31)]) - 3000 * taken / 31
        assert hits.abs().max() < 5 * (3000 * taken / 31 * (1 - taken / 31)) ** 0.5


def test_who_hears_whom() -> None:
    heard = {mix: [Ensemble(chains=K, mix=mix).placed(k, 0).heard() for k in range(K)] for mix in ("own", "ring", "all")}  # type: ignore[arg-type]
    assert heard == {"own": [[0], [1], [2]], "ring": [[2], [0], [1]], "all": [[0, 1, 2], [1, 2, 0], [2, 0, 1]]}


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("ring") / "run", RING)


@pytest.fixture(scope="module")
def all_(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("all") / "run", ALL)


def test_in_a_ring_each_learns_from_the_one_before_it(ring: Path) -> None:
    for k in range(K):
        before = (k - 1) % K
        assert counts(part(ring, k, 0)) == {"real": 31}
        assert counts(part(ring, k, 2)) == {f"generation 1 of chain {before}": 31}
        found = learned(ring, k, 2)
        assert torch.equal(found.pixels, samples(ring, before, 1).pixels) and not torch.equal(found.pixels, samples(ring, k, 1).pixels)
        assert (made_by(part(ring, k, 2)) or {})["parents"] == {f"1 of chain {before}": part_digest(part(ring, before, 1), store.SAMPLES)}


def test_of_all_each_learns_from_equal_shares_of_its_own_choice(all_: Path) -> None:
    sets = []
    for k in range(K):
        assert counts(part(all_, k, 2)) == {f"generation 1 of chain {j}": 11 if j == k else 10 for j in range(K)}
        assert set((made_by(part(all_, k, 2)) or {})["parents"]) == {f"1 of chain {j}" for j in range(K)}
        found = learned(all_, k, 2)
        for i, row in enumerate(found.pixels):
            assert (row == samples(all_, (k + i) % K, 1).pixels).flatten(1).all(1).any(), "by turns, itself first"
        sets.append({row.numpy().tobytes() for row in found.pixels})
    assert sets[0] != sets[1] != sets[2]


def test_the_first_chain_of_the_control_is_the_study_itself_and_the_others_are_it_with_other_seeds(tmp_path: Path) -> None:
    """Byte for byte, under a regime and a gate that choose by chance; digits have one split for all seeds, as all chains have."""
    values = {**TOY, "dataset": {"kind": "digits", "subset": 200}, "model": "gaussian", "seed": 4}
    values |= {"regime": "accumulate-subsample", "gates": [{"kind": "curate", "keep": 0.5}]}
    folder = made(tmp_path / "chains", {**values, "ensemble": {"chains": 2, "mix": "own"}})
    for k, seed in enumerate((4, derive(4, "chain", 1))):
        run_alone(build(Study, {**values, "seed": seed}), tmp_path / str(k))
        assert made_files(store.chain_folder(folder, k)) == made_files(tmp_path / str(k)) != {}


@pytest.mark.parametrize("mix", ["ring", "all"])
def test_a_chain_that_hears_only_itself_is_the_study_itself(mix: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "chains", {**TOY, "ensemble": {"chains": 1, "mix": mix}})
    run_alone(build(Study, TOY), tmp_path / "alone")
    for g in range(3):
        assert torch.equal(samples(folder, 0, g).pixels, store.read_images(tmp_path / f"alone/gen_{g:03d}" / store.SAMPLES).pixels)


@pytest.mark.parametrize("mix", ["ring", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("regime", REGIMES)
def test_under_every_regime_the_others_stand_in_the_past_and_real_pictures_where_they_always_do(
    regime: str, mix: str, tmp_path: Path
) -> None:
    values = {**TOY, "model": "bootstrap", "samples": 30, "regime": regime, "ensemble": {"chains": K, "mix": mix}}
    folder = made(tmp_path / "chains", values)
    run_alone(build(Study, {**values, "ensemble": None}), tmp_path / "alone")
    alone, own = counts(tmp_path / "alone/gen_002"), counts(part(folder, 1, 2))
    heard = (0,) if mix == "ring" else (0, 1, 2)
    by_chance = regime == "accumulate-subsample"
    assert sum(own.values()) == sum(alone.values()) and set(own) == {
        name if name == "real" else f"{name} of chain {k}" for name in alone for k in heard
    }
    for name, pictures in alone.items() if not by_chance else ():
        of_all = [own[name]] if name == "real" else [own[f"{name} of chain {k}"] for k in heard]
        assert sum(of_all) == pictures and max(of_all) - min(of_all) <= 1
    rows = learned(folder, 1, 2)
    assert Counter(origins(rows, ())[name]["pictures"] for name in own) == Counter(own.values())
    if regime == "teacher" and mix == "ring":
        assert set(own) == {"generation 0 of chain 0"} and not torch.equal(rows.pixels, samples(folder, 0, 0).pixels), (
            "drawn anew, for this one"
        )


def test_a_network_begins_with_the_weights_of_its_own_past(tmp_path: Path) -> None:
    small = {"kind": "vae", "steps": 2, "width": 8}
    values = {**RING, "dataset": {"kind": "digits", "subset": 100}, "model": small, "init": "previous", "gens": 2}
    folder = made(tmp_path / "chains", values)
    for k in range(K):
        start = (made_by(part(folder, k, 1)) or {})["start"]
        assert start == {"generation": 0, "sha256": part_digest(part(folder, k, 0), store.MODEL)}


def test_gates_look_at_what_others_published(tmp_path: Path) -> None:
    folder = made(tmp_path / "chains", {**ALL, "gates": [{"kind": "curate", "keep": 0.5}]})
    account = provenance(part(folder, 1, 1))["gates"]
    offered = {name: one["pictures"] for name, one in account["offered"].items()}
    assert offered == {"generation 0 of chain 0": 20, "generation 0 of chain 1": 21, "generation 0 of chain 2": 21}
    let_in = {name: one["pictures"] for name, one in account["let_in"].items()}
    assert counts(part(folder, 1, 1)) == let_in and sum(let_in.values()) == 31


def test_the_samples_of_generation_0_pass_a_detector_whoever_drew_them() -> None:
    from imgcollapse.gates import Detect
    from imgcollapse.regimes import Real

    pictures = ImageSet.of(torch.zeros(4, 1, 2, 2, dtype=torch.uint8)).born_in(0)
    assert Detect().admit(of_chain(pictures, 2), Real(pictures, pictures), [pictures], 0).all()


def test_every_chain_has_its_own_model_or_its_own_settings_of_one(tmp_path: Path) -> None:
    models = [{"kind": "gmm", "components": 2}, "bootstrap", {"kind": "gmm", "components": 3}]
    values = {key: value for key, value in ALL.items() if key != "model"}
    folder = made(tmp_path / "chains", {**values, "ensemble": {"chains": K, "models": models}, "regime": "teacher"})
    kinds = [plan.run_at(store.chain_folder(folder, k)).study.model for k in range(K)]
    assert [one.kind for one in kinds] == ["gmm", "bootstrap", "gmm"] and [getattr(one, "components", 0) for one in kinds] == [2, 0, 3]
    study = plan.run_at(folder).study
    assert study.learner == "gmm + bootstrap" and study.title() == "gmm + bootstrap on grid25, teacher, 3 chains (all), seed 0"
    made(folder, {**values, "ensemble": {"chains": K, "models": models}, "regime": "teacher"})


# what they show together


def test_a_generation_of_the_run_is_equal_shares_of_its_chains(all_: Path) -> None:
    for g in range(3):
        folder = store.generation_folder(all_, g)
        union, latents = store.read_images(folder / store.SAMPLES), store.read_images(folder / store.LATENTS)
        assert len(union) == 31 and set(union.born.tolist()) == {g}
        for i, row in enumerate(union.pixels):
            assert (row == samples(all_, i % K, g).pixels).flatten(1).all(1).any()
        for i, row in enumerate(latents.pixels):
            assert torch.equal(row, store.read_images(part(all_, i % K, g) / store.LATENTS).pixels[i])
    total = sum((Counter(counts(part(all_, k, 2))) for k in range(K)), Counter())
    assert counts(store.generation_folder(all_, 2)) == dict(total) and set(total.values()) == {31}
    assert not (folder / store.MODEL).exists() and store.sound(all_) == [0, 1, 2]


def test_the_control_says_of_what_all_were_made(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", {**OWN, "regime": {"kind": "retain", "real_fraction": 0.2}})
    assert counts(store.generation_folder(folder, 1)) == {"real": 18, **{f"generation 0 of chain {k}": 25 for k in range(K)}}
    assert made_of(provenance(store.generation_folder(folder, 1))) == "learned from 19.4 % real, the rest generation 0 of chains 0 to 2"


# kept and resumed


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("writes", [0, 1, 3, 6, 11])
def test_a_run_that_was_killed_anywhere_ends_as_if_it_had_not_been(
    writes: int, all_: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the n-th generation is written, of three of three chains and as many of all together."""
    left, write = [writes], RunFolder.write

    def dying(self: RunFolder, *arguments: Any) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        write(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write", dying)
        with pytest.raises(Killed):
            made(tmp_path / "run", ALL)
    made(tmp_path / "run", ALL)
    assert made_files(tmp_path / "run") == made_files(all_)
    for folder in (tmp_path / "run", *(store.chain_folder(tmp_path / "run", k) for k in range(K))):
        assert [line["generation"] for line in history.lines(folder) if line["how"] == "made"] == [0, 1, 2], "none was made twice"


def test_more_generations_go_on(ring: Path, tmp_path: Path) -> None:
    folder = made(tmp_path / "run", {**RING, "gens": 1})
    made(folder, RING)
    assert made_files(folder) == made_files(ring)


class Told(progress.Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_damage_in_one_chain_is_found_told_and_mended(ring: Path, tmp_path: Path) -> None:
    folder, told = shutil.copytree(ring, tmp_path / "run"), Told()
    with (part(folder, 1, 1) / store.SAMPLES).open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"xyz")
    with progress.watched_by(told):
        made(folder, RING)
    (line,) = [line for line in told.lines if "made again" in line]
    assert line.startswith("chain 1: gen_001: samples.npz has changed")
    assert made_files(folder) == made_files(ring), "the same again, so that what learned from it fits still"


def test_what_learned_from_samples_that_are_others_now_is_made_again(ring: Path, tmp_path: Path) -> None:
    """Another ensemble's generation in the place of one: it is not this run's, and chain 2 learned from what it was."""
    other, folder, told = made(tmp_path / "other", {**RING, "seed": 9}), shutil.copytree(ring, tmp_path / "run"), Told()
    shutil.rmtree(part(folder, 1, 1))
    shutil.copytree(part(other, 1, 1), part(folder, 1, 1))
    assert "was made by other settings" in str(store.misfit(store.chain_folder(folder, 1), 1))
    assert store.misfit(store.chain_folder(folder, 2), 2) == "learned from samples that have since been made again"
    assert store.misfit(folder, 1) == "learned from samples that have since been made again", "so are those of all together"
    with progress.watched_by(told):
        made(folder, RING)
    assert made_files(folder) == made_files(ring) and any(line.startswith("chain 1: gen_001: was made by other") for line in told.lines)


def test_a_chain_that_fails_says_which_and_the_others_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = RunFolder.write

    def failing(self: RunFolder, generation: int, *arguments: Any) -> None:
        if (self.run.name, generation) == ("chain_1", 1):
            raise SettingsProblem("no more")
        write(self, generation, *arguments)

    monkeypatch.setattr(RunFolder, "write", failing)
    with pytest.raises(SettingsProblem, match=r"^chain 1: no more$"):
        made(tmp_path / "run", RING)
    assert [store.numbers(store.chain_folder(tmp_path / "run", k)) for k in range(K)] == [[0, 1], [0], [0]]
    assert store.numbers(tmp_path / "run") == [0] and not store.in_use(store.chain_folder(tmp_path / "run", 0))


def test_what_lies_in_the_place_of_a_chain_is_never_followed_or_overwritten(ring: Path, tmp_path: Path) -> None:
    folder, elsewhere, told = shutil.copytree(ring, tmp_path / "run"), tmp_path / "elsewhere", Told()
    store.chain_folder(folder, 1).rename(elsewhere)
    store.chain_folder(folder, 1).symlink_to(elsewhere)
    shutil.rmtree(store.chain_folder(folder, 2))
    store.chain_folder(folder, 2).write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")}
    with progress.watched_by(told):
        made(folder, RING)
    assert made_files(folder) == made_files(ring) and before == {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")}
    assert any("chain_1" in line for line in told.lines) and (folder / "set_aside" / "chain_2-1").read_text() == "mine"


def test_every_batch_of_a_stream_is_of_the_chains_own_model(tmp_path: Path) -> None:
    small = {"kind": "vae", "steps": 2, "width": 8}
    values = {**OWN, "dataset": {"kind": "digits", "subset": 100}, "model": small, "regime": {"kind": "replace", "stream": True}, "gens": 2}
    folder = made(tmp_path / "run", values)
    assert set(counts(part(folder, 1, 1))) == {"generation 0"}
    assert list(counts(folder / "gen_001")) == [f"generation 0 of chain {k}" for k in range(K)]


def test_all_chains_have_one_world_and_one_reference_where_seeds_split_anew(tmp_path: Path) -> None:
    values = {
        **RING,
        "dataset": {"kind": "digits", "subset": 100, "split": "seed"},
        "model": "gaussian",
        "gens": 1,
        "samples": 30,
        "seed": 3,
    }
    folder = made(tmp_path / "run", values)
    assert len({(place / store.DATA).read_text() for place in (folder, *(store.chain_folder(folder, k) for k in range(K)))}) == 1
    assert len({samples(folder, k, 0).digest() for k in range(K)}) == K


# settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ensemble": 0}, "ensemble.chains: 0 cannot be used; it should be greater than 0"),
        ({"ensemble": {"mix": "ring"}}, "ensemble.chains: is missing; give it a value"),
        ({"ensemble": {"chains": 2, "mix": "star"}}, "ensemble.mix: 'star' cannot be used; it should be 'own', 'ring' or 'all'"),
        ({"ensemble": {"chains": 3, "models": ["gmm", "bootstrap"]}}, "ensemble: there are 2 models for 3 chains; name one for each"),
        ({"ensemble": {"chains": 1, "models": ["bootstrap"]}}, "model: 'gmm' would not be used, as ensemble.models names one for each"),
        ({"ensemble": 32}, "ensemble.chains: 32 chains cannot share 31 pictures"),
        ({"ensemble": 2, "keep": {"samples": "last"}}, "keep.samples: samples of an ensemble are read by all its chains"),
        ({"ensemble": 2, "model": "vae", "regime": {"kind": "replace", "stream": True}}, "ensemble.mix: a stream has no set of samples"),
        ({"ensemble": {"chains": 2, "chain": 0, "seed": 0}}, "ensemble.chain: a chain is made beside the others"),
        ({"ensemble": {"chains": 2, "chain": 1}}, "ensemble: chain and seed are written by the program"),
        ({"ensemble": {"chains": 2, "models": ["vae", "gmm"]}, "model": "vae", "init": "base"}, "init: model 'gmm' has no weights"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    values = {**TOY, "dataset": {"kind": "digits", "subset": 100}, **changes}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))
    result = call("run", "--config", tmp_path / "study.yaml", "--out", tmp_path / "out")
    assert result.exit_code == 2 and message in result.output, result.output
    (tmp_path / "grid.yaml").write_text(
        yaml.safe_dump({"base": {k: v for k, v in values.items() if k != "seed"}, "seeds": 1, "nulls": False})
    )
    result = call("ablate", tmp_path / "grid.yaml", "--out", tmp_path / "out")
    assert result.exit_code == 2 and message in result.output, result.output
    assert not (tmp_path / "out").exists()


def test_a_number_stands_for_so_many_chains_and_none_leaves_a_study_its_name() -> None:
    assert build(Study, {**TOY, "ensemble": 3}).ensemble == Ensemble(chains=3, mix="all")
    plain = build(Study, TOY)
    assert "ensemble" not in plain.model_dump(mode="json") and plain.name() == "grid25-gmm-replace-seed0-" + plain.name()[-6:]
    assert len({build(Study, {**TOY, "ensemble": one}).name() for one in (None, 2, 3, {"chains": 3, "mix": "ring"})}) == 4


# the commands


@pytest.mark.slow
def test_the_commands_on_an_ensemble(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    flags = ["--dataset", "digits", "--model", "gaussian", "--gens", "2", "--samples", "60", "--extractor", "random"]
    result = done("run", *flags, "--set", "dataset.subset=200", "--set", "ensemble={chains: 2, mix: ring}", "--out", folder)
    assert "\nchain 1: generation 0  FD " in result.output and "\ngeneration 1  FD " in result.output
    page = (folder / reports.PAGE).read_text(encoding="utf-8")
    assert '<a href="chain_0/report.html">chain 0</a>' in page and (folder / "chain_1" / reports.PAGE).is_file()
    assert "mean of the chains" in page and "2 chains (ring)" in page and "generation 0 of chain 1" in page
    own = (folder / "chain_1" / reports.PAGE).read_text(encoding="utf-8")
    assert "chain 1 of 2 (ring)" in own and "mean of the chains" not in own
    assert "2 of 2" in done("status", folder).output
    judged = json.loads(done("judge", folder, "--set", "judge.k=3", "--json").stdout)["judged"]
    assert set(judged) == {str(folder), str(folder / "chain_0"), str(folder / "chain_1")}
    assert all(any("k 3" in name for name in store.scores(Path(place))[0].sources) for place in judged)
    changed = folder / "chain_0" / "study.yaml"
    changed.write_text(changed.read_text().replace("seed: 0", "seed: 77"))
    result = call("judge", folder, "--set", "judge.k=4")
    assert result.exit_code == 5 and f"{folder / 'chain_1'}: scores/" in result.stdout, "the others are judged all the same"
    assert f"{folder / 'chain_0'} is not judged, the others are: {changed}: was changed after the run was begun" in result.output
    changed.write_text(changed.read_text().replace("seed: 77", "seed: 0"))
    assert call("card", folder).output.startswith(
        f"imgcollapse: {folder}: is an ensemble, whose models lie in its chains; name one of them: "
    )
    card = json.loads(done("card", folder / "chain_1", "--json").stdout)
    assert (card["synthetic_share"], card["longest_chain"], card["mean_depth"]) == (1.0, 1, 1.0)
    done("export", folder, "--to", "npz")
    both = done("report", folder / "chain_0", folder / "chain_1", "-o", tmp_path / "both.html")
    assert both.exit_code == 0
    for place in (folder, folder / "chain_1"):
        words = reproduce(reports.read([place])).split("'")
        assert "ensemble.chains=2" in " ".join(words) and "ensemble.chain=" not in " ".join(words)


def test_lineage_goes_through_the_chains() -> None:
    def record(**made: int) -> dict[str, Any]:
        return {"size": sum(made.values()), "made_of": {name.replace("_", " "): {"pictures": n} for name, n in made.items()}}

    own = [record(real=4), record(generation_0_of_chain_0=2, real=2), record(generation_1_of_chain_0=1, generation_1_of_chain_1=3)]
    other = [record(real=4), record(generation_0_of_chain_1=4)]
    assert lineages(own, [own, other]) == [Lineage(0.0, 0, 0.0), Lineage(0.5, 1, 0.5), Lineage(1.0, 2, (1 * 1.5 + 3 * 2) / 4)]


@pytest.mark.slow
def test_an_ablation_of_mixes_compares_what_chains_show_together_and_shares_generation_0(tmp_path: Path) -> None:
    base = {**TOY, "gens": 2, "judge": {"metrics": ["frechet_distance"]}, "ensemble": {"chains": 2}}
    grid = {"base": base, "axes": {"ensemble.mix": ["own", "all"]}, "seeds": 1, "endpoint": "fd"}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
    done("ablate", tmp_path / "grid.yaml", "--out", tmp_path / "out", "--jobs", "1")
    runs = plan.read(tmp_path / "out")
    assert {run.arm for run in runs} == {"mix own", "mix all"}
    assert {run.null for run in runs} == {None, "bootstrap", "smooth", "gaussian"}
    parts = [store.chain_folder(run.folder, k) for run in runs if not run.null for k in range(2)]
    ways = Counter(line["how"] for one in parts for line in history.lines(one) if line["generation"] == 0)
    assert ways == {"made": 2, "shared": 2}, "the two chains' first generations are made once, for both arms"
    found = json.loads((tmp_path / "out/summary.json").read_text())
    assert found["endpoint"]["metric"] == "fd" and len(found["endpoint"]["found"]) == 1
    every = [history.lines(store.chain_folder(run.folder, k)) for run in runs for k in range(2)]
    linked = sum(line["how"] == "shared" for lines in every for line in lines)
    assert found["account"]["generations_linked_in_chains"] == linked >= 2 and found["account"]["seconds_saved"] > 0
    first = runs[0]
    row = next(row for row in (tmp_path / "out/ablation.csv").read_text().splitlines() if row.startswith(f"{first.arm},") and ",fd," in row)
    assert float(row.split(",")[8]) == store.scores(first.folder)[0].sources["pixels"]["fd"].value


@pytest.mark.slow  # starts processes
def test_judging_beside_changes_nothing(ring: Path, tmp_path: Path) -> None:
    values: dict[str, Any] = {**RING, "judge": {"metrics": ["frechet_distance"]}}
    landed: list[tuple[int, int]] = []
    study = build(Study, values)
    ensemble.run(study, tmp_path / "beside", beside=True, of_chain=lambda k, g, scores: landed.append((k, g)))
    assert sorted(landed) == [(k, g) for k in range(K) for g in range(3)]
    made(tmp_path / "run", values)
    for k in range(K):
        both = [store.scores(store.chain_folder(tmp_path / name, k)) for name in ("beside", "run")]
        values = [[found.sources["pixels"]["fd"].value for found in scores] for scores in both]  # real vs real is of fewer splits here
        assert values[0] == values[1] and len(values[0]) == 3
    assert made_files(tmp_path / "beside") == made_files(ring)


def test_marks_of_chains_are_names_in_provenance() -> None:
    points = ImageSet.of(torch.zeros(2, 1, 1, 1)).born_in(7)
    assert (
        list(origins(of_chain(points, 0), ())) == ["generation 7 of chain 0"] and of_chain(points, 1).born.tolist() == [2 * CHAINS + 7] * 2
    )

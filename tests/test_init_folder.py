"""`init: folder:PATH`: a folder that diffusers or imgcollapse saved, with whose weights every generation begins."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from chains import files
from safetensors.torch import load_file, save_file
from standins import pictures
from terminal import call
from torch import Tensor

from imgcollapse import store
from imgcollapse.ablation import worker
from imgcollapse.ablation.again import judge_again
from imgcollapse.ablation.worker import Resources
from imgcollapse.errors import DataProblem, OtherStudyProblem, SettingsProblem
from imgcollapse.exchange import card
from imgcollapse.images import ImageSet
from imgcollapse.judges.judge import Judge
from imgcollapse.machine import torchvision_guard  # noqa: F401 (diffusers imports torchvision)
from imgcollapse.machine.devices import Machine
from imgcollapse.models.ddpm import DDPM
from imgcollapse.models.folders import FromFolder, from_folder
from imgcollapse.models.vae import VAE
from imgcollapse.settings import build
from imgcollapse.store import history
from imgcollapse.store.manifest import made_by
from imgcollapse.study import Study, prepare, run

from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel  # isort: skip

SHAPE = (1, 8, 8)
UNET: dict[str, Any] = {  # what somebody who knows nothing of imgcollapse would write
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "layers_per_block": 1,
    "block_out_channels": (8, 8),
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
    "add_attention": False,
    "norm_num_groups": 8,
    "resnet_time_scale_shift": "scale_shift",
}
NOISE: dict[str, Any] = {"num_train_timesteps": 20, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}
MODEL: dict[str, Any] = {"kind": "ddpm", "steps": 2, "batch": 8, "widths": [8, 8], "timesteps": 20, "learning_rate": 1e-12}
STUDY: dict[str, Any] = {"model": MODEL, "samples": 40, "gens": 2, "judge": {"extractors": []}, "init": "folder:start"}


def saved(folder: Path, seed: int = 0, scheduler: Any = None, **changes: Any) -> Path:
    """A pipeline's folder as diffusers writes it, of random weights."""
    torch.manual_seed(seed)
    DDPMPipeline(UNet2DModel(**{**UNET, **changes}), scheduler or DDPMScheduler(**NOISE)).save_pretrained(folder)
    return folder


def learner(**options: Any) -> DDPM:
    return build(DDPM, {**MODEL, **options}).for_world(SHAPE, 3)


def given(folder: Path, model: Any = None) -> FromFolder:
    found = from_folder(f"folder:{folder}", model or learner(), SHAPE)
    assert found is not None
    return found


def weights_in(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def near(one: dict[str, Tensor], other: dict[str, Tensor], most: float = 1e-6) -> bool:
    return one.keys() == other.keys() and all(float((one[name] - value).abs().max()) <= most for name, value in other.items())


def made(folder: str, **changes: Any) -> Path:
    run(build(Study, {**STUDY, **changes}), Path(folder))
    return Path(folder)


def how(folder: Path) -> list[str]:
    return [line["how"] for line in history.lines(folder)]


# --- what is begun with


def test_every_generation_begins_with_the_weights_in_the_folder() -> None:
    """A learning rate of nothing leaves them as they were; those of a run from fresh weights, and of one that learns, are others."""
    start = weights_in(saved(Path("start")) / "unet")
    folder = made("run", gens=3)
    for generation in range(3):
        place = store.generation_folder(folder, generation)
        assert near(weights_in(place / "model/unet"), start)
        record = made_by(place)
        assert record is not None and record["start"] == {"sha256": given(Path("start")).digest}
    for other in (made("scratch", init="scratch"), made("learning", model={**MODEL, "learning_rate": 1e-2})):
        assert not near(weights_in(other / "gen_000/model/unet"), start, 1e-3)
    assert store.readable(folder / store.START) == {"weights": given(Path("start")).digest}
    assert "init folder:start" in build(Study, STUDY).title()


def test_half_of_a_number_and_another_scheduler_of_the_same_noise_are_read_too() -> None:
    torch.manual_seed(0)
    DDPMPipeline(UNet2DModel(**{**UNET, "sample_size": (8, 8)}).half(), DDIMScheduler(**NOISE)).save_pretrained("start")
    found = given(Path("start")).model.weights()
    assert all(value.dtype == torch.float32 for value in found.values())
    assert near(found, {name: value.float() for name, value in weights_in(Path("start/unet")).items()}, 0)
    config = Path("start/scheduler/scheduler_config.json")
    old = {name: value for name, value in json.loads(config.read_text()).items() if name in ("num_train_timesteps", "beta_schedule")}
    config.write_text(json.dumps(old))  # as the first versions of diffusers wrote it, when every network predicted noise
    assert near(given(Path("start"), learner(prediction="epsilon")).model.weights(), found, 0)


@pytest.mark.parametrize("options", [{"patch": 2}, {"class_conditional": True}, {"class_conditional": True, "condition_dropout": 0.1}])
def test_what_imgcollapse_saved_is_a_folder_to_begin_with(options: dict[str, Any]) -> None:
    images = ImageSet.of(pictures(30, 1), torch.arange(30) % 3)
    fitted = learner(**options, learning_rate=1e-3).fit(images, 0)
    fitted.save(Path("start"))
    found = given(Path("start"), learner(**options))
    assert near(found.model.weights(), fitted.weights(), 0)
    again = learner(**options).fit(images, 7, start=found.model)
    assert near(again.weights(), fitted.weights()) and len(again.sample(5, 0)) == 5
    if "patch" in options:
        said = (
            r"config\.json: is of a PatchedUNet, the study's network is a UNet2DModel \(UNet2DModel where model\.patch is 1, .*; set the "
        )
        with pytest.raises(DataProblem, match=said):
            given(Path("start"))


def test_a_vae_begins_with_a_generation_of_another_run() -> None:
    vae = {"kind": "vae", "steps": 3, "width": 8, "prior": "normal", "learning_rate": 1e-2}
    first = made("first", model=vae, init="scratch", gens=1)
    second = made("second", model={**vae, "learning_rate": 1e-12}, init="folder:first/gen_000/model")
    for generation in range(2):
        assert near(weights_in(second / f"gen_{generation:03d}/model"), weights_in(first / "gen_000/model"))


def test_the_digest_is_of_the_weights_not_of_the_folder() -> None:
    one, other = given(saved(Path("a"))), given(saved(Path("b"), 1))
    shutil.copytree("a", "c")
    save_file(weights_in(Path("a/unet")), "c/unet/diffusion_pytorch_model.safetensors", {"written": "by somebody else"})
    assert given(Path("c")).digest == one.digest != other.digest
    swapped = one.model.weights()
    pair = [name for name, value in swapped.items() if value.shape == (8,)][:2]
    swapped[pair[0]], swapped[pair[1]] = swapped[pair[1]] + 1, swapped[pair[0]]
    assert FromFolder(Path("a"), one.model.with_weights(swapped)).digest != one.digest


# --- refused before anything is written


def edited(file: str, **changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        values = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({**values, **changes}))

    return edit


def removed(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def written(file: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes(content)


def weighted(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        weights = weights_in(folder / "unet")
        change(weights)
        save_file(weights, folder / "unet/diffusion_pytorch_model.safetensors")

    return edit


def pickled(folder: Path) -> None:
    torch.save(weights_in(folder / "unet"), folder / "unet/diffusion_pytorch_model.bin")
    removed("unet/diffusion_pytorch_model.safetensors")(folder)


TENSORS = "unet/diffusion_pytorch_model.safetensors"
WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no folder": (shutil.rmtree, r"start: is not a folder; name a folder that diffusers' DDPMPipeline\.save_pretrained wrote, or the "),
    "no index": (removed("model_index.json"), r"start/model_index\.json: is not there; name a folder that diffusers'"),
    "no config": (removed("unet/config.json"), r"start/unet/config\.json: is not there; name a folder"),
    "no weights": (removed(TENSORS), r"start/unet/diffusion_pytorch_model\.safetensors: is not there; name a folder"),
    "a pickle": (pickled, r"safetensors: is not there \(there is diffusion_pytorch_model\.bin; save_pretrained writes it, with safe_"),
    "no scheduler": (removed("scheduler/scheduler_config.json"), r"start/scheduler/scheduler_config\.json: is not there; name a folder"),
    "a damaged index": (
        written("model_index.json", b"{"),
        r"start/model_index\.json: is damaged \(no record in JSON\); save it again, or ",
    ),
    "an index of a list": (written("model_index.json", b"[1]"), r"start/model_index\.json: is damaged \(no record in JSON\); save it"),
    "damaged weights": (written(TENSORS, b"\x00" * 100), r"safetensors: is damaged \(.*\); save it again$"),
    "latents": (edited("model_index.json", vqvae=["diffusers", "VQModel"]), r"of scheduler, unet, vqvae, not of scheduler, unet; name"),
    "another class": (edited("unet/config.json", _class_name="UNet2DConditionModel"), r"is of a UNet2DConditionModel, the study's network"),
    "channels": (
        lambda folder: saved(folder, in_channels=3, out_channels=3),
        r"in_channels is 3 there, 1 here; out_channels is 3 there, 1",
    ),
    "shape": (lambda folder: saved(folder, sample_size=16), r"start/unet/config\.json: .* \(sample_size is 16 there, 8 here\); set the "),
    "widths": (
        lambda folder: saved(folder, block_out_channels=(16, 16)),
        r"\(block_out_channels is \[16, 16\] there, \[8, 8\] here\); set",
    ),
    "classes": (lambda folder: saved(folder, num_class_embeds=10), r"\(num_class_embeds is 10 there, None here\); set the model's options"),
    "what no shape shows": (lambda folder: saved(folder, norm_num_groups=4), r"\(norm_num_groups is 4 there, 8 here\); set the model's"),
    "an option of a newer version": (
        edited("unet/config.json", twist=True),
        r"\(twist is True there, None here\); set the model's options",
    ),
    "noise": (
        lambda folder: saved(folder, scheduler=DDPMScheduler(20)),
        r"of noise with other options .*prediction_type is 'epsilon' there, 'v_prediction' here; beta_sch",
    ),
    "levels": (
        edited("scheduler/scheduler_config.json", num_train_timesteps=1000),
        r"\(num_train_timesteps is 1000 there, 20 here\); set ",
    ),
    "no schedule": (written("scheduler/scheduler_config.json", b"{}"), r"beta_schedule is None there, 'squaredcos_cap_v2' here\); set the"),
    "a weight of another shape": (
        weighted(lambda weights: weights.update({"conv_in.bias": torch.zeros(9)})),
        r"safetensors: weights of another architecture \('conv_in\.bias': \[9\] there, \[8\] here\); take those of a model of the same",
    ),
    "a weight too few": (weighted(lambda weights: weights.pop("conv_in.bias")), r"'conv_in\.bias': none there, \[8\] here\); take those"),
    "a weight too many": (
        weighted(lambda weights: weights.update(more=torch.zeros(1))),
        r"'more': \[1\] there, none here\); take those of",
    ),
    "no number": (weighted(lambda weights: weights["conv_in.bias"].fill_(float("nan"))), r"'conv_in\.bias' has values that are NaN"),
    "a model of another kind": (
        lambda folder: build(VAE, {"steps": 1, "width": 8, "prior": "normal"}).fit(ImageSet.of(pictures(9, 1)), 0).save(folder),
        r"start: holds a model of kind 'vae', the study's is 'ddpm'; set the model's options to those of the folder, or ",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_folder_that_cannot_be_begun_with_is_one_line(wrong: str) -> None:
    hurt, said = WRONG[wrong]
    hurt(saved(Path("start")))
    with pytest.raises(DataProblem, match=f"^init: .*{said}") as caught:
        given(Path("start"))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_vae_wants_a_vae_that_makes_pictures_in_the_same_way() -> None:
    vae = build(VAE, {"steps": 1, "width": 8, "prior": "normal"}).for_world(SHAPE, 0)
    with pytest.raises(DataProblem, match=r"^init: start: holds no saved model \(imgcollapse\.json is missing or damaged\); name a "):
        given(saved(Path("start")), vae)
    vae.fit(ImageSet.of(pictures(9, 1)), 0).save(Path("vae"))
    with pytest.raises(DataProblem, match=r"^init: vae: holds a model of observation 'logistic', the study's is 'bernoulli'; set the "):
        given(Path("vae"), vae.model_copy(update={"observation": "bernoulli"}))
    with pytest.raises(
        DataProblem, match=r"^init: vae/config\.json: is of a network with other .* \(latent is 16 there, 4 here\); set the "
    ):
        given(Path("vae"), vae.model_copy(update={"latent": 4}))


def test_nothing_is_written_where_the_folder_or_the_model_is_refused() -> None:
    with pytest.raises(DataProblem, match=r"^init: start: is not a folder; "):
        made("run")
    with pytest.raises(SettingsProblem, match=r"^init: model 'gmm' has no weights to start from; set it to scratch, or take a model "):
        made("run", model={"kind": "gmm"})
    Path("grid.yaml").write_text(yaml.safe_dump({"base": STUDY, "arms": {"one": {}}, "seeds": 1}))
    said = call("ablate", "grid.yaml", "--out", "out")
    *before, error = said.stderr.splitlines()
    assert said.exit_code == 3 and "arm 'one': init: start: is not a folder; " in error
    assert len(before) == 1 and before[0].startswith("out: ")
    assert not Path("run").exists() and not Path("out").exists()


# --- resumed, shared, judged again


def test_a_run_goes_on_with_the_same_weights_only() -> None:
    saved(Path("start"))
    folder = made("run")
    before = files(folder)
    made("run")
    assert files(folder).keys() == before.keys() and how(folder) == ["made", "made"]
    shutil.copytree("start", "kept")
    shutil.rmtree("start")
    saved(Path("start"), 1)
    said = r"^run/start\.json: the run was begun with another \(weights '.*', now '.*'\); put back what it was begun with, or "
    with pytest.raises(OtherStudyProblem, match=said):
        made("run", gens=3)
    assert how(folder) == ["made", "made"]
    shutil.rmtree("start")
    shutil.copytree("kept", "start")
    assert how(made("run", gens=3)) == ["made", "made", "made"]
    judged = [0]
    shutil.rmtree("start")
    judge_again(build(Study, STUDY), folder, build(Judge, {"extractors": ["pixels"]}), lambda *landed: judged.append(1))
    assert len(judged) == 4, "what is judged needs no weights to begin with"


def test_what_began_with_other_weights_is_made_again_where_the_runs_own_word_of_them_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    saved(Path("start"))
    folder = made("run")
    shutil.rmtree("start")
    saved(Path("start"), 1)
    (folder / "start.json").unlink()
    made("run")
    assert how(folder) == ["made"] * 4 and near(weights_in(folder / "gen_001/model/unet"), weights_in(Path("start/unet")))
    assert sorted(path.name for path in (folder / "set_aside").iterdir()) == ["gen_000-1", "gen_001-1"]


def test_workers_of_an_ablation_begin_with_it_and_share_what_began_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    saved(Path("start"))
    saved(Path("other"), 1)
    shutil.copytree("start", "again")
    resources = Resources.of(Machine("cpu", "float32"), 1, Path("shared"))
    for name in ("start", "again", "other"):
        chosen = prepare(build(Study, {**STUDY, "init": f"folder:{name}"}))[0]
        worker.lay_out(Path(name + "-run"), chosen, resources)
        assert worker.work(Path(name + "-run")) == 0
        assert near(weights_in(Path(name + "-run/gen_001/model/unet")), weights_in(Path(name) / "unet"))
    assert [how(Path(name + "-run")) for name in ("start", "again", "other")] == [["made"] * 2, ["shared"] * 2, ["made"] * 2]


@pytest.mark.slow
def test_an_ablation_of_where_to_begin_has_null_models_that_begin_with_nothing() -> None:
    saved(Path("start"))
    base = {**STUDY, "model": {**MODEL, "learning_rate": 1e-3}, "judge": {"extractors": ["pixels"], "metrics": ["frechet_distance"]}}
    values = {"base": base, "arms": {"fresh": {"init": "scratch"}, "begun": {}}, "seeds": 1, "endpoint": "fd"}
    Path("grid.yaml").write_text(yaml.safe_dump(values))
    result = call("ablate", "grid.yaml", "--out", "out", "--jobs", "2")
    assert result.exit_code == 0, result.output
    records = [made_by(path) for path in Path("out").glob("runs/*-ddpm-*/gen_000")]
    assert sorted(record["start"] is None for record in records if record) == [False, True]


def test_a_card_says_that_more_was_learned_from_than_it_knows() -> None:
    saved(Path("start"))
    for name, init in (("begun", "folder:start"), ("fresh", "scratch")):
        card.write(made(name, init=init, gens=1), out=Path(name + "-card"))
        text = Path(name + "-card/model/README.md").read_text()
        assert ("began with the weights of another model (`init`); what that one" in text) == (name == "begun")

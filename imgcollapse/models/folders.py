"""Weights to begin with that lie in a folder: what anyone has saved with diffusers, or a model that imgcollapse saved."""

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator

from imgcollapse import seeds
from imgcollapse.errors import DataProblem, SettingsProblem, brief
from imgcollapse.files import NOT_THERE, expanded, read_regular
from imgcollapse.heavy import nn, torch
from imgcollapse.models.network import Network, put
from imgcollapse.models.weights import ABOUT, read_about

FOLDER = "folder:"
INDEX, CONFIG, WEIGHTS = "model_index.json", "config.json", "diffusion_pytorch_model.safetensors"
NOISE = ("prediction_type", "num_train_timesteps", "beta_schedule", "trained_betas", "rescale_betas_zero_snr")  # of a scheduler
NOT_COMPARED = ("dropout",)  # of a network: it acts in training alone, where the study's own counts
ANOTHER = "name a folder that diffusers' DDPMPipeline.save_pretrained wrote, or the `model` folder of a generation"
OPTIONS = "set the model's options to those of the folder, or name another folder"

N = TypeVar("N", bound="nn.Module")


def _known(init: str) -> str:
    if init in ("scratch", "previous", "base") or (init.startswith(FOLDER) and init.removeprefix(FOLDER).strip()):
        return init
    raise ValueError(f"{brief(init)} cannot be used; it should be 'scratch', 'previous', 'base' or 'folder:PATH'")


def _folder(init: object) -> object:
    """`folder:` without a path is a mapping to YAML, and here a folder without a name."""
    if init in ({"folder": None}, FOLDER):
        raise ValueError("folder: names no folder; write folder:PATH")
    return init


Init = Annotated[str, BeforeValidator(_folder), AfterValidator(_known)]
INIT = (
    "the weights that training starts from: scratch (new ones), previous (those of the generation before), base (those of generation 0), "
    "or folder:PATH (in every generation, those in a folder of diffusers' DDPMPipeline or of a model that imgcollapse saved)"
)


@dataclass(frozen=True, eq=False)
class FromFolder:
    """Weights from a folder, with which every generation of a run begins.

    folder: where they lie, which decides nothing
    model:  with these weights, not trained
    """

    folder: Path
    model: Any

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the names, types, shapes and values of the weights, as the network holds them."""
        whole = sha256()
        for name, value in sorted(self.model.weights().items()):
            whole.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            whole.update(value.contiguous().numpy().tobytes())
        return whole.hexdigest()

    def origin(self) -> dict[str, Any]:
        """What of it decides a generation that begins with it."""
        return {"sha256": self.digest}

    def record(self) -> dict[str, Any]:
        """The same, for the run that may not begin with other ones under way."""
        return {"weights": self.digest}


def named(init: str) -> str:
    """The same for a title: of a path the last name alone, as of the folders of pictures."""
    return f"{FOLDER}{Path(init.removeprefix(FOLDER)).name}" if init.startswith(FOLDER) else init


def from_folder(init: str, model: object, shape: tuple[int, int, int]) -> FromFolder | None:
    """The weights in the folder that `init` names, read and found fit for the model; None where it names none.

    `model` is a network with every choice made for pictures of `shape`, (C, H, W). Raises DataProblem where something in the folder is
    missing, damaged, or of another network, SettingsProblem for a model that is none.
    """
    if not init.startswith(FOLDER):
        return None
    if not isinstance(model, Network):
        wrong = f"model '{getattr(model, 'kind', model)}' has no weights that a folder could hold"
        raise SettingsProblem(f"init: {wrong}; name the folder in model.fit, and set init to scratch, previous or base")
    folder = expanded(init.removeprefix(FOLDER))
    if not folder.is_dir():
        raise DataProblem(f"init: {folder}: is not a folder; {ANOTHER}")
    with seeds.global_torch_seed(0):  # the fresh weights of a network are drawn, and none of them is kept
        return FromFolder(folder, model.begun(folder, shape))


def refuse_other_model(folder: Path, options: Mapping[str, Any], needed: bool) -> None:
    """Raises DataProblem where imgcollapse saved a model there with another value of one of these options; `needed`: or saved none."""
    if not needed and not (folder / ABOUT).exists():
        return
    try:
        there = read_about(folder)["options"]
    except DataProblem as problem:
        raise DataProblem(f"init: {problem}") from None
    for name, here in options.items():
        if there.get(name, here if name != "kind" else None) != here:
            raise DataProblem(f"init: {folder}: holds a model of {name} {there.get(name)!r}, the study's is {here!r}; {OPTIONS}")


def refuse_other_pipeline(folder: Path, scheduler: Mapping[str, Any]) -> None:
    """Raises DataProblem where the folder holds no pipeline of a network for pixels, or one of other noise than this scheduler's.

    scheduler: the config of diffusers' scheduler of the study
    """
    parts = sorted(name for name in _record(folder / INDEX) if not name.startswith("_"))
    if parts != ["scheduler", "unet"]:
        raise DataProblem(f"init: {folder / INDEX}: names a pipeline of {', '.join(parts) or 'nothing'}, not of scheduler, unet; {ANOTHER}")
    place = folder / "scheduler" / "scheduler_config.json"
    there = {"prediction_type": "epsilon", "rescale_betas_zero_snr": False, **_record(place)}  # which older versions do not write
    names = (*NOISE, *(("beta_start", "beta_end") if scheduler["beta_schedule"] == "linear" else ()))
    _refuse_others(place, "noise", {name: there.get(name) for name in names}, {name: scheduler[name] for name in names})


def read(folder: Path, net: N) -> N:
    """The network with the weights that diffusers' `save_pretrained` wrote of one of the same class, options and shapes.

    Raises DataProblem for any other, for what is missing or damaged, and for weights that are no finite numbers.
    """
    from safetensors.torch import load

    config, place = _record(folder / CONFIG), folder / WEIGHTS
    if (kind := config.get("_class_name")) != (own := type(net).__name__):
        raise DataProblem(f"init: {folder / CONFIG}: is of a {kind}, the study's network is a {own}{_PATCHES}; {OPTIONS}")
    given = inspect.signature(type(net).__init__).parameters
    defaults = {name: one.default for name, one in given.items() if one.default is not one.empty}
    _refuse_others(folder / CONFIG, "a network", {**defaults, **config}, dict(net.config))  # type: ignore[arg-type]
    try:
        weights = load(_content(place, 2**34))
    except DataProblem:
        raise
    except Exception as error:  # safetensors raises its own, and more, by version
        raise DataProblem(f"init: {place}: is damaged ({brief(str(error), quoted=False)}); save it again") from None
    put(net, weights, f"init: {place}")
    for name, value in net.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            raise DataProblem(f"init: {place}: '{name}' has values that are NaN or infinite; {ANOTHER}")
    return net


_PATCHES = " (UNet2DModel where model.patch is 1, PatchedUNet where it is 2 or 4)"


def _refuse_others(place: Path, what: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Raises DataProblem that names all options in which two configs differ; one that only the other has counts where it is set."""
    theirs, ours = (dict(_flat(json.loads(json.dumps(config)))) for config in (there, here))
    ours = {**dict.fromkeys(theirs), **ours}
    wrong = [f"{name} is {brief(theirs.get(name))} there, {brief(own)} here" for name, own in ours.items() if theirs.get(name) != own]
    if wrong:
        raise DataProblem(f"init: {place}: is of {what} with other options than the study's ({'; '.join(wrong)}); {OPTIONS}")


def _flat(config: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """`("unet.sample_size", 4)` and so on; a size of two equal sides is one number."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{within}{name}.")
        elif not name.startswith("_") and name not in NOT_COMPARED:
            square = name == "sample_size" and isinstance(value, list) and len(set(value)) == 1
            yield within + name, value[0] if square else value


def _record(path: Path) -> dict[str, Any]:
    """What a file of JSON says. Raises DataProblem for what is not there or damaged."""
    try:
        return dict(json.loads(_content(path, 2**24)))
    except DataProblem:
        raise
    except (ValueError, TypeError, RecursionError):
        raise DataProblem(f"init: {path}: is damaged (no record in JSON); save it again, or {ANOTHER}") from None


def _content(path: Path, most: int) -> bytes:
    """All that is in a file. Raises DataProblem where none is there, naming those of the same beginning, and for what is no file."""
    try:
        return read_regular(path, most)
    except ValueError as error:
        raise DataProblem(f"init: {path}: cannot be read ({error}); {ANOTHER}") from None
    except OSError as error:
        if error.errno not in NOT_THERE:
            raise
        others = ", ".join(sorted(one.name for one in path.parent.glob(f"{path.name.partition('.')[0]}*"))) if path.parent.is_dir() else ""
        there = f" (there is {others}; save_pretrained writes it, with safe_serialization=True and without a variant)" if others else ""
        raise DataProblem(f"init: {path}: is not there{there}; {ANOTHER}") from None

"""What a device does in its own way: `pytest tests/test_on_device.py --device cuda`. On a CPU the same paths go as far as they can."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from standins import pictures
from torch import Tensor

from imgcollapse import store, training
from imgcollapse.ablation.engines.configuration import EngineConfiguration
from imgcollapse.ablation.engines.local import local
from imgcollapse.extractors.classifier import Classifier, FittedClassifier
from imgcollapse.images import ImageSet
from imgcollapse.machine import devices
from imgcollapse.machine.devices import Machine
from imgcollapse.models import ddpm
from imgcollapse.models.ddpm import DDPM
from imgcollapse.models.vae import VAE


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--device"))


def _seen(n: int) -> ImageSet:
    return ImageSet.of(pictures(n, 1), torch.arange(n) % 2)


def _diffusion(images: ImageSet) -> dict[str, Tensor]:
    more = {"class_conditional": True, "condition_dropout": 0.2}
    model = DDPM(steps=30, batch=16, widths=(8, 16), patch=2, ema=0.9, learning_rate=1e-3, **more)
    return model.for_world(images.shape, 2).fit(images, 0).weights()


def _by_muon(images: ImageSet) -> dict[str, Tensor]:
    return DDPM(steps=30, batch=16, widths=(8, 16), optimiser="muon", ema=0.9).for_world(images.shape, 2).fit(images, 0).weights()


def _autoencoder(images: ImageSet) -> dict[str, Tensor]:
    # without the mixture that is fitted to the codes afterwards, which a rounding can lead to another maximum
    return VAE(steps=30, batch=16, width=8, ema=0.9, prior="normal").fit(images, 0).weights()


def _classifier(images: ImageSet) -> dict[str, Tensor]:
    learner = Classifier(steps=30, batch=16, widths=(8, 16), mixup=True, mirror=True, whiten=True, smoothing=0.1)
    return dict(learner.train(images, 2).cpu().state_dict())


@pytest.mark.slow  # trains networks
@pytest.mark.parametrize("learner", [_diffusion, _by_muon, _autoencoder, _classifier])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_captured_step_learns_what_a_step_learns(
    precision: str, learner: Callable[[ImageSet], dict[str, Tensor]], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same weights but for rounding: the same rows, random numbers, rates and averages, in every step."""
    found = []
    with devices.use(Machine(device, precision)):
        for captured in (True, False):
            monkeypatch.setattr(training, "_is_captured", lambda there, captured=captured: captured)
            found.append(learner(_seen(64)))
    # of all weights together: where a gradient is rounding alone, as of a bias before a normalisation, AdamW takes steps of full size
    here, there = (torch.cat([weight.double().flatten() for weight in weights.values()]) for weights in found)
    assert (here - there).norm() < (5e-3 if precision == "float32" else 0.03) * there.norm()


def test_a_captured_step_sees_every_batch_and_rate_anew(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model that has learned nothing new after its first steps the weights would stay where they were."""
    monkeypatch.setattr(training, "_is_captured", lambda there: True)
    with devices.use(Machine(device, "float32")):
        few, many = (DDPM(steps=steps, batch=16, widths=(8, 16), decay="constant", warmup=0).fit(_seen(64), 0) for steps in (5, 40))
    apart = [float((many.weights()[name] - value).norm()) for name, value in few.weights().items() if value.dim() == 4]
    assert min(apart) > 1e-3


@pytest.mark.parametrize("sampler", ["dpm++", "ddim", "ddpm"])
def test_how_many_blocks_are_drawn_at_once_decides_nothing(sampler: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpm, "BLOCK", 8)
    drawn = []
    with devices.use(Machine(device, "float32")):
        fitted = DDPM(steps=30, batch=16, widths=(8, 16), timesteps=20, sampling={"sampler": sampler, "steps": 5}).fit(_seen(64), 0)
        for at_once in (1, 3):
            monkeypatch.setattr(Machine, "at_once", lambda self, at_once=at_once: at_once)
            drawn.append(fitted.sample(30, 1).pixels.int())
    assert int((drawn[0] - drawn[1]).abs().max()) <= 2  # grey levels, by rounding
    assert drawn[0].float().std() > 5


@pytest.mark.parametrize("n", [1, 200, 300])
def test_how_many_batches_are_seen_at_once_decides_nothing(n: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, blocks = [], []
    with devices.use(Machine(device, "float32")):
        net = FittedClassifier(Classifier(steps=30, batch=16, widths=(8, 16)).train(_seen(64), 2), 1.0)
        watched = net.net.body.register_forward_pre_hook(lambda module, given: blocks.append(len(given[0])))
        for at_once in (1, 3):
            monkeypatch.setattr(Machine, "at_once", lambda self, at_once=at_once: at_once)
            seen.append(net.features(pictures(n, 1)))
        watched.remove()
    assert seen[0].shape == seen[1].shape == (n, 16) and torch.allclose(seen[0], seen[1], atol=1e-5) and seen[0].std() > 0.01
    assert set(blocks) == {128, 384}


def test_a_study_on_a_device_finds_what_a_cpu_finds(device: str, tmp_path: Path) -> None:
    """One short study twice, each in a process of its own. A device draws its noise by itself, so the two are as two seeds are."""
    if device == "cpu":
        pytest.skip("there is nothing to compare a CPU with: name a device with --device")
    found = []
    for name in ("cpu", device):
        command = [sys.executable, "-m", "imgcollapse", "run", "--device", name, "--precision", "float32", "--out", str(tmp_path / name)]
        subprocess.run([*command, "--gens", "1", "--samples", "600"], check=True, timeout=600)
        found.append(store.scores(tmp_path / name)[0].sources["classifier"])
    for metric in ("fd", "precision", "recall", "density", "coverage"):
        here, there = (scores[metric].value for scores in found)
        print(f"{metric}: cpu {here:.4f}, {device} {there:.4f}")
        assert there == pytest.approx(here, rel=0.4 if metric == "fd" else 0, abs=0.1), metric


@pytest.mark.slow  # on a CPU other tests do as much
def test_runs_beside_each_other_use_the_device(device: str, tmp_path: Path) -> None:
    """Processes that are forked from one that has imported everything: the GPU must not have been woken before."""
    command = [sys.executable, "-m", "imgcollapse", "ablate", "--out", str(tmp_path / "a"), "--device", device, "--jobs", "2", "--json"]
    more = ["--seeds", "0,1", "--gens", "1", "--set", "model.steps=3", "--samples", "300", "--no-nulls"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "a" / "runs").glob("*/gen_000/MANIFEST.json"))) == 2


def test_the_server_that_forks_them_is_told_to_wake_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "")
    execute = lambda *arguments: told.append(os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"])  # noqa: E731
    monkeypatch.setattr(sys.modules[local.__module__], "_execute", execute)
    local([], EngineConfiguration(1, 1, {}), lambda: None)
    assert told == ["1"] and os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] == "", "and this process finds what it had"

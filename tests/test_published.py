"""Distances as papers report them: streamed moments, the whole training part, and clean-fid's own statistics of CIFAR-10."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import standins
from torch import Tensor

from imgcollapse import progress
from imgcollapse.errors import DataProblem
from imgcollapse.images import World
from imgcollapse.judges import published
from imgcollapse.machine import devices
from imgcollapse.metrics import Evidence, FeatureSet
from imgcollapse.metrics.distances import frechet_distance

N = 40


@dataclass
class Eye:
    """An extractor of 12 features that counts what it sees, under any name."""

    name: str = "inception"
    seen: list[int] = field(default_factory=list)

    def features(self, pixels: Tensor) -> Tensor:
        self.seen.append(len(pixels))
        return pixels.flatten(1)[:, ::16].float() / 255 + 5

    def probabilities(self, features_ND: Tensor) -> None: ...

    def record(self) -> dict[str, object]:
        return {"digest": "eye", "dim": 12}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A CIFAR-10 of 40 pictures, seen 7 at a time."""
    monkeypatch.setattr(published, "CIFAR10", N)
    monkeypatch.setattr(published, "BLOCK", 7)
    with devices.use(devices.Machine(data_dir=tmp_path)):
        yield


@pytest.fixture
def cifar10() -> World:
    return standins.world("cifar10", N)


def put(folder: Path, shift: float, world: World, file: str = "cifar10_clean_train_32.npz") -> Path:
    """A file of statistics as clean-fid publishes them, moved by `shift` in every feature."""
    features = Eye().features(world.train.pixels).double().numpy()
    (folder / "weights").mkdir(exist_ok=True)
    np.savez(folder / "weights" / file, mu=features.mean(0) + shift, sigma=np.cov(features, rowvar=False))
    return folder / "weights" / file


def test_moments_of_blocks_are_those_of_the_whole(cifar10: World) -> None:
    found = published.moments(eye := Eye(), cifar10.train.pixels)
    features = Eye().features(cifar10.train.pixels).double().numpy()
    assert eye.seen == [7, 7, 7, 7, 7, 5] and found.n == N
    np.testing.assert_allclose(found.mean.numpy(), features.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance.numpy(), np.cov(features, rowvar=False), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("n", [2, 5, 30], ids=lambda n: f"{n} samples")
def test_the_distance_is_the_metrics_own_whole_against_the_training_part(cifar10: World, n: int) -> None:
    made = standins.pictures(n, place="made") // 2
    found = published.as_published(Eye(), cifar10, made)
    real, other = (FeatureSet(Eye().features(pixels).double()) for pixels in (cifar10.train.pixels, made))
    assert found == {"name": "FID", "value": found["value"], "samples": n, "reference": N}
    assert found["value"] == pytest.approx(frechet_distance(Evidence(real, real, other))["fd"], rel=1e-6)
    itself = published.as_published(Eye(), cifar10, cifar10.train.pixels)
    assert itself["value"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("extractor", "name"), [("inception-legacy", "FID"), ("inception-other", "FD"), ("dinov2", "FD-DINOv2"), ("pixels", "FD")]
)
def test_it_is_called_fid_with_published_inception_weights_alone(cifar10: World, extractor: str, name: str) -> None:
    assert published.as_published(Eye(extractor), cifar10, cifar10.held_out.pixels)["name"] == name


def test_the_training_part_is_looked_at_once(cifar10: World) -> None:
    first = published.as_published(eye := Eye(), cifar10, cifar10.held_out.pixels)
    assert sum(eye.seen) == N + N // 2
    again = published.as_published(eye := Eye(), cifar10, cifar10.held_out.pixels)
    assert sum(eye.seen) == N // 2 and again == first
    published.as_published(eye := Eye(), standins.world("cifar10", 38), cifar10.held_out.pixels)
    assert sum(eye.seen) == 38 + N // 2, "another training part"


def test_our_statistics_are_compared_with_the_published_ones(cifar10: World, tmp_path: Path) -> None:
    path = put(tmp_path, 0.0, cifar10)
    with progress.watched_by(heard := standins.Ear()):
        found = published.as_published(Eye(), cifar10, cifar10.held_out.pixels)["published_statistics"]
    assert found["file"] == path.name and found["distance"] == pytest.approx(0, abs=1e-7)
    (line,) = heard.lines
    assert line.startswith(f"{path}: a Fréchet distance of ") and line.endswith("they are the same")
    put(tmp_path, 0.1, cifar10)
    with progress.watched_by(heard := standins.Ear()):
        found = published.as_published(Eye(), cifar10, cifar10.held_out.pixels)["published_statistics"]
    assert found["distance"] == pytest.approx(12 * 0.1**2) and "NOT the same" in heard.lines[0]
    assert "published_statistics" not in published.as_published(Eye("inception-legacy"), cifar10, cifar10.held_out.pixels)
    put(tmp_path, 0.0, cifar10, "cifar10_legacy_tensorflow_train_32.npz")
    legacy = published.as_published(Eye("inception-legacy"), cifar10, cifar10.held_out.pixels)
    assert legacy["published_statistics"]["file"] == "cifar10_legacy_tensorflow_train_32.npz"


def test_nothing_is_compared_where_there_is_nothing_to_compare(cifar10: World, tmp_path: Path) -> None:
    put(tmp_path, 0.0, cifar10)
    for eye, world in ((Eye("inception-other"), cifar10), (Eye(), standins.world("mnist", N)), (Eye(), standins.world("cifar10", N - 2))):
        assert "published_statistics" not in published.as_published(eye, world, cifar10.held_out.pixels)


def test_what_cannot_be_used_is_one_line(cifar10: World, tmp_path: Path) -> None:
    path = put(tmp_path, 0.0, cifar10)
    whole = path.read_bytes()
    np.savez(wrong := tmp_path / "wrong.npz", mu=np.zeros(3), sigma=np.zeros((3, 3)))
    np.savez(other := tmp_path / "other.npz", mean=np.zeros(3))
    for content, said in (
        (b"", "holds no arrays mu and sigma, or is damaged"),
        (whole[:200], "holds no arrays mu and sigma, or is damaged"),
        (b"<html>", "holds no arrays mu and sigma, or is damaged"),
        (other.read_bytes(), "holds no arrays mu and sigma, or is damaged"),
        (wrong.read_bytes(), r"is of \(3, 3\) features, not 12"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataProblem, match=f"^{path}: {said}; put a whole copy from https://.* in its place, or move it elsewhere$"):
            published.as_published(Eye(), cifar10, cifar10.held_out.pixels)
    with pytest.raises(DataProblem, match="1 samples have no covariance"):
        published.as_published(Eye(), cifar10, cifar10.held_out.pixels[:1])

"""Inception: the features of clean-fid's folder route, names that promise nothing false, the command line with and without weights."""

import inspect
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy
import standins
import torch
from chains import scores_in
from click.testing import Result
from PIL import Image
from terminal import call
from torch import Tensor

from imgcollapse import progress, seeds
from imgcollapse.ablation import worker
from imgcollapse.ablation.engines import ENGINES, Engine
from imgcollapse.errors import DataProblem, SettingsProblem, WeightsProblem
from imgcollapse.extractors import EXTRACTORS, inception, weights
from imgcollapse.extractors.forward import forward
from imgcollapse.extractors.inception import FittedInception, Inception
from imgcollapse.extractors.resize import bicubic
from imgcollapse.images import ImageSet, World
from imgcollapse.machine import devices, torchvision_guard  # noqa: F401 (clean-fid's folders need torchvision)
from imgcollapse.metrics import Evidence, FeatureSet
from imgcollapse.metrics.distances import frechet_distance
from imgcollapse.settings import build
from imgcollapse.study import Study

OTHER = "holds other weights than the published ones; the distance is called FD, not FID"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in, under a name that is not the published one."""
    return standins.inception(tmp_path_factory.mktemp("weights") / "tiny.pt")


@pytest.fixture(autouse=True)
def absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nobody serves the published file, and none lies in the data folder."""
    monkeypatch.setattr(inception, "PUBLISHED", replace(inception.PUBLISHED, url="http://127.0.0.1:1/inception-2015-12-05.pt"))
    with devices.use(devices.Machine(device="cpu", data_dir=tmp_path / "data")):
        yield


def fitted(file: Path, world: World | None = None, **options: object) -> FittedInception:
    with devices.use(replace(devices.current(), weights={"inception": file})):
        return build(Inception, options).fit(world or standins.world())


# --- the same as clean-fid


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (299, 299), (512, 512), (17, 40), (300, 5), (1, 1)], ids=str)
def test_the_resize_is_that_of_clean_fid(size: tuple[int, int]) -> None:
    from cleanfid.resize import make_resizer

    pixels = standins.pictures(2, 3, *size)
    resize = make_resizer("PIL", False, "bicubic", (299, 299))
    expected = np.stack([resize(picture.permute(1, 2, 0).numpy()) for picture in pixels]).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(bicubic(pixels, 299).numpy(), expected, rtol=0, atol=1e-4)


def by_folder(folder: Path, pixels: Tensor, file: Path, mode: str) -> Tensor:
    """The features of clean-fid, by way of a folder of PNG files (grey ones stay grey in them)."""
    from cleanfid.fid import get_folder_features
    from cleanfid.inception_torchscript import InceptionV3W

    folder.mkdir()
    for number, picture in enumerate(pixels.permute(0, 2, 3, 1).numpy()):
        Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(folder / f"{number:03d}.png")
    (folder / "inception-2015-12-05.pt").write_bytes(file.read_bytes())
    net = InceptionV3W(str(folder), download=False, resize_inside=mode == "legacy").eval()
    theirs = {"clean": "clean", "legacy": "legacy_tensorflow"}[mode]
    return torch.from_numpy(
        get_folder_features(str(folder), net, num_workers=0, batch_size=5, device=torch.device("cpu"), mode=theirs, verbose=False)
    )


@pytest.mark.filterwarnings(
    "ignore:'mode' parameter is deprecated:DeprecationWarning", "ignore:.*torch.jit.load. is dep:DeprecationWarning"
)
@pytest.mark.filterwarnings("ignore:The `disp` argument is deprecated:DeprecationWarning")
@pytest.mark.parametrize("mode", ["clean", "legacy"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 40, 17)], ids=str)
def test_features_and_distance_are_those_of_clean_fid(mode: str, shape: tuple[int, int, int], file: Path, tmp_path: Path) -> None:
    from cleanfid.fid import fid_from_feats

    real, made = standins.pictures(12, *shape), standins.pictures(12, *shape, place="made") // 2
    ours = [fitted(file, mode=mode, batch=7).features(pixels) for pixels in (real, made)]
    theirs = [by_folder(tmp_path / name, pixels, file, mode) for name, pixels in (("real", real), ("made", made))]
    assert ours[0].shape == (12, 2048) and ours[0].dtype == torch.float32 and ours[0].device.type == "cpu"
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our.numpy(), their.numpy(), rtol=1e-4, atol=1e-5 * float(their.abs().max()))
    assert float((theirs[0] - theirs[1]).abs().mean()) > 1e-3, "else nothing was tested"
    if "disp" not in inspect.signature(scipy.linalg.sqrtm).parameters:
        pytest.skip("clean-fid calls scipy.linalg.sqrtm(disp=False), which SciPy 1.18 no longer has")
    # of 6 mixtures: with more features than pictures, the root that clean-fid takes of a singular matrix loses all digits
    mix = torch.randn(2048, 6, generator=seeds.torch_generator(0), dtype=torch.float64)
    seen = [FeatureSet(our.double() @ mix) for our in ours]
    expected = fid_from_feats(*((their.double() @ mix).numpy() for their in theirs))
    assert frechet_distance(Evidence(seen[0], seen[0], seen[1]))["fd"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("mode", ["clean", "legacy"])
def test_features_depend_on_nothing_but_the_picture(mode: str, file: Path) -> None:
    pixels = standins.pictures(9)
    state = torch.get_rng_state()
    one = fitted(file, mode=mode, batch=4)
    whole = one.features(pixels)
    assert torch.equal(one.features(pixels), whole) and torch.equal(one.features(pixels), whole), "whatever was seen before"
    np.testing.assert_allclose(fitted(file, mode=mode, batch=9).features(pixels).numpy(), whole.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.features(pixels[7:8]).numpy(), whole[7:8].numpy(), rtol=1e-5, atol=1e-6)
    assert torch.equal(state, torch.get_rng_state())


def switches() -> list[bool]:
    """TF32 for convolutions and products, TorchScript's optimiser."""
    return [torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32, torch._C._get_graph_executor_optimize()]


@pytest.mark.parametrize("tf32", [True, False])
def test_networks_see_in_full_precision_and_leave_the_switches_as_they_were(tf32: bool) -> None:
    usual = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    inside: list[list[bool]] = []

    def see(block: Tensor) -> Tensor:
        inside.append(switches())
        return block.flatten(1).double()

    pixels, before = standins.pictures(5), switches()
    found, after = forward(see, pixels, 2, "test"), switches()
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = usual
    assert torch.equal(found, pixels.flatten(1).float()) and found.dtype == torch.float32
    assert inside == [[False] * 3] * 3 and after == before == [tf32, tf32, True]


def test_grey_pictures_are_coloured_ones_with_equal_channels(file: Path) -> None:
    grey = standins.pictures(3, channels=1)
    for mode in ("clean", "legacy"):
        one = fitted(file, mode=mode)
        np.testing.assert_allclose(one.features(grey).numpy(), one.features(grey.expand(-1, 3, -1, -1)).numpy(), rtol=1e-6)


def test_slow_work_is_told(file: Path) -> None:
    one = fitted(file, batch=2)
    with progress.watched_by(heard := standins.Ear()):
        one.features(standins.pictures(5))
    assert heard.begun == [("inception", 3)]


# --- names and errors


def test_it_is_called_inception_with_the_published_weights_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with progress.watched_by(heard := standins.Ear()):
        assert [fitted(file, mode=mode).name for mode in ("clean", "legacy")] == ["inception-other"] * 2
    assert heard.lines == [f"inception: {file} {OTHER}"] * 2
    digest = weights.digest_of(file)
    assert fitted(file).record() == {"digest": digest, "published": False, "mode": "clean", "dim": 2048}
    monkeypatch.setattr(inception, "PUBLISHED", replace(inception.PUBLISHED, sha256=digest, size=file.stat().st_size))
    with progress.watched_by(heard := standins.Ear()):
        assert [fitted(file, mode=mode).name for mode in ("clean", "legacy")] == ["inception", "inception-legacy"]
    assert not heard.lines and fitted(file).record()["published"] is True
    place = inception.PUBLISHED.place()
    place.parent.mkdir(parents=True)
    place.write_bytes(file.read_bytes())
    assert Inception().fit(standins.world()).name == "inception", "from the data folder"


def test_what_cannot_be_used_is_one_line(file: Path, tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match="the extractor 'inception' needs pictures; use 'pixels'"):
        points = ImageSet.of(torch.zeros(4, 1, 1, 2))
        fitted(file, World("grid", points, points, ("a",)))
    (tmp_path / "junk.pt").write_bytes(b"junk")
    no_layers = standins.dinov2(tmp_path / "dino.pt")
    for path in (tmp_path / "junk.pt", no_layers):
        with pytest.raises(SettingsProblem, match=r"^--inception-weights: .*pt: cannot be used \(.+\); give a network") as caught:
            fitted(path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    with pytest.raises(WeightsProblem, match=r"cannot be fetched \(.*refused\); put inception-2015-12-05.pt into .*weights, or give --inc"):
        Inception().fit(standins.world())


# --- the command line


def run(*arguments: object) -> Result:
    folder = Path("tiny")
    if not folder.exists():
        standins.folder(folder)
    common = ("--dataset", f"folder:{folder}", "--model", "bootstrap", "--gens", 1, "--data-dir", "data", "--out", "here")
    return call("run", *common, *arguments)


def scores(folder: Path = Path("here")) -> dict[str, dict[str, dict[str, float]]]:
    return dict(json.loads((scores_in(folder) / "gen_000.json").read_text())["sources"])


ABSENT = "inception: the weights are not there and cannot be fetched ("


def test_without_weights_a_run_goes_on_with_what_is_left_or_says_what_to_do() -> None:
    result = run("--extractor", "pixels,inception")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith(ABSENT)]
    assert line.endswith("; put inception-2015-12-05.pt into data/weights, or give --inception-weights PATH; going on without it")
    assert list(scores()) == ["pixels"]
    alone = run("--extractor", "inception", "--out", "alone")
    assert alone.exit_code == 3 and alone.stderr.splitlines()[-1].startswith(f"imgcollapse: {ABSENT}") and "Traceback" not in alone.output


@pytest.mark.slow  # trains the default classifier
def test_without_weights_a_run_goes_on_with_the_classifier() -> None:
    result = run("--extractor", "classifier,inception")
    assert result.exit_code == 0 and result.stderr.count(ABSENT) == 1 and list(scores()) == ["classifier"], result.output


def test_with_other_weights_a_run_has_fd_kid_and_real_vs_real_and_no_fid(file: Path) -> None:
    result = run("--extractor", "pixels,inception", "--inception-weights", file)
    assert result.exit_code == 0, result.output
    assert f"inception: {file} {OTHER}" in result.stderr and "FID" not in result.stdout
    assert list(scores()) == ["pixels", "inception-other"]
    found = scores()["inception-other"]
    assert {"fd", "kid"} <= set(found) and all(one["real"] is not None for one in found.values()) and found["fd"]["real"]["low"] > 0
    reference = json.loads((scores_in(Path("here")) / "reference.json").read_text())["judge"]["extractors"]["inception-other"]
    assert reference["digest"] == weights.digest_of(file) and reference["published"] is False
    moved = Path("moved.pt")
    moved.write_bytes(file.read_bytes())
    again = run("--extractor", "pixels,inception", "--inception-weights", moved)
    assert again.exit_code == 0 and "1 of 1 generations are there" in again.stderr, "where weights lie decides nothing"


def test_with_the_published_weights_a_run_has_fid(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "PUBLISHED", replace(inception.PUBLISHED, sha256=weights.digest_of(file), size=file.stat().st_size))
    legacy = "judge.extractors=[{kind: inception, mode: legacy, batch: 5}]"
    result = run("--set", legacy, "--inception-weights", file)
    assert result.exit_code == 0 and list(scores()) == ["inception-legacy"] and "published ones" not in result.stderr, result.output


def test_an_ablation_fetches_first_and_its_workers_get_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        ENGINES, "local", Engine(lambda runs, configuration, each_second: [worker.work(run) for run in runs])
    )  # here, not in a process of its own
    standins.folder(Path("tiny"))
    common = ("ablate", "--dataset", "folder:tiny", "--model", "bootstrap", "--gens", 1, "--seeds", 1, "--data-dir", "data", "--jobs", 1)
    alone = call(*common, "--extractor", "inception", "--out", "alone")
    assert alone.exit_code == 3 and alone.stderr.splitlines()[-1].startswith(f"imgcollapse: {ABSENT}") and not Path("alone").exists()
    relative = Path("net.pt")
    relative.write_bytes(file.read_bytes())
    done = call(*common, "--extractor", "pixels,inception", "--inception-weights", relative, "--out", "there")
    assert done.exit_code == 0, done.output
    (one,) = Path("there/runs").iterdir()
    assert list(scores(one)) == ["pixels", "inception-other"]
    assert json.loads((one / "worker.json").read_text())["weights"] == {"inception": str(relative.absolute())}
    assert "kind: inception\n    mode: clean" in (one / "study.yaml").read_text() and "net.pt" not in (one / "study.yaml").read_text()


@pytest.mark.usefixtures("unmeasured")
def test_the_extractors_of_a_flag_its_variable_and_a_setting() -> None:
    def kinds(*arguments: str, env: dict[str, str] | None = None) -> list[str]:
        result = call("run", "--dry-run", "--json", *arguments, env=env)
        assert result.exit_code == 0, result.output
        study = build(Study, json.loads(result.stdout)["study"])
        return [one.kind for one in study.judge.extractors or ()]

    assert kinds("--extractor", "classifier, inception") == ["classifier", "inception"] and kinds() == []
    assert kinds(env={"IMGCOLLAPSE_EXTRACTOR": "dinov2"}) == ["dinov2"]
    assert kinds("--extractor", "pixels", "--set", "judge.extractors=[inception]") == ["inception"]
    wrong = call("run", "--extractor", "classifier,resnet")
    assert wrong.exit_code == 2
    assert wrong.stderr == f"imgcollapse: judge.extractors.1: 'resnet' is unknown; there are: {', '.join(EXTRACTORS)}\n"


def test_doctor_says_where_weights_belong_and_verifies_them(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = " ".join(call("doctor", "--data-dir", "data").stdout.split())
    assert "weights: inception not there: the first use fetches 96 MB, or put inception-2015-12-05.pt into data/weights" in shown
    assert "weights: dinov2 not there: the first use fetches 1,218 MB, or put dinov2_vitl14_pretrain.pth into data/weights" in shown
    assert "cifar10_clean_train_32.npz" in shown and "cifar10_legacy_tensorflow_train_32.npz" in shown
    other = " ".join(call("doctor", "--data-dir", "data", "--inception-weights", file).stdout.split())
    assert f"weights: inception other weights than the published ones ({file})" in other
    monkeypatch.setattr(inception, "PUBLISHED", replace(inception.PUBLISHED, sha256=weights.digest_of(file)))
    assert f"weights: inception there, verified ({file})" in " ".join(call("doctor", "--inception-weights", file).stdout.split())

"""What all tests share: no test reads or writes the user's own folders, and none needs a network."""

import io
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

# one thread, here and in every process that a test starts: the tests' networks are so small that threads only wait for each other
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from PIL import Image

# a shell that starts the tests in the background has interrupts ignored, and what a test starts in order to interrupt it would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)


def _common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes of this session."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(autouse=True, scope="session")
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One data folder for the whole session and all its processes, so that a classifier is trained once."""
    for name in [name for name in os.environ if name.startswith("IMGCOLLAPSE_")]:
        del os.environ[name]
    data = _common(tmp_path_factory) / "data"
    data.mkdir(exist_ok=True)
    os.environ["IMGCOLLAPSE_DATA"] = str(data)
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["IMGCOLLAPSE_JUDGE_BESIDE"] = "no"  # on every machine: a test's patches are in its own process alone


@pytest.fixture(autouse=True, scope="module")
def _blank_figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """`curves.png` and `forest.png` are put together, and not painted: a second each time. Files that look at them are marked `figures`."""
    if request.node.get_closest_marker("figures"):
        yield
        return
    from imgcollapse.report import ablation_figures, figures

    blank = io.BytesIO()
    Image.new("RGB", (1, 1)).save(blank, "png")
    with pytest.MonkeyPatch.context() as patch:
        for module in (figures, ablation_figures):
            patch.setattr(module, "png", lambda page: blank.getvalue())
        yield


@pytest.fixture(autouse=True, scope="module")
def _few_splits(request: pytest.FixtureRequest) -> Iterator[None]:
    """Real vs real is of three splits, for 39 take seconds for every world. Files that look at its range are marked `splits`."""
    if request.node.get_closest_marker("splits"):
        yield
        return
    from imgcollapse.judge import real

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real, "SPLITS", 3)
        yield


@pytest.fixture(autouse=True)
def _own_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`runs/` is made in a test's own folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def _ablation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by the process of the tests that asks first."""
    from pages import ablation

    from imgcollapse.files import locks

    place = _common(tmp_path_factory) / "ablation"
    place.mkdir(exist_ok=True)
    with locks.locked(place / "lock"):
        made = place / "out"
        return made if (made / "report.html").exists() else ablation(place)


@pytest.fixture(scope="module")
def grid(_ablation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ablation of `pages`, made once; a copy for each file of tests."""
    return Path(shutil.copytree(_ablation, tmp_path_factory.mktemp("grid") / "out"))

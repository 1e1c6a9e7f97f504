"""What all tests share: no test reads or writes the user's own folders, and none needs a network."""

import io
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

# one thread, here and in every process that a test starts: the tests' networks are so small that threads only wait for each other
os.environ["OMP_NUM_THREADS"] = "1"
# Ray gives way to all other processes (niceness 15), and so to the other tests, for minutes
os.environ["RAY_worker_niceness"] = "0"

import pytest
from PIL import Image

# a shell that starts the tests in the background has interrupts ignored, and what a test starts in order to interrupt it would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="of tests/test_on_device.py: cuda, cuda:1, mps")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Half as many again as there are cores: of the slow tests' time two fifths are waiting for processes that tests start and end."""
    cores = len(os.sched_getaffinity(0))
    return cores + cores // 2


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, then those with most tests, so that at the end no process is left alone with a long one."""
    tests, slow = Counter(item.path for item in items), {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, -tests[item.path], item.path))


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
def _quick(request: pytest.FixtureRequest) -> Iterator[None]:
    """What takes seconds every time is done where a file of tests looks at it, which it says by its mark.

    No line has the time before it, so that tests can say what is printed.

    figures: `curves.png` and `forest.png` are painted; elsewhere they are put together only
    splits:  real vs real is of 39 splits; elsewhere of three
    """
    from imgcollapse.interface import console
    from imgcollapse.judges import real
    from imgcollapse.reports import ablation_figures, figures

    with pytest.MonkeyPatch.context() as patch:
        if not request.node.get_closest_marker("figures"):
            blank = io.BytesIO()
            Image.new("RGB", (1, 1)).save(blank, "png")
            for module in (figures, ablation_figures):
                patch.setattr(module, "png", lambda page: blank.getvalue())
        patch.setattr(console, "stamped", lambda line: line)
        if not request.node.get_closest_marker("splits"):
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


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dry run tells of cost is left out: nothing is timed."""

    from imgcollapse import errors
    from imgcollapse.interface import planning

    def refuse(*given: object, **named: object) -> None:
        raise errors.SettingsProblem("not measured here")

    for name in ("cost_of", "shared_cost"):
        monkeypatch.setattr(planning, name, refuse)

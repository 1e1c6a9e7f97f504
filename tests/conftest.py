"""What all tests share: no test reads or writes the user's own folders, and none needs a network."""

import os
import shutil
from pathlib import Path

# one thread, here and in every process that a test starts: the tests' networks are so small that threads only wait for each other
os.environ["OMP_NUM_THREADS"] = "1"

import pytest


@pytest.fixture(autouse=True, scope="session")
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One data folder for the whole session and all its processes, so that a classifier is trained once."""
    for name in [name for name in os.environ if name.startswith("IMGCOLLAPSE_")]:
        del os.environ[name]
    base = tmp_path_factory.getbasetemp()
    data = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "data"
    data.mkdir(exist_ok=True)
    os.environ["IMGCOLLAPSE_DATA"] = str(data)
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["IMGCOLLAPSE_JUDGE_BESIDE"] = "no"  # on every machine: a test's patches are in its own process alone


@pytest.fixture(autouse=True)
def _own_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`runs/` is made in a test's own folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def _ablation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pages import ablation

    return ablation(tmp_path_factory.mktemp("ablation"))


@pytest.fixture(scope="module")
def grid(_ablation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ablation of `pages`, made once; a copy for each file of tests."""
    return Path(shutil.copytree(_ablation, tmp_path_factory.mktemp("grid") / "out"))

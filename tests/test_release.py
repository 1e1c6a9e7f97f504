"""What is released: one version in all places, and packages that work where only they are."""

import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_version_is_the_same_in_all_places() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    changes = re.findall(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert changes[0] == version


def executed(*command: object, cwd: Path, **environment: str) -> str:
    """What a program prints, in this folder and with nothing of this environment but the given variables."""
    finished = subprocess.run(
        [str(one) for one in command], cwd=cwd, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.slow  # builds both, and runs a generation
def test_the_packages_work_from_any_folder(tmp_path: Path) -> None:
    """The source package has what it takes to build the wheel, and the wheel alone runs a study: the tree is nowhere on the path."""
    build = "import setuptools.build_meta as built, sys; print(getattr(built, sys.argv[1])(sys.argv[2]))"
    packed = tmp_path / "packed"
    tree = tmp_path / "tree"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split("\0")
    if tracked == [""]:
        pytest.skip("no git repository: which files are released is not known")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    packed.mkdir()
    source = packed / executed(sys.executable, "-c", build, "build_sdist", packed, cwd=tree).splitlines()[-1]
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    wheel = packed / executed(sys.executable, "-c", build, "build_wheel", packed, cwd=unpacked).splitlines()[-1]
    there, elsewhere = tmp_path / "there", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index", "--target", there]
    executed(*pip, wheel, cwd=elsewhere)
    here = {"PYTHONPATH": str(there), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    where = executed(sys.executable, "-c", "import imgcollapse; print(imgcollapse.__file__)", cwd=elsewhere, **here)
    assert Path(where.strip()).is_relative_to(there) and (there / "imgcollapse" / "py.typed").exists()
    installed = {path.name: path.read_bytes() for path in (there / "imgcollapse" / "configs").iterdir()}
    assert installed == {path.name: path.read_bytes() for path in (ROOT / "configs").glob("*.yaml")} != {}
    planned = executed(sys.executable, "-m", "imgcollapse", "ablate", "retention", "--dry-run", cwd=elsewhere, **here)
    assert planned.startswith("# runs/retention-") and "10 % resample" in planned
    command = [sys.executable, "-m", "imgcollapse", "run", "--model", "gmm", "--gens", 1, "--out", "run"]
    executed(*command, cwd=elsewhere, **here)
    assert (elsewhere / "run" / "report.html").stat().st_size > 10_000 and (elsewhere / "run" / "grid_all.png").exists()

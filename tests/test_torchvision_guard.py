"""The guard, in every state that an installed torchvision can be in. Each state is a package made for the test, in a fresh process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from imgcollapse.cli import about
from imgcollapse.machine import torchvision_guard

pytestmark = pytest.mark.slow  # starts processes

# like the real one: an operator is registered on import and dies where its schema is unknown
BROKEN = """
import torch
from torchvision import part
torch.library.register_fake("torchvision::nms")(lambda dets, scores, iou_threshold: None)
mended = True
"""
PROBE = (
    "from imgcollapse.machine import torchvision_guard; import sys; {extra}; print(torchvision_guard.state, torchvision_guard.elsewhere())"
)


def first(site: Path) -> str:
    """Where packages are looked for: in that folder before all others."""
    return os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))


def guarded(site: Path, package: str | None, extra: str = "pass") -> subprocess.CompletedProcess[str]:
    """Imports the guard where `torchvision` is that package (None: where there is none)."""
    if package is None:
        extra_path = f"import sys; sys.meta_path.insert(0, __import__('no_torchvision').Finder()); {PROBE.format(extra=extra)}"
        (site / "no_torchvision.py").write_text(
            "class Finder:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name.split('.')[0] == 'torchvision':\n"
            "            raise ModuleNotFoundError(f'No module named {name!r}', name='torchvision')\n"
        )
        code = extra_path
    else:
        (site / "torchvision").mkdir()
        (site / "torchvision" / "__init__.py").write_text(package)
        (site / "torchvision" / "part.py").write_text("")
        code = PROBE.format(extra=extra)
    environment = {**os.environ, "PYTHONPATH": first(site), "PYTHONWARNINGS": "ignore"}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)


def test_a_healthy_torchvision_is_never_touched(tmp_path: Path) -> None:
    extra = "import torchvision, torch; assert torchvision.loads == 1; assert not hasattr(torch.ops.torchvision, 'qnms')"
    done = guarded(tmp_path, "import builtins\nloads = builtins.loads = getattr(builtins, 'loads', 0) + 1", extra)
    assert (done.stdout.strip(), done.returncode) == ("healthy None", 0), done.stderr


def test_a_torchvision_that_misses_its_operators_is_mended(tmp_path: Path) -> None:
    extra = "import torchvision, torch; assert torchvision.mended; assert torch.ops.torchvision.nms and torch.ops.torchvision.qnms"
    done = guarded(tmp_path, BROKEN, extra)
    assert done.returncode == 0, done.stderr
    # and what a program without the guard meets there is told
    begin = (
        "mended other programs that load a DDPM from here (`from diffusers import DDPMPipeline`) fail with `operator torchvision::nms does"
    )
    assert done.stdout.startswith(begin) and len(done.stdout.splitlines()) == 1
    minor = torch.__version__.split(".")[1]
    assert f"pip install --force-reinstall --no-deps 'torchvision==0.{int(minor) + 15}.*'" in done.stdout


@pytest.mark.slow
def test_a_program_without_the_guard_fails_as_is_said(tmp_path: Path) -> None:
    """On that faked package, with a faked diffusers that imports it as the real one does."""
    for name, text in (("torchvision", BROKEN), ("diffusers", "import torchvision\nDDPMPipeline = object")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    (tmp_path / "torchvision" / "part.py").write_text("")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        "PYTHONWARNINGS": "ignore",
    }
    load, guard = "from diffusers import DDPMPipeline", "from imgcollapse.machine import torchvision_guard"
    for code, fails in ((load, True), (f"{guard}; {load}", False)):
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
        assert (done.returncode != 0) == fails and ("operator torchvision::nms does not exist" in done.stderr) == fails, done.stderr


def test_the_doctor_warns_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "_weights", dict)
    for state, warned in (("mended", True), ("healthy", False), ("absent", False)):
        monkeypatch.setattr(torchvision_guard, "state", state)
        rows, beware = about._found()
        assert ("cannot be imported" in rows["DDPMPipeline in other programs"]) == warned == (beware is not None)


def test_without_torchvision_the_guard_says_so(tmp_path: Path) -> None:
    done = guarded(tmp_path, None)
    assert (done.stdout.strip(), done.returncode) == ("absent None", 0), done.stderr


@pytest.mark.parametrize(
    ("package", "error"),
    [
        ("raise RuntimeError('out of cheese')", "RuntimeError: out of cheese"),
        ("raise RuntimeError('operator torchvision::roi_align does not exist')", "torchvision::roi_align"),
        ("import a_package_that_is_not_there", "No module named 'a_package_that_is_not_there'"),
    ],
)
def test_any_other_error_is_not_hidden(tmp_path: Path, package: str, error: str) -> None:
    done = guarded(tmp_path, package)
    assert done.returncode == 1 and error in done.stderr


@pytest.mark.slow
def test_what_needs_torchvision_imports_here() -> None:
    """On this machine, whatever the state of its torchvision."""
    modules = "diffusers, torchmetrics.image, cleanfid.fid, torchvision.datasets"
    code = f"from imgcollapse.machine import torchvision_guard; import {modules}; print('fine')"
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=240)
    assert done.stdout.strip() == "fine", done.stderr

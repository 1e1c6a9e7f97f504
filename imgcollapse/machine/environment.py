"""What a run was made with: versions, hardware, source."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from imgcollapse import __version__
from imgcollapse.heavy import torch
from imgcollapse.machine import devices, typed

PACKAGES = (
    *("torch", "torchvision", "diffusers", "accelerate", "torchmetrics", "clean-fid", "scikit-learn"),
    *("numpy", "scipy", "pillow", "matplotlib", "pydantic", "click"),
)
NUMERIC = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS"),
    *("DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "CUDA_VISIBLE_DEVICES", "NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG"),
)
"""Variables of libraries by which threads, instructions or the order of sums are chosen."""


def describe() -> dict[str, Any]:
    """Plain JSON values; nothing in it decides what a study finds, but the last digits may depend on it."""
    device = devices.current().torch_device()
    return {
        **software(),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "precision": {"no": "float32", "bf16": "bfloat16"}[devices.current().mixed_precision()],
        "threads": torch.get_num_threads(),
        "processes": devices.launched(),
        "variables": variables(),
        "command": typed.command(),
    }


def software() -> dict[str, Any]:
    """What of it needs no look at the hardware, which takes as long as torch takes to be imported."""
    return {
        "imgcollapse": __version__,
        "git_commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: installed(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
    }


def variables() -> dict[str, str]:
    """The environment's variables that are ours, and of others those that can decide the last digits; of a path only that it is one."""
    ours = {name: value for name, value in sorted(os.environ.items()) if name.startswith("IMGCOLLAPSE_") or name in NUMERIC}
    ours.pop("IMGCOLLAPSE_CHECKPOINT_EVERY", None)  # it decides nothing, and may be another in every session
    return {name: "(a path)" if os.sep in value else value for name, value in ours.items()}


@cache
def installed(package: str) -> str | None:
    """The installed version when this process first asked, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name as the system gives it, and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {devices.cores()} cores"


@cache
def _commit() -> str | None:
    """The source's git commit when this process first asked, with `+` when it has uncommitted changes; None outside a checkout."""
    here = ["git", "-C", str(Path(__file__).parent)]
    try:
        tracked = subprocess.run([*here, "ls-files", "--error-unmatch", __file__], capture_output=True, timeout=10)
        if tracked.returncode:
            return None
        commit = subprocess.run([*here, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10).stdout.strip()
        changed = subprocess.run([*here, "status", "--porcelain", "."], capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (commit + ("+" if changed else "")) or None

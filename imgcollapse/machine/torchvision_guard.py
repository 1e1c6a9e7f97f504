"""Makes `import torchvision` work where its compiled operators do not fit the installed torch. Import it before torchvision.

A torchvision built for CUDA beside a CPU torch dies on import with `operator torchvision::nms does not exist`, and takes diffusers,
torchmetrics and clean-fid with it, though none of them needs that operator here. After that very error, and only then, the missing
operators are declared (without a body: calling them still fails) and the import is tried again. A healthy torchvision is never touched.
"""

import importlib
import sys
from typing import Literal

import torch

State = Literal["healthy", "mended", "absent"]
_BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries: list[torch.library.Library] = []  # a Library's declarations end with it


def _mend() -> State:
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        return "absent"
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    else:
        return "mended" if _libraries else "healthy"
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(operator + _BOXES)
    _libraries.append(library)
    importlib.import_module("torchvision")
    return "mended"


state: State = _mend()


def elsewhere() -> str | None:
    """What a program without this guard meets here, and the cure, in one line; None where nothing is wrong.

    It follows from what the guard has found: diffusers imports torchvision with its first model (by itself, and through transformers), so
    nothing has to be imported to know it.
    """
    if state != "mended":
        return None
    version, _, build = torch.__version__.partition("+")
    major, minor = version.split(".")[:2]
    fitting = f" 'torchvision==0.{int(minor) + 15}.*'" if major == "2" else " torchvision"  # 0.15 came with 2.0
    index = f" --index-url https://download.pytorch.org/whl/{build}" if build else ""
    return (
        "other programs that load a DDPM from here (`from diffusers import DDPMPipeline`) fail with `operator torchvision::nms does not "
        f"exist`: torchvision is built for another torch; pip install --force-reinstall --no-deps{fitting}{index}, or let them begin with "
        "`from imgcollapse.machine import torchvision_guard`"
    )

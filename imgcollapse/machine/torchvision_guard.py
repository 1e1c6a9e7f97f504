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

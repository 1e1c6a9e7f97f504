"""How a model's weights lie in a folder: tensors in safetensors, and beside them what a reader needs to open them again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgcollapse.errors import DataProblem
from imgcollapse.heavy import Tensor
from imgcollapse.settings import Settings

ABOUT = "imgcollapse.json"
TENSORS = "model.safetensors"


def write_about(folder: Path, options: Settings, **state: Any) -> None:
    """Writes the model's options and what else it needs to be opened (plain JSON values)."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"options": options.model_dump(mode="json"), "state": state}
    (folder / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")


def read_about(folder: Path) -> dict[str, Any]:
    """`{"options": ..., "state": ...}` of a saved model. Raises DataProblem where there is none."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return {"options": dict(about["options"]), "state": dict(about["state"])}
    except (OSError, ValueError, KeyError, TypeError):
        raise DataProblem(f"{folder}: holds no saved model ({ABOUT} is missing or damaged); name a generation's model folder") from None


def write_tensors(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes named tensors (CPU)."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    (folder / TENSORS).write_bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}))


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The named tensors of a saved model. Raises DataProblem where they cannot be read."""
    from safetensors.torch import load_file

    try:
        return load_file(folder / TENSORS)
    except Exception as error:  # safetensors raises its own, OSError and more, by version
        raise DataProblem(f"{folder / TENSORS}: cannot be read ({error}); name a generation's model folder") from None

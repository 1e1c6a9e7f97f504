"""Tensors that are costly to make, kept in the data folder: made once whoever asks first, whole or not at all, checked when read."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from imgcollapse import machine, progress

Made = tuple[dict[str, Tensor], dict[str, Any]]  # tensors by name, and a record of plain JSON values


def remembered(what: str, name: str, key: str, make: Callable[[], Made]) -> Made:
    """What `make` gives, from the data folder where it is there: `what/name-key.safetensors`. Other processes wait meanwhile.

    `key` stands for all that decides the outcome. A damaged file is said and made anew: safetensors itself would load a flipped bit
    without a word, so a digest of all tensors and of the record is kept beside them.
    """
    path = machine.current().data_dir / what / f"{name}-{sha256(key.encode()).hexdigest()[:16]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        found = _read(path) if path.exists() else None
        if found is None:
            found = make()
            write(path, *found)
    return found


def digest(tensors: dict[str, Tensor], record: dict[str, Any] | None = None) -> str:
    """SHA-256 (hexadecimal) of names, values and the record."""
    found = sha256(json.dumps(record, sort_keys=True).encode() if record else b"")
    for name, values in sorted(tensors.items()):
        found.update(name.encode())
        found.update(values.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def write(path: Path, tensors: dict[str, Tensor], record: dict[str, Any] | None = None) -> None:
    """All of it or nothing: safetensors, with the digest and the record in the metadata under `about`."""
    part = path.with_suffix(f".part-{os.getpid()}")
    whole = {name: values.detach().cpu().contiguous() for name, values in tensors.items()}
    save_file(whole, part, metadata={"about": json.dumps({"digest": digest(whole, record), "record": record})})
    os.replace(part, path)


def _read(path: Path) -> Made | None:
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            about = json.loads((file.metadata() or {})["about"])
        if about["digest"] == digest(tensors, about["record"]):
            return tensors, about["record"]
    except (SafetensorError, RuntimeError, KeyError, TypeError, json.JSONDecodeError, OSError):
        pass
    progress.say(f"{path}: is damaged; made anew")
    return None

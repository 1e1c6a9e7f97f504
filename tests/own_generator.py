"""Programs as generators: scripts and command lines that the tests write."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

MANUAL = Path(__file__).parent.parent / "docs" / "own_generator.md"
COPY = {
    "fit": 'sh -c \'cp -r "$1" "$2/set"\' sh {training_set} {model}',
    "sample": 'sh -c \'if [ -d "$1/set" ]; then cp -r "$1/set/." "$2"; else cp "$1/set" "$2"; fi\' sh {model} {samples} {n} {seed}',
}  # draws its training pictures, all of them and in their order


QUICK = """
import random, shutil, struct, sys, zipfile

task, *paths = sys.argv[1:4]
if task == "fit":
    shutil.copy(paths[0], paths[1] + "/set.npz")
else:
    n = int(sys.argv[4])
    with zipfile.ZipFile(paths[0] + "/set.npz") as old:
        data = old.read("arr_0.npy")
    start = 10 + struct.unpack("<H", data[8:10])[0]  # where the values begin (NumPy's format, version 1)
    header = data[10:start].decode()
    there = int(header.split("(")[1].split(",")[0])
    size = (len(data) - start) // there
    rows = [data[start + i * size : start + (i + 1) * size] for i in range(there)]
    header = header.replace(f"({there},", f"({n},").rstrip().ljust(len(header) - 1) + "\\n"
    with zipfile.ZipFile(paths[1], "w") as new:
        new.writestr("arr_0.npy", data[:10] + header.encode() + b"".join(random.Random(int(sys.argv[5])).choices(rows, k=n)))
"""  # draws its training pictures with replacement; it takes a twentieth of a second, as it imports nothing


def block(language: str, number: int = 0) -> str:
    """A piece of code of the manual."""
    found = re.findall(rf"```{language}\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.S)
    return str(found[number])


def gaussian(folder: Path | None = None, **more: Any) -> dict[str, Any]:
    """The options of a model that is the manual's NumPy script, which is written into the folder."""
    return _own(block("python"), folder or Path.cwd(), [sys.executable], more)


def quick(folder: Path, **more: Any) -> dict[str, Any]:
    """The same of a script that draws its training pictures again."""
    return _own(QUICK, folder, [sys.executable, "-I", "-S"], more)


def _own(source: str, folder: Path, start: list[str], more: dict[str, Any]) -> dict[str, Any]:
    script = folder / "own.py"
    if not script.exists():
        script.write_text(source)
    begin = shlex.join([*start, str(script)])
    return {
        "kind": "command",
        "fit": f"{begin} fit {{training_set}} {{model}} {{seed}}",
        "sample": f"{begin} sample {{model}} {{samples}} {{n}} {{seed}}",
        **more,
    }

"""The architecture: imports go down only."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

import imgcollapse

FLOORS = [
    {"heavy"},
    {"errors", "progress", "seeds"},
    {"images", "files", "metrics"},
    {"machine", "settings"},
    {"training", "regimes", "datasets", "store"},
    {"grids", "models", "extractors", "track"},
    {"judges", "gates", "corrections"},
    {"plugins"},
    {"study", "testing"},
    {"ablation", "exchange"},
    {"reports"},
    {"interface"},
    {"cli"},
    {"__main__"},
]
PACKAGE = Path(imgcollapse.__file__).parent
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


def room(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def imported(source: str) -> set[str]:
    """The rooms of the package that a file imports, wherever in the file it does so."""
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("imgcollapse.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "imgcollapse":
                rooms |= {alias.name for alias in node.names if alias.name != "__version__"}
            elif (node.module or "").startswith("imgcollapse."):
                rooms.add(str(node.module).split(".")[1])
    return rooms


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_down_only(path: Path) -> None:
    own = room(path)
    for other in imported((PACKAGE / path).read_text()) - {own}:
        assert floor(other) < floor(own), f"{path} (floor {floor(own)}) imports {other} (floor {floor(other)})"


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in FILES} == set().union(*FLOORS)


def test_the_reader_of_imports_sees_all_forms() -> None:
    source = "import imgcollapse.store\nfrom imgcollapse import seeds, __version__\ndef f():\n    from imgcollapse.models.ddpm import DDPM"
    assert imported(source) == {"store", "seeds", "models"}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_rooms_stay_small(path: Path) -> None:
    assert len((PACKAGE / path).read_text().splitlines()) <= 250, "split the file where its seams are"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_functions_stay_short(path: Path) -> None:
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= 40, f"{node.name} has {lines} lines: split it where its seams are"


def test_the_hall_is_what_a_newcomer_reads_first() -> None:
    assert len([path for path in PACKAGE.iterdir() if path.name not in ("__pycache__", "py.typed")]) <= 30


def test_the_command_line_imports_nothing_heavy() -> None:
    tree = ast.parse((PACKAGE / "cli" / "main.py").read_text())
    top = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    top |= {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert top <= {
        "sys",
        "collections.abc",
        "pathlib",
        "typing",
        "click",
        "imgcollapse",
        "imgcollapse.cli",
        "imgcollapse.cli.options",
        "imgcollapse.machine",
    }


SLOW = ("torch", "scipy", "sklearn", "matplotlib", "diffusers", "accelerate", "torchvision", "torchmetrics", "safetensors.torch")
NETWORKS = {
    *("extractors/classifier_network.py", "extractors/dinov2_network.py", "models/ddpm_network.py", "models/vae_network.py"),
    *("models/vae_prior.py", "training/muon.py", "machine/torchvision_guard.py", "ablation/engines/preload.py", "testing.py"),
}
"""What defines networks, or is made of torch altogether: imported inside of the functions that need it."""


@pytest.mark.parametrize("path", [path for path in FILES if path.as_posix() not in NETWORKS], ids=str)
def test_a_file_is_imported_without_what_is_slow_to_import(path: Path) -> None:
    """`from imgcollapse.heavy import torch` at the top; all else that is slow, inside of functions."""
    tree = ast.parse((PACKAGE / path).read_text())
    networks = {f"imgcollapse.{name.removesuffix('.py').replace('/', '.')}" for name in NETWORKS}
    for node in tree.body:
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        for module in modules:
            assert not module.startswith(tuple(f"{name}." for name in SLOW)) and module not in {*SLOW, *networks}, module
    for node in ast.walk(tree):  # while the program runs these two are `Any`
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            assert not {"Tensor", "Generator"} & {ast.unparse(one) for one in ast.walk(node.args[1])}, "write torch.Tensor"


BY_HAND = re.compile(r"os\.(replace|rename|fsync)\(|\.rename\(|mkstemp|NamedTemporaryFile")
ALLOWED = {
    "datasets/torchvision_sets.py": "moves what torchvision has downloaded",
}


@pytest.mark.parametrize("path", [path for path in FILES if room(path) != "files"], ids=str)
def test_nothing_is_put_in_its_place_by_hand(path: Path) -> None:
    found = BY_HAND.search((PACKAGE / path).read_text())
    assert not found or path.as_posix() in ALLOWED, "files.written and files.folder_in_place do it"


def test_helpers_of_tests_stand_once() -> None:
    """No two files of tests have the same function or class of three lines or more; one of fewer says less than its import."""
    found = defaultdict[str, list[str]](list)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (node.end_lineno or 0) - node.lineno >= 2:
                found[body_of(node)].append(f"{path.name}: {node.name}")
    assert [places for places in found.values() if len(places) > 1] == []


def body_of(node: ast.FunctionDef | ast.ClassDef) -> str:
    """What it does, whatever it is called; the docstring is no part of it."""
    own = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return " ".join(map(ast.dump, own)) + (ast.dump(node.args) if isinstance(node, ast.FunctionDef) else "")

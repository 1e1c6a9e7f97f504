"""Parts of one's own: what a file or an installed package adds to the tables of models, data sets, regimes, gates and so on.

A file says what it adds by a dict named as the table is (`MODELS = {"mine": Mine}`), a package by entry points in the table's group
(`imgcollapse.models`). What a study uses of them is named in it, with what tells one version from another.
"""

import linecache
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from pydantic import Field, model_validator

from imgcollapse import progress
from imgcollapse.errors import PLUGINS, SettingsProblem, brief, plugin_line
from imgcollapse.files import expanded
from imgcollapse.machine import devices
from imgcollapse.plugins.parts import TABLES, Plugin, add
from imgcollapse.plugins.parts import digests as digests
from imgcollapse.plugins.parts import named_by as named_by
from imgcollapse.plugins.parts import own_metrics as own_metrics
from imgcollapse.settings import Settings, build


class WithPlugins(Settings):
    """Settings that may name parts of plug-ins, which must be in the tables when they are read."""

    plugins: tuple[Plugin, ...] = Field((), description="files or installed packages with parts of your own")

    LATER: ClassVar[Sequence[str]] = ("plugins",)

    @model_validator(mode="before")
    @classmethod
    def _with_plugins(cls, values: Any) -> Any:
        given = values.get("plugins", ()) if isinstance(values, Mapping) else None
        if not isinstance(given, (list, tuple)) or not all(isinstance(one, (str, Mapping, Plugin)) for one in given):
            return values  # what is wrong is told when the settings are read
        there = loaded(given)
        return {**values, "plugins": there} if there else values

    def __reduce__(self) -> Any:
        """With plug-ins, another process reads those before it knows what a part of them is."""
        return (build, (type(self), self.model_dump(mode="json"))) if self.plugins else super().__reduce__()


def loaded(given: Sequence[object]) -> tuple[Plugin, ...]:
    """These plug-ins (paths, or what a study holds of them), each with its digest, their parts now in the tables.

    Relative paths are those of the folder in which the command was given. Raises SettingsProblem for a file that cannot be used, that is
    another one than it was, and for parts that are no such parts.
    """
    found: list[Plugin] = []
    names: dict[tuple[str, str], Plugin] = {}
    installed()
    for one in given:
        wanted = one if isinstance(one, Plugin) else Plugin.model_validate(one)
        if wanted.file is None:
            found.append(_of_package(wanted))
            continue
        source, parts = _of_file(wanted)
        for place, part in parts.items():
            if names.setdefault(place, source) != source:
                raise SettingsProblem(f"plugins: {source.file} and {names[place].file} both have {place[0]}[{place[1]!r}]; rename one")
            add(place, part, source, source.file or "")
        if source not in found:
            found.append(source)
    return tuple(found)


@cache
def installed() -> tuple[Plugin, ...]:
    """The installed packages with entry points for the tables, their parts now in them. What cannot be used is said, and left out."""
    found, there, code = [], metadata.entry_points(), cache(code_of)  # a package may have many entries of one module
    for table in TABLES:
        for entry in there.select(group=f"imgcollapse.{table.lower()}"):
            assert entry.dist is not None
            source = Plugin(package=entry.dist.name, version=entry.dist.version)
            try:
                part = entry.load()
                source = source.model_copy(update={"sha256": code(entry.module)})
                PLUGINS.add(_outermost(entry.module)[1])
                add((table, entry.name), part, source, f"package {source.package}")
            except Exception as error:  # whatever its module raises
                reason = str(error) if isinstance(error, SettingsProblem) else f"{source.package}: {type(error).__name__}: {error}"
                progress.say(f"plug-in {entry.name} is left out: {reason}")
            else:
                found.append(source)
    return tuple(dict.fromkeys(found))


def _of_package(wanted: Plugin) -> Plugin:
    for there in installed():
        if there.package == wanted.package:
            if wanted.version not in (None, there.version):
                cure = f"install {there.package}=={wanted.version}, or choose another --out"
                raise SettingsProblem(f"plugins: {there.package} {there.version} is installed, the study is of {wanted.version}; {cure}")
            if wanted.sha256 not in (None, there.sha256):
                raise _changed(f"package {there.package} {there.version}", wanted.sha256, there.sha256)
            return there
    raise SettingsProblem(f"plugins: {wanted.package} is not installed, or has no entry points of imgcollapse; install it")


def _of_file(wanted: Plugin) -> tuple[Plugin, dict[tuple[str, str], Any]]:
    assert wanted.file is not None
    path = (devices.current().folder / expanded(wanted.file)).absolute()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise SettingsProblem(f"plugins: {path}: {error.strerror or error}; name a Python file") from None
    now = sha256(source).hexdigest()
    if wanted.sha256 not in (None, now):
        raise _changed(str(path), wanted.sha256, now)
    parts = {(table, str(name)): part for table in TABLES for name, part in _table(_module(path, source, now), table, path).items()}
    if not parts:
        cure = 'write for example MODELS = {"mine": Mine}'
        raise SettingsProblem(f"plugins: {path}: adds nothing, for it has none of {', '.join(TABLES)}; {cure}")
    return Plugin(file=str(path), sha256=now), parts


def _changed(what: str, wanted: str | None, now: str | None) -> SettingsProblem:
    of = f"the study is of SHA-256 {brief(wanted, quoted=False)[:12]}, now it is {(now or 'none')[:12]}"
    return SettingsProblem(f"plugins: {what}: was changed: {of}; put that one back, or begin another study with another --out")


def code_of(name: str) -> str:
    """The SHA-256 of an imported module's Python files: of its outermost package with a folder of its own, or of the module alone.

    An editable install changes without its version.
    """
    first, place = _outermost(name)
    found = sha256()
    for file in [first] if place == str(first) else sorted(first.parent.rglob("*.py")):
        content = file.read_bytes()
        found.update(f"{file.relative_to(first.parent).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


def _outermost(name: str) -> tuple[Path, str]:
    """The file of an imported module's outermost package, or its own; and where its code lies: the package's folder, or that file."""
    parts = name.split(".")
    outer = next(module for i in range(len(parts)) if getattr(module := sys.modules[".".join(parts[: i + 1])], "__file__", None))
    first = Path(str(outer.__file__))
    return first, f"{first.parent}{os.sep}" if hasattr(outer, "__path__") else str(first)


def _table(module: ModuleType, table: str, path: Path) -> Mapping[Any, Any]:
    found = getattr(module, table, {})
    if not isinstance(found, Mapping):
        raise SettingsProblem(f"plugins: {path}: {table} is {type(found).__name__}; make it a dict of names and parts")
    return found


def _module(path: Path, source: bytes, now: str) -> ModuleType:
    """The file, executed once for each of its versions."""
    PLUGINS.add(str(path))
    name = f"{MODULE}{now[:16]}_{str(path).encode().hex()}"
    if name in sys.modules:
        return sys.modules[name]
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = str(path)
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception):
            raise
        linecache.checkcache(str(path))
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else (lines or [None])[-1]
        raise SettingsProblem(f"{plugin_line(str(path), line, error)}; fix it") from error
    return module


MODULE = "imgcollapse_plugin_"


class _Finder:
    """Finds a file's module by its name, which holds path and digest: a fitted model can be sent to the other processes of a run."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        loader: Any = cls
        return ModuleSpec(name, loader) if name.startswith(MODULE) else None

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        digest, _, place = spec.name.removeprefix(MODULE).partition("_")
        (found,) = loaded([bytes.fromhex(place).decode()])
        if not (found.sha256 or "").startswith(digest):
            raise ImportError(f"{found.file}: was changed since the run was begun")
        return sys.modules[spec.name]

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """It was executed when it was made."""


sys.meta_path.append(_Finder)

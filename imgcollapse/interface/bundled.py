"""The configurations that come with the package: studies and ablations, by the names of their files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgcollapse.errors import SettingsProblem, brief, did_you_mean
from imgcollapse.settings import read_file

PACKAGE = Path(__file__).parent.parent
FOLDERS = (PACKAGE / "configs", PACKAGE.parent / "configs")  # installed, see setup.py; and in a clone
QUESTION = "# Question: "
OF_STUDY = {"dataset", "model", "regime", "samples"}
OF_ABLATION = {"base", "arms", "axes", "models", "seeds"}


def names() -> dict[str, Path]:
    """The name of each configuration -> its file."""
    folder = next((one for one in FOLDERS if one.is_dir()), FOLDERS[0])
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def questions() -> dict[str, str]:
    """The name of each configuration -> the command that takes it, and the question that it asks."""
    return {name: f"{_command(read_file(path), name)}: {_question(path)}" for name, path in names().items()}


def study(named: Path) -> dict[str, Any]:
    """The settings in a study's file, or in the configuration of that name. Raises SettingsProblem."""
    values = _read(named)
    if _is_ablation(values):
        raise SettingsProblem(f"{named}: is an ablation, of several studies; {_command(values, named)} runs it")
    return values


def ablation(named: Path) -> dict[str, Any]:
    """The settings in an ablation's file, or in the configuration of that name. Raises SettingsProblem."""
    values = _read(named)
    if OF_STUDY & values.keys() and not _is_ablation(values):
        raise SettingsProblem(f"{named}: is one study and no ablation; {_command(values, named)} runs it")
    return values


def _read(named: Path) -> dict[str, Any]:
    """A file that is there comes first; a plain name without one is that of a configuration."""
    known = names()
    if named.exists() or named.is_symlink():
        return read_file(named)
    if str(named) in known:
        return read_file(known[str(named)])
    meant = did_you_mean(named.stem, known)
    where = "there is no such file, nor a configuration of that name in the package"
    raise SettingsProblem(f"{brief(str(named), quoted=False)}: {where}; {meant}`imgcollapse list configs` shows those that there are")


def _is_ablation(values: Mapping[str, Any]) -> bool:
    return bool(OF_ABLATION & values.keys())


def _command(values: Mapping[str, Any], name: object) -> str:
    return f"`imgcollapse ablate {name}`" if _is_ablation(values) else f"`imgcollapse run --config {name}`"


def _question(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix(QUESTION)

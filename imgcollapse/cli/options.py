"""Options that several commands have. Nothing heavy is imported here: `--help` must answer at once."""

import ast
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

PACKAGE = Path(__file__).parent.parent

EXIT_CODES = """\b
Exit codes: 0 done; 1 unexpected error; 2 settings that cannot be used; 3 data missing or damaged;
4 the run folder is in use by another process; 5 the run folder holds something else;
6 a network's loss became NaN or infinite; 7 some runs of an ablation are not finished;
8 the system refuses something (no room on the disk, no permission, no file locks);
9 a program or plug-in that the study names failed or did not do what it should;
130 and 143 stopped by SIGINT and SIGTERM (what is finished is kept)."""


def names(file: str, table: str) -> str:
    """The names in one of the package's tables, with commas, as its source has them: to import a table takes seconds."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    (found,) = (node.value for node in tree.body if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == table)
    assert isinstance(found, ast.Dict), f"{table} is spelled out"
    return ", ".join(ast.literal_eval(key) for key in found.keys if key is not None)


def setting(flag: str, help: str, **more: Any) -> Callable[[Any], Any]:
    """An option that can be given in the environment as well."""
    variable = "IMGCOLLAPSE_" + flag.removeprefix("--").replace("-", "_").upper()
    return click.option(flag, help=help, envvar=variable, show_envvar=True, **more)


class Place(click.ParamType):  # type: ignore[type-arg]  # generic only in newer versions of click
    """A file or folder; `~` stands for the home folder wherever it is given, in the environment too."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Raises SettingsProblem for a home that is not known, and for nothing at all."""
        from imgcollapse.errors import SettingsProblem
        from imgcollapse.files import expanded

        if not str(value):
            raise SettingsProblem(f"{param.opts[-1] if param else 'path'}: is empty; name a file or folder, or leave it out")
        return expanded(value)


class Number(click.ParamType):  # type: ignore[type-arg]  # generic only in newer versions of click
    """A number, read as in a file of settings, so that the same text is the same number wherever it is given."""

    def __init__(self, kind: type[int] | type[float] = int, least: int | None = None) -> None:
        self.kind, self.least = kind, least
        self.name = "integer" if kind is int else "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises SettingsProblem for what is no number, or too small a one."""
        if not isinstance(value, str):
            return value  # a default
        from imgcollapse.settings import read_number

        variable = str(param.envvar) if param else ""
        flag = param.opts[-1] if param else self.name
        return read_number(value, self.kind, self.least, variable if os.environ.get(variable) == value else flag)


def _listed(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """`classifier,inception` -> their names."""
    return None if value is None else [name.strip() for name in value.split(",")]


DATA_DIR = click.option(
    "--data-dir",
    envvar="IMGCOLLAPSE_DATA",
    show_envvar=True,
    type=Place(),
    help="Where data sets, classifiers and weights are kept. [~/.cache/imgcollapse]",
)
DEVICE = setting("--device", "auto, cpu, cuda, cuda:N, mps.", default="auto", show_default=True)
PRECISION = setting("--precision", "auto (bfloat16 where the hardware supports it), float32, bfloat16.", default="auto", show_default=True)
ENGINES = names("ablation/engines/__init__.py", "ENGINES")
EXTRACTORS = names("extractors/__init__.py", "EXTRACTORS")
TRACKERS = names("track/kinds.py", "TRACKERS")
ENGINE = click.option("--engine", default="local", show_default=True, help=f"What executes the runs: {ENGINES}.")
_TRACK = setting("--track", f"Log to a tracker as well: {TRACKERS}; may be repeated.", multiple=True, metavar="KIND")
EXTRACTOR = setting(
    "--extractor",
    f"Features to judge by, with commas: {EXTRACTORS} (inception: FID). [classifier,random; one class: random,pca; points: pixels]",
    callback=_listed,
    metavar="KIND,KIND",
)

INTERVAL = click.option(
    "--interval",
    type=click.Choice(["t", "bootstrap"]),
    default="t",
    show_default=True,
    help="How 95 % intervals over seeds are computed: Student's t, or the BCa bootstrap.",
)
PLUGIN = click.option(
    "--plugin", "plugins", multiple=True, metavar="FILE.py", help="A file with parts of your own (docs/plugins.md); may be repeated."
)
LOG_JSON = click.option("--log-json", is_flag=True, help="Report progress on stderr as JSON, one object per line (docs/long_runs.md).")
JUDGE_BESIDE = click.option(
    "--judge-beside/--no-judge-beside",
    default=None,
    envvar="IMGCOLLAPSE_JUDGE_BESIDE",
    show_envvar=True,
    help="Judge each generation in a separate process while the next one is made; changes no result. [on a GPU, and where the processor "
    "has four cores or more and torch uses no more than half of them]",
)


_CHECKPOINT_EVERY = setting(
    "--checkpoint-every",
    "How often the unfinished generation is saved, to go on from there; changes no result; 0: never. [10]",
    type=Number(float, least=0),
    metavar="MINUTES",
)


def long_work(command: Any) -> Any:
    """What commands that work for long have."""
    return _CHECKPOINT_EVERY(_TRACK(command))


def _with_weights() -> Iterator[str]:
    """The `kind` of every `Published` file of weights that an extractor's source names."""
    for file in sorted((PACKAGE / "extractors").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Published":
                yield from (ast.literal_eval(given.value) for given in node.keywords if given.arg == "kind")


WEIGHTS = tuple(_with_weights())
"""The extractors with published weights; read, as the tables are, without importing them."""


def weights(command: Any) -> Any:
    """Files to use instead of published weights: decorates a command with an option for each."""
    for kind in WEIGHTS:
        help_text = f"A file of weights for {kind}. [the published one, fetched into DATA_DIR/weights at its first use]"
        command = setting(f"--{kind}-weights", help_text, type=Place())(command)
    return command


def machine(command: Any) -> Any:
    """On what a command works, with parts of one's own, by which features it judges, and how it tells of it."""
    for option in (LOG_JSON, DATA_DIR, weights, PLUGIN, EXTRACTOR, PRECISION, DEVICE):  # the last stands first
        command = option(command)
    return command

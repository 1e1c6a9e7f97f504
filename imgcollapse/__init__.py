"""Measures model collapse in image generators that are trained on their own pictures.

From Python: `run`, `ablate`, `score`, `judge` and `report` do what the commands of these names do, with the same words, defaults, errors
and folders; `open` opens the folder of a run or an ablation. What is heavy is imported when one of them is called.
"""

import sys
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union

from imgcollapse.errors import (
    DataProblem,
    DivergedProblem,
    InUseProblem,
    OtherStudyProblem,
    Problem,
    ProgramProblem,
    SettingsProblem,
    SystemProblem,
    UnfinishedProblem,
    WeightsProblem,
)

if TYPE_CHECKING:
    from imgcollapse.interface.opened import Ablation, Run, Scored

__version__ = "0.1.0"
__all__ = [
    "Ablation",
    "DataProblem",
    "DivergedProblem",
    "InUseProblem",
    "OtherStudyProblem",
    "Problem",
    "ProgramProblem",
    "Run",
    "Scored",
    "SettingsProblem",
    "SystemProblem",
    "UnfinishedProblem",
    "WeightsProblem",
    "__version__",
    "ablate",
    "judge",
    "open",
    "report",
    "run",
    "score",
]

Folder: TypeAlias = str | PathLike[str]  # a run, an ablation and a scoring are paths too
Part: TypeAlias = str | Mapping[str, Any]  # `ddpm`, `folder:PATH`, or {"kind": "ddpm", "steps": 500}; without a kind, of the usual one
Axis: TypeAlias = Part | Sequence[Part]  # one, or several: an axis of the ablation

_OPENED = ("Ablation", "Run", "Scored")


def run(
    config: Folder | Mapping[str, Any] | None = None,
    *,
    dataset: Part | None = None,
    model: Part | None = None,
    regime: Part | None = None,
    real_fraction: float | None = None,
    pool: str | None = None,
    gens: int | None = None,
    until: str | None = None,
    samples: int | None = None,
    seed: int | None = None,
    extractor: str | Sequence[Part] | None = None,
    set: Mapping[str, Any] | None = None,
    plugins: Folder | Sequence[Folder] = (),
    out: Folder | None = None,
    judge_beside: bool | None = None,
    device: str | None = None,
    precision: str | None = None,
    data_dir: Folder | None = None,
    weights: Mapping[str, Folder] | None = None,
    track: str | Sequence[str] = (),
    checkpoint_every: float | None = None,
    quiet: bool = False,
) -> "Run":
    """Trains a chain of generations and judges each of them, as `imgcollapse run` does; to resume, call it again.

    A setting is taken from `set`, else from its keyword, else from `config`, else it is the default.

    config: a YAML file of settings (a run's study.yaml is one), or a mapping of what would stand in it
    dataset, model, regime: their kind as a word, or a mapping of their options
    until:  "recall<0.5", "random:fd>20": end at the first generation at which this holds, at the last of `gens` at the latest
    set:    any setting by its path, {"model.steps": 500}, or nested, {"model": {"steps": 500}}
    plugins: files with parts of your own (docs/plugins.md)
    out:    the run folder; None: runs/NAME, the name made from the settings
    judge_beside: judge in a process of its own while the next generation is made, which changes no result; None: where there is room.
            It needs no `if __name__ == "__main__":` in a script, and works in notebooks
    device, precision, data_dir, weights (extractor -> file): of the machine; None: as `IMGCOLLAPSE_DEVICE`, ... say, else automatic
    checkpoint_every: minutes between checkpoints of a generation that is being made (docs/long_runs.md); 0: none; None: 10
    quiet:  tell nothing of the work

    Ctrl-C (in a notebook: interrupt) ends it cleanly: what is finished is kept and drawn, and KeyboardInterrupt is raised. So does SIGTERM,
    where the program has no handler of its own for it, and raises SystemExit(143). Raises the Problems of this package, with one line each.

    >>> import imgcollapse as ic
    >>> chain = ic.run(dataset="gaussian", model="gaussian", gens=3, set={"dataset.size": 60}, out="chain", quiet=True)
    >>> chain, chain.generations
    (<run in chain>, [0, 1, 2])
    >>> ic.run(gens=0, quiet=True)
    Traceback (most recent call last):
    imgcollapse.errors.SettingsProblem: gens: 0 cannot be used; it should be greater than 0
    """
    given = dict(locals())
    made: Run = _calls().run(given)
    return made


def ablate(
    file: Folder | Mapping[str, Any] | None = None,
    *,
    dataset: Axis | None = None,
    model: Axis | None = None,
    regime: Axis | None = None,
    real_fraction: float | str | Sequence[float] | None = None,
    pool: str | Sequence[str] | None = None,
    samples: int | str | Sequence[int] | None = None,
    gens: int | None = None,
    seeds: int | str | Sequence[int] | None = None,
    extractor: str | Sequence[Part] | None = None,
    axes: Mapping[str, Sequence[Any]] | None = None,
    set: Mapping[str, Any] | None = None,
    plugins: Folder | Sequence[Folder] = (),
    nulls: bool | None = None,
    out: Folder | None = None,
    jobs: int | None = None,
    threads: int = 1,
    engine: str = "local",
    engine_options: Mapping[str, Any] | None = None,
    interval: Literal["t", "bootstrap"] = "t",
    retry: bool = False,
    device: str | None = None,
    precision: str | None = None,
    data_dir: Folder | None = None,
    weights: Mapping[str, Folder] | None = None,
    track: str | Sequence[str] = (),
    checkpoint_every: float | None = None,
    quiet: bool = False,
) -> "Ablation":
    """Runs a grid of studies, arms by seeds, and compares them, as `imgcollapse ablate` does; to go on, call it again.

    file:   an ablation in YAML, or a mapping of what would stand in it: question, base, arms or axes, seeds
    dataset, model, regime, real_fraction, pool, samples: one value, which changes the base, or several, which are an axis
    seeds:  how many (3: seeds 0, 1, 2), which, or "auto:0.1": until the endpoint is known to ±0.1
    axes:   path of any setting -> its values; axes cross
    set:    any setting of all arms, as for `run`
    jobs, threads, engine, engine_options, interval, retry: as for the command; the others as for `run`

    Runs that failed are raised as UnfinishedProblem, once what is there is summed up; `open` opens it all the same. Raises the Problems
    of this package else; Ctrl-C and SIGTERM are as for `run`.

    >>> import imgcollapse as ic
    >>> grid = ic.ablate(dataset="gaussian", model=["gaussian", "bootstrap"], gens=2, seeds=1, nulls=False, set={"dataset.size": 60},
    ...                  jobs=1, out="grid", quiet=True)
    >>> [(run.arm, run.generations) for run in grid.runs]
    [('model gaussian', [0, 1]), ('model bootstrap', [0, 1])]
    """
    given = dict(locals())
    made: Ablation = _calls().ablate(given)
    return made


def score(
    samples: Folder | Sequence[Folder],
    *,
    against: Part,
    n: int | None = None,
    learned_from: Folder | None = None,
    seed: int | None = None,
    extractor: str | Sequence[Part] | None = None,
    set: Mapping[str, Any] | None = None,
    plugins: Folder | Sequence[Folder] = (),
    out: Folder | None = None,
    device: str | None = None,
    precision: str | None = None,
    data_dir: Folder | None = None,
    weights: Mapping[str, Folder] | None = None,
    quiet: bool = False,
) -> "Scored":
    """Compares pictures of any program with real ones, as `imgcollapse score` does.

    samples: a folder of pictures, a .zip, an .npz (arr_0, uint8 [N, H, W, C]), a run or one of its generations; or several of them
    against: the real pictures: digits, mnist, cifar10, folder:PATH, ... or a mapping of their options
    n:       pictures of each set that are compared; None: as many as are there and held out, at most 10,000
    learned_from: what the model that drew them learned from
    seed:    of a toy world
    out:     the file of scores; None: scores/NAME.json, the name made from all of this

    The others as for `run`. Raises the Problems of this package.

    >>> import imgcollapse as ic
    >>> chain = ic.run(dataset="grid25", model="bootstrap", gens=2, set={"dataset.size": 200}, out="chain", quiet=True)
    >>> found = ic.score(["chain/gen_000", "chain/gen_001"], against="grid25", set={"dataset.size": 200}, out="found.json", quiet=True)
    >>> found, len(found.scores()) > 10
    (<scores of gen_000, gen_001 in found.json>, True)
    """
    given = {name: value for name, value in locals().items() if name != "samples"}
    found: Scored = _calls().score(samples, given)
    return found


def judge(
    *folders: Folder,
    extractor: str | Sequence[Part] | None = None,
    set: Mapping[str, Any] | None = None,
    plugins: Folder | Sequence[Folder] = (),
    device: str | None = None,
    precision: str | None = None,
    data_dir: Folder | None = None,
    weights: Mapping[str, Folder] | None = None,
    quiet: bool = False,
) -> dict[Path, str]:
    """Judges runs (those of ablations too) again, from what they have kept, as `imgcollapse judge` does; nothing is trained.

    `set` changes settings of the judge alone ("judge.k"); what is not named stays as in the run's own study. Returns folder of a run ->
    name of the judge's folder in its `scores`. Scores of all judges stand side by side in `scores()`. Raises the Problems of this package.

    >>> import imgcollapse as ic
    >>> chain = ic.run(dataset="gaussian", model="gaussian", gens=2, set={"dataset.size": 60}, out="chain", quiet=True)
    >>> judged = ic.judge(chain, set={"judge.n": 20}, quiet=True)
    >>> list(map(str, judged)), sorted({row["extractor"] for row in chain.scores()})
    (['chain'], ['model', 'model (n 20)', 'pixels', 'pixels (n 20)'])
    """
    given = {name: value for name, value in locals().items() if name != "folders"}
    judged: dict[Path, str] = _calls().judge(folders, given)
    return judged


def report(
    *folders: Folder,
    out: Folder | None = None,
    budget: float = 25,
    interval: Literal["t", "bootstrap"] = "t",
    latex: bool = False,
    metrics: str | Sequence[str] | None = None,
    gens: int | str | Sequence[int | str] | None = None,
    arms: str | Sequence[str] | None = None,
    quiet: bool = False,
) -> Path:
    """Writes one self-contained page that shows runs and ablations, and what lies beside it, as `imgcollapse report` does.

    out: the page; None: report.html in the folder, of several folders here
    budget: its size in MB; pictures that do not fit lie beside
    latex: write tables for a paper instead (`report.tex`); metrics, gens, arms: what stands in them (docs/tables.md)

    Returns where the page is. Raises the Problems of this package.

    >>> import imgcollapse as ic
    >>> chain = ic.run(dataset="gaussian", model="gaussian", gens=2, set={"dataset.size": 60}, out="chain", quiet=True)
    >>> ic.report(chain, quiet=True).name
    'report.html'
    """
    given = {name: value for name, value in locals().items() if name != "folders"}
    page: Path = _calls().report(folders, given)
    return page


def open(folder: Folder) -> Union["Run", "Ablation"]:
    """The run or ablation in that folder, half-finished ones too. Raises SettingsProblem where it is neither.

    >>> import imgcollapse as ic
    >>> chain = ic.run(dataset="gaussian", model="gaussian", gens=2, set={"dataset.size": 60}, out="chain", quiet=True)
    >>> ic.open("chain").scores() == chain.scores()
    True
    """
    found: Run | Ablation = _calls().open(folder)
    return found


def _calls() -> Any:
    """What does it, which is slow to import."""
    if "torch" not in sys.modules:
        from imgcollapse.machine import busy

        busy.wait_asleep_if_busy()
    # tqdm, which libraries import, would ask for widgets in a notebook; the bars there are our own
    warnings.filterwarnings("ignore", message="IProgress not found")
    from imgcollapse.interface import calls

    return calls


def __getattr__(name: str) -> Any:
    """The classes, imported when they are asked for."""
    if name not in _OPENED:
        raise AttributeError(f"module 'imgcollapse' has no attribute '{name}'")
    from imgcollapse.interface import opened

    return getattr(opened, name)

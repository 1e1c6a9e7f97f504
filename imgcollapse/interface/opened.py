"""Runs and ablations that lie in a folder, opened: what `imgcollapse.run`, `ablate` and `open` give."""

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, overload

from imgcollapse import reports, store
from imgcollapse.ablation import grid, plan, summary
from imgcollapse.ablation.status import RunStatus, run_statuses
from imgcollapse.errors import SettingsProblem, brief
from imgcollapse.exchange import samples
from imgcollapse.images import ImageSet
from imgcollapse.interface import html, reporting
from imgcollapse.interface.ablating import summed_up
from imgcollapse.interface.frames import Rows, as_asked
from imgcollapse.interface.told import told
from imgcollapse.interface.until import looked_up
from imgcollapse.models import Model
from imgcollapse.settings import build, read_file
from imgcollapse.study import Study

Record = dict[str, Any]
Frame = Literal["pandas", "polars"]


class _Folder(PathLike[str]):
    """What runs and ablations have in common: they lie in a folder, and stand for it wherever a path is wanted."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._opened_in = folder, Path.cwd()

    @property
    def folder(self) -> Path:
        """Where it lies, also after the program has changed its working folder."""
        return self._folder if Path.cwd() == self._opened_in else self._opened_in / self._folder

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} in {self.folder}>"

    def _runs(self) -> list[summary.Run]:
        return plan.runs_in(self.folder)

    @overload
    def scores(self, frame: None = None) -> Rows: ...
    @overload
    def scores(self, frame: Frame) -> Any: ...
    def scores(self, frame: Frame | None = None) -> Any:
        """The tidy table of all scores there are: a row a seed, generation, extractor and metric, as in `ablation.csv`.

        Columns: arm, model, null (empty: no null model), regime, seed, generation, extractor, metric, value, real (vs real: the mean; None
        where the metric has none), real_low, real_high, n (pictures that the value is of). `frame`: `pandas` or `polars`, for a frame of
        that package in place of a list of dicts. Raises SettingsProblem where that is not installed, DataProblem for damaged scores.

        >>> import imgcollapse as ic
        >>> run = ic.run(dataset="gaussian", model="gaussian", gens=2, set={"dataset.size": 60}, out="chain", quiet=True)
        >>> row = run.scores()[0]
        >>> row["generation"], row["extractor"], row["metric"], row["n"]
        (0, 'pixels', 'fd', 30)
        """
        with told():
            return as_asked(summary.rows(self._runs()), summary.COLUMNS, frame)

    def report(self, out: str | PathLike[str] | None = None, *, budget: float = 25, interval: str = "t", **more: Any) -> Path:
        """Writes its page and what lies beside it, as `imgcollapse.report` does (`more`: latex, ...); returns where the page is."""
        with told():
            one = reporting.asked([self.folder], {"page": out and str(out), "budget": budget, "interval": interval, **more})
            reporting.claim(one)
            return reporting.execute(one).written.page


class Run(_Folder):
    """A run in its folder, half-finished ones too: what is there is read when it is asked for.

    >>> import imgcollapse as ic
    >>> run = ic.run(dataset="gaussian", model="gaussian", gens=2, set={"dataset.size": 60}, out="chain", quiet=True)
    >>> run.generations, run.samples(1).pixels.shape, run.model(1).sample(5, seed=0).pixels.shape
    ([0, 1], torch.Size([60, 1, 1, 2]), torch.Size([5, 1, 1, 2]))
    """

    def __init__(self, of: summary.Run) -> None:
        super().__init__(of.folder)
        self._of = of

    def _runs(self) -> list[summary.Run]:
        return [replace(self._of, folder=self.folder)]

    @property
    def study(self) -> Study:
        """Everything that decides its outcome, every default spelled out."""
        return self._of.study

    @property
    def arm(self) -> str:
        """The arm of an ablation that it belongs to; of a single run, its study in a few words."""
        return self._of.arm

    @property
    def null(self) -> str | None:
        """The null model that takes the model's place in the arm; None: the arm itself."""
        return self._of.null

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self._of.seed

    @property
    def generations(self) -> list[int]:
        """The finished generations whose files are as they were written, in order."""
        with told():
            return store.sound(self.folder) if (self.folder / store.STUDY).is_file() else []

    def samples(self, generation: int | None = None) -> ImageSet:
        """What a generation drew, the last one where no number is given, checked against the manifest.

        `.pixels` uint8 [N, C, H, W] (points: float32 [N, 1, 1, D]), `.labels` int64 [N], -1 without a class, `.born` int64 [N]; tensors
        (`.pixels.numpy()` for an array). Raises SettingsProblem for one that is not finished, DataProblem where it is damaged or its
        samples were thrown away (`keep.samples`).
        """
        with told():
            return samples.generation(self.folder, generation)[1]

    def model(self, generation: int | None = None) -> Model:
        """The fitted model of a generation, the last one where no number is given: `.sample(n, seed)` draws from it.

        Raises as `samples` does (`keep.models`).
        """
        with told():
            number = store.chosen(self.folder, generation)
            store.check(store.generation_folder(self.folder, number))
            samples.refuse_thrown_away(store.generation_folder(self.folder, number), store.MODEL)
            found: Model = store.kept_model(self.folder, number, self.study.model.load)
            return found

    def provenance(self, generation: int | None = None) -> Record:
        """Of what a generation's training set was made (`provenance.json`): real pictures and those of each generation, per class; what
        gates were offered and let in. Raises as `samples` does."""
        with told():
            folder = store.generation_folder(self.folder, store.chosen(self.folder, generation))
            store.check(folder)
            return store.read_json(folder / store.PROVENANCE)

    def until(self, condition: str) -> Record:
        """Whether and when `recall<0.5` (say) first held, by its own judge, as `run --until` has it. Raises SettingsProblem."""
        with told():
            return looked_up(condition, self.study, self.folder, self.generations).record()

    def summary(self) -> Record:
        """What `imgcollapse.ablation.summary` says of it, as an ablation of one arm and one seed; without arms where nothing is judged."""
        with told():
            return reports.read([self.folder]).summary

    def _repr_html_(self) -> str:
        with told():
            return html.of_run(self._of)


class Ablation(_Folder):
    """An ablation in its folder, half-finished ones too: what is there is read when it is asked for.

    >>> import imgcollapse as ic
    >>> grid = ic.ablate(dataset="gaussian", model="gaussian", gens=2, seeds=1, nulls=False, set={"dataset.size": 60},
    ...                  real_fraction=[0, 0.5], jobs=1, out="grid", quiet=True)
    >>> [run.arm for run in grid.runs], grid.run("real_fraction 0.5").generations
    (['real_fraction 0', 'real_fraction 0.5'], [0, 1])
    """

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run of the last call, null models too; some may not have begun."""
        with told():
            return tuple(map(Run, plan.read(self.folder)))

    @property
    def statuses(self) -> list[RunStatus]:
        """How far every run is, and what failed."""
        with told():
            return run_statuses(plan.read(self.folder), checked=True)

    def run(self, arm: str, seed: int | None = None, null: str | None = None) -> Run:
        """The run of an arm (or of a null model in it), of that seed or of the first. Raises SettingsProblem where there is none."""
        there = self.runs
        for one in there:
            if (one.arm, one.null) == (arm, null) and seed in (None, one.seed):
                return one
        names = dict.fromkeys(f"{summary.named(one.arm, one.null)}, seed {one.seed}" for one in there)
        wanted = summary.named(arm, null) + ("" if seed is None else f", seed {seed}")
        raise SettingsProblem(f"{self.folder}: has no run {brief(wanted)}; there are: {'; '.join(names)}")

    def summary(self) -> Record:
        """What is in `summary.json`: means, differences and the answer, with intervals over seeds; see `imgcollapse.ablation.summary`."""
        with told():
            findings = reports.read([self.folder])
            chosen = build(grid.Ablation, read_file(self.folder / grid.ABLATION))
            return summed_up(chosen.question, findings, self.folder, self.statuses)

    def _repr_html_(self) -> str:
        with told():
            return html.of_ablation(self.folder, self.summary(), self.statuses)


def opened(folder: Path) -> Run | Ablation:
    """What lies there. Raises SettingsProblem where it is neither a run nor an ablation."""
    runs = plan.runs_in(folder)
    return Run(runs[0]) if (folder / store.STUDY).is_file() else Ablation(folder)


class Scored(PathLike[str]):
    """Sets of pictures that were compared with real ones, and the file in which that is kept.

    >>> import imgcollapse as ic
    >>> run = ic.run(dataset="grid25", model="bootstrap", gens=1, set={"dataset.size": 200}, out="chain", quiet=True)
    >>> found = ic.score(run, against="grid25", set={"dataset.size": 200, "judge.metrics": ["frechet_distance"]}, quiet=True)
    >>> [(row["samples"], row["extractor"], row["metric"], row["n"]) for row in found.scores()]
    [('chain', 'pixels', 'fd', 100)]
    """

    COLUMNS = ("samples", "extractor", "metric", "value", "real", "real_low", "real_high", "n")

    def __init__(self, file: Path, record: Mapping[str, Any]) -> None:
        self.file, self.record = file, dict(record)

    def __fspath__(self) -> str:
        return str(self.file)

    def __repr__(self) -> str:
        return f"<scores of {', '.join(self.record['samples'])} in {self.file}>"

    @overload
    def scores(self, frame: None = None) -> Rows: ...
    @overload
    def scores(self, frame: Frame) -> Any: ...
    def scores(self, frame: Frame | None = None) -> Any:
        """A row for each set, extractor and metric; columns and `frame` as for a run."""
        rows = []
        for name, one in self.record["samples"].items():
            for extractor, values in one["sources"].items():
                for metric, found in values.items():
                    real = found["real"] or dict.fromkeys(("mean", "low", "high"))
                    cells = (name, extractor, metric, found["value"], real["mean"], real["low"], real["high"], found["n"])
                    rows.append(dict(zip(self.COLUMNS, cells, strict=True)))
        return as_asked(rows, self.COLUMNS, frame)

    def _repr_html_(self) -> str:
        return html.of_scores(self.record)

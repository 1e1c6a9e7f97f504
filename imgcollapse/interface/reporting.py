"""What `imgcollapse report` and `imgcollapse.report` do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcollapse import reports, store
from imgcollapse.ablation import grid, plan
from imgcollapse.errors import OtherStudyProblem, SettingsProblem
from imgcollapse.files import expanded
from imgcollapse.files.places import tried
from imgcollapse.reports import latex, overview
from imgcollapse.reports.chosen import Choice, ChosenTable, tables


@dataclass(frozen=True)
class Asked:
    """Which page is wanted: of what, where, how large (bytes) at most, and how intervals are computed.

    aside:  its place is that of the page of its one folder: what stands in the way there is set aside
    latex:  tables in LaTeX are wanted in place of a page
    choice: what tables are to show; None: none are asked for, or what they have room for
    """

    places: Sequence[Path]
    page: Path
    budget: float
    interval: str
    aside: bool
    latex: bool = False
    choice: Choice | None = None

    @property
    def of_many(self) -> bool:
        """Whether it is of a folder of runs and ablations."""
        return overview.is_of_many(self.places)

    @property
    def options(self) -> dict[str, Any]:
        """For `reports.write`."""
        return {"budget": self.budget, "aside": self.aside}


def asked(places: Sequence[Path], given: Mapping[str, Any]) -> Asked:
    """`given`: the flags, `budget` in MB. Raises SettingsProblem and OtherStudyProblem (see `page_of`), and what `tried` raises."""
    named, as_latex = given["page"], bool(given.get("latex"))
    choice = Choice.of(given.get("metrics"), given.get("gens"), given.get("arms"))
    if (as_latex or choice) and overview.is_of_many(places):
        flag = "--latex" if as_latex else "--metrics, --gens, --arms"
        raise SettingsProblem(f"{flag}: {places[0]} is neither a run nor an ablation; {plan.name_them(plan.inside(places[0]))}")
    page = page_of(places, named, ".tex" if as_latex else ".html")
    tried(page, "choose another -o")
    return Asked(places, page, given["budget"] * 1e6, given["interval"], named is None and len(places) == 1, as_latex, choice)


def claim(one: Asked) -> None:
    """Takes the page's place, before the work. Raises OtherStudyProblem where something else is there."""
    if not one.aside and not one.latex:
        reports.claim(one.page)


@dataclass(frozen=True)
class Executed:
    """The page (or the tables in LaTeX), all files that were written, and the tables that were asked for."""

    written: reports.Written
    files: Sequence[Path]
    tables: Sequence[ChosenTable] = ()


def execute(one: Asked) -> Executed:
    """Writes the page and what lies beside it; of a folder of runs and ablations the page alone, and likewise tables in LaTeX.

    Raises SettingsProblem for a score, a generation or an arm that there is not, before anything is written.
    """
    if one.of_many:
        return _alone(overview.write(one.places[0], one.page, one.interval, aside=one.aside))
    found = reports.read(one.places, one.interval)
    shown = tables(found, one.choice) if one.latex or one.choice else []
    if one.latex:
        latex.write(one.page, latex.latex(shown, " and ".join(place.resolve().name for place in one.places)), one.aside)
        return _alone(reports.Written(one.page, one.page.stat().st_size, None), shown)
    written = reports.write(found, one.page, **one.options)
    return Executed(written, [written.page, *reports.beside(found, one.page)], shown)


def _alone(written: reports.Written, shown: Sequence[ChosenTable] = ()) -> Executed:
    return Executed(written, [written.page], shown)


def page_of(places: Sequence[Path], named: str | None, suffix: str = ".html") -> Path:
    """Where the page (or what ends in that suffix) goes: as `-o` names it, else into the folder that it is of; of several, here.

    Raises SettingsProblem for a name that is none of a page, OtherStudyProblem for the place of the page of one of many, or of others.
    """
    page = (
        (places[0] if len(places) == 1 else Path()) / (latex.TEX if suffix == ".tex" else reports.PAGE)
        if named is None
        else expanded(named)
    )
    if named is not None and (page.suffix != suffix or not named.endswith(suffix)):
        what = "page" if suffix == ".html" else "file of LaTeX"
        raise SettingsProblem(f"-o: '{named}' names no {what}; end it in {suffix}, for example -o both{suffix}")
    of_one = any((page.parent / file).is_file() for file in (store.STUDY, grid.PLAN))
    if page.name in (reports.PAGE, latex.TEX) and of_one and [place.resolve() for place in places] != [page.parent.resolve()]:
        raise OtherStudyProblem(f"{page}: is the place for the page of {page.parent} alone; choose another -o")
    return page

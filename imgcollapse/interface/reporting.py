"""What `imgcollapse report` and `imgcollapse.report` do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcollapse import reports, store
from imgcollapse.ablation import grid
from imgcollapse.errors import OtherStudyProblem, SettingsProblem
from imgcollapse.files import expanded
from imgcollapse.files.places import tried
from imgcollapse.reports import overview


@dataclass(frozen=True)
class Asked:
    """Which page is wanted: of what, where, how large (bytes) at most, and how intervals are computed.

    aside: its place is that of the page of its one folder: what stands in the way there is set aside
    """

    places: Sequence[Path]
    page: Path
    budget: float
    interval: str
    aside: bool

    @property
    def of_many(self) -> bool:
        """Whether it is of a folder of runs and ablations."""
        return overview.is_of_many(self.places)

    @property
    def options(self) -> dict[str, Any]:
        """For `reports.write`."""
        return {"budget": self.budget, "aside": self.aside}


def asked(places: Sequence[Path], named: str | None, budget: float, interval: str) -> Asked:
    """`budget`: MB. Raises SettingsProblem and OtherStudyProblem (see `page_of`), and what `tried` raises."""
    page = page_of(places, named)
    tried(page, "choose another -o")
    return Asked(places, page, budget * 1e6, interval, named is None and len(places) == 1)


def claim(one: Asked) -> None:
    """Takes the page's place, before the work. Raises OtherStudyProblem where something else is there."""
    if not one.aside:
        reports.claim(one.page)


def execute(one: Asked) -> tuple[reports.Written, list[Path]]:
    """Writes the page and what lies beside it; the page, and all files. Of a folder of runs and ablations, the page alone."""
    if one.of_many:
        written = overview.write(one.places[0], one.page, one.interval, aside=one.aside)
        return written, [written.page]
    found = reports.read(one.places, one.interval)
    written = reports.write(found, one.page, **one.options)
    return written, [written.page, *reports.beside(found, one.page)]


def page_of(places: Sequence[Path], named: str | None) -> Path:
    """Where the page goes: as `-o` names it, else into the folder that it is of; of several, here.

    Raises SettingsProblem for a name that is none of a page, OtherStudyProblem for the place of the page of one of many, or of others.
    """
    page = (places[0] if len(places) == 1 else Path()) / reports.PAGE if named is None else expanded(named)
    if named is not None and (page.suffix != ".html" or not named.endswith(".html")):
        raise SettingsProblem(f"-o: '{named}' names no page; end it in .html, for example -o both.html")
    of_one = any((page.parent / file).is_file() for file in (store.STUDY, grid.PLAN))
    if page.name == reports.PAGE and of_one and [place.resolve() for place in places] != [page.parent.resolve()]:
        raise OtherStudyProblem(f"{page}: is the place for the page of {page.parent} alone; choose another -o")
    return page

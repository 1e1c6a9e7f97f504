"""What a study needs beside pictures, weights and their making: records, scores, grids, figures and pages, and the time to start.

Little of it grows with the pictures, so it is most of a small study. The constants are what folders of digits and of points were found to
hold, and what two cores of 2.5 GHz took; pages, which depend on what there is to be shown, are told to within a factor of 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

FOLDER = 4096  # bytes of a folder itself, as most file systems count them
MANIFEST = 3_000  # bytes of a generation's manifest, provenance and options
RECORDS = 6_000  # of a run's study, environment, data, history and logs
SCORE, REAL, ROW = 190, 130, 150  # of a score in its JSON, in that of the reference, and in a table
CURVES, FOREST = 160_000, 60_000  # of the figures
PAGE, ARM = 150_000, 40_000  # of a page with nothing in it, and of what each arm adds
ON_PAGE, IN_TIME = 250, 150  # for each of an arm's scores, and for each generation of it
MOSAICS, SHOWN = 5_000, 56  # of the pictures of a generation on a page, and how many they are
LARGEST_PAGE = 25e6
SUMMARY, SUMMED = 40_000, 550  # of an arm in `summary.json`, and of each of its scores
NULL = 0.5  # what a null model adds to a page, of what an arm does

STARTING = 4.0  # seconds until a process has begun
SERVER = 8.0  # until the processes of the runs have, which import more
DRAWING, OF_ABLATION, READING = 2.0, 3.0, 0.03  # of figures and page of a run, and of an ablation; and for each judged generation


@dataclass(frozen=True)
class Beside:
    """What lies beside the pictures and weights of a run.

    values:  scores of a judged generation
    grid:    bytes of its sample grid
    picture: bytes of a picture
    judged:  generations that are judged
    folders: run folders: one, or of an ensemble one more than it has chains
    """

    values: int = 0
    grid: float = 0.0
    picture: int = 0
    judged: int = 0
    folders: int = 1

    def own(self, due: bool) -> float:
        """Bytes of a generation that every run has for itself, whatever it shares: folders, and where it is judged scores and grid."""
        return 3 * FOLDER + due * (self.scores + self.grid)

    @property
    def scores(self) -> float:
        """Bytes of the scores of a generation."""
        return SCORE * self.values

    @property
    def records(self) -> float:
        """Bytes of the run's own records, those of its judge among them."""
        return self.folders * (RECORDS + REAL * self.values + 4 * FOLDER)

    @property
    def table(self) -> float:
        """Bytes of its rows in a table of scores."""
        return ROW * self.values * self.judged

    @property
    def pages(self) -> float:
        """Bytes of the table, the figures and the page that are made of a run by itself."""
        return self.folders * (self.table + CURVES + self.judged * self.grid / 8 + min(LARGEST_PAGE, PAGE + self.shown))

    @property
    def shown(self) -> float:
        """Bytes of what a page shows of it, as of an arm."""
        return ARM + self.values * (ON_PAGE + IN_TIME * self.judged) + self.judged * (MOSAICS + SHOWN * self.picture)

    @property
    def seconds(self) -> float:
        """To start, and to draw figures and page."""
        return STARTING + self.folders * (DRAWING + READING * self.judged)


def of_ablation(runs: Sequence[Beside], arms: Sequence[Beside], nulls: Sequence[Beside]) -> float:
    """Bytes of an ablation's own files: table, summary, figures and page. arms, nulls: a run of each arm, and of each null model of it."""
    summary = sum(SUMMARY + SUMMED * one.values for one in (*arms, *nulls))
    page = PAGE + sum(one.shown for one in arms) + NULL * sum(one.shown for one in nulls)
    grids = sum(one.grid for one in arms) / 4
    return sum(one.table for one in runs) + summary + CURVES + FOREST + grids + min(LARGEST_PAGE, page)


def seconds_of_ablation(runs: Sequence[Beside]) -> float:
    """To start, and to draw figures and page."""
    return STARTING + SERVER + OF_ABLATION + READING * sum(one.judged for one in runs)

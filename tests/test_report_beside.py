"""What lies beside the page: the movie, the figures for a paper, the text for a pull request, and the sentence that answers."""

import re
import shlex
import shutil
import tomllib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from markdown_it import MarkdownIt
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from imgcollapse import grids, progress, store
from imgcollapse.ablation import plan, worker
from imgcollapse.ablation.endpoint import Asked
from imgcollapse.ablation.grid import Ablation
from imgcollapse.ablation.intervals import interval
from imgcollapse.ablation.status import RunStatus, run_statuses
from imgcollapse.ablation.summary import Record, Run
from imgcollapse.ablation.summary.decided import decided
from imgcollapse.ablation.summary.numbers import _Chain
from imgcollapse.ablation.worker import Resources
from imgcollapse.cli import main as cli
from imgcollapse.errors import DataProblem
from imgcollapse.exchange.card.markdown import fenced
from imgcollapse.files import write_text
from imgcollapse.files.ledger import LEDGER
from imgcollapse.grids.lettering import one_line, shortened
from imgcollapse.images import ImageSet
from imgcollapse.interface.running import study_from
from imgcollapse.machine import devices
from imgcollapse.metrics.scores import SCORES
from imgcollapse.reports import Findings, movie, paper, read
from imgcollapse.reports.answer import answer, details
from imgcollapse.reports.differences import decided as decided_table
from imgcollapse.reports.markdown import escaped, markdown
from imgcollapse.reports.panels import curve
from imgcollapse.reports.reproduce import reproduce
from imgcollapse.reports.style import GREY, arm_style, figure
from imgcollapse.settings import build, to_yaml
from imgcollapse.store import npz
from imgcollapse.store.manifest import MANIFEST, write_manifest
from imgcollapse.study import Study, prepare, run

HOSTILE = "a|b `x` <img src=x onerror=alert(1)> $x$ @nobody #12 [y](z) *c* \\|\n" + "and so on, " * 20
JUDGE = {"extractors": ["classifier"]}  # the one that is shipped for digits
DIGITS = {"dataset": {"kind": "digits", "subset": 200}, "model": {"kind": "gmm", "components": 5}, "gens": 3, "judge": JUDGE}
TOY = {"dataset": {"kind": "grid25", "size": 300}, "model": {"kind": "gmm", "components": 5}, "gens": 2}


def executed(folder: Path, **more: Any) -> Path:
    """A small ablation, its runs executed one after the other in this process."""
    arms = {"none": {}, HOSTILE: {"regime": "retain"}, "everything kept": {"regime": "accumulate"}}
    chosen = build(Ablation, {"question": f"What is lost? {HOSTILE}", "base": DIGITS, "arms": arms, "seeds": 2, **more})
    resources = Resources(1, "cpu", "float32", str(devices.current().data_dir), str(folder / "shared"))
    for place in plan.in_order(plan.make(chosen, plan.resolve(chosen, folder), folder, resources)):
        assert worker.work(place) == 0
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return executed(tmp_path_factory.mktemp("whole") / "out")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "run"
    run(build(Study, TOY), folder)
    return folder


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The arm `everything kept` stopped before generation 2 with its first seed, and failed in generation 1 with its second."""
    base = {**DIGITS, "judge": {"extractors": ["pixels"]}}
    folder = executed(
        tmp_path_factory.mktemp("broken") / "out", base=base, nulls=False, arms={"none": {}, "everything kept": {"regime": "accumulate"}}
    )
    stopped, failed = [one.folder for one in plan.read(folder) if one.arm == "everything kept"]
    (stopped / "gen_002" / MANIFEST).unlink()
    for generation in ("gen_001", "gen_002"):
        (failed / generation / MANIFEST).unlink()
    worker.record_failure(failed, "DivergedProblem", "the loss is nan | see\n`log`", 6)
    return folder


def drawn(folder: Path, arms: int, gens: int, pixels: Callable[[int, int], torch.Tensor], names: str = "arm {}") -> Findings:
    """Findings of runs that were never executed: only the pictures from the same noise lie in their folders."""
    runs = []
    for arm in range(arms):
        own = build(Study, {"gens": gens})
        one = Run(names.format(arm), None, 0, own, folder / str(arm))
        one.folder.mkdir(parents=True)
        write_text(one.folder / store.STUDY, to_yaml(own))
        for generation in range(gens):
            place = store.generation_folder(one.folder, generation)
            place.mkdir()
            npz.write_images(place / store.LATENTS, ImageSet.of(pixels(arm, generation)))
            write_manifest(place)
        runs.append(one)
    return Findings((folder,), "", tuple(runs), tuple(run_statuses(runs)), {"arms": [], "reference": None, "differences": []}, (), {})


def frames_of(path: Path) -> tuple[list[NDArray[np.uint8]], list[int], int | None]:
    """The frames in colour, the milliseconds of each, and how often the movie repeats (0: for ever)."""
    found, times = [], []
    with Image.open(path) as picture:
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            picture.load()
            found.append(np.asarray(picture.convert("RGB")))
            times.append(int(picture.info["duration"]))
        return found, times, picture.info.get("loop")


def noise(side: int, channels: int, n: int = 20) -> Callable[[int, int], torch.Tensor]:
    def pixels(arm: int, generation: int) -> torch.Tensor:
        source = torch.Generator().manual_seed(1000 * arm + generation)
        return torch.randint(0, 256, (n, channels, side, side), generator=source, dtype=torch.uint8)

    return pixels


# --- the movie


def test_a_frame_a_generation_for_ever_with_the_ends_held(whole: Path, tmp_path: Path) -> None:
    paths = movie.movie(read([whole]), tmp_path / "new")
    assert [path.relative_to(tmp_path) for path in paths] == [Path("new/collapse.gif"), Path("new/collapse.webp")]
    for path in paths:
        frames, times, loop = frames_of(path)
        assert len(frames) == 3 and loop == 0, path
        assert times[0] > times[1] and times[-1] > times[1] >= 100, path
        assert frames[0].shape == frames[2].shape and frames[0].shape[1] <= 1600
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [LEDGER, "collapse.gif", "collapse.webp"]


def places_of(frame: NDArray[np.uint8], picture: torch.Tensor, factor: int) -> list[tuple[int, int]]:
    """Where a grey picture, enlarged by the factor, stands in a frame, pixel for pixel: top and left."""
    large = picture[0].repeat_interleave(factor, 0).repeat_interleave(factor, 1).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(frame[:, :, 0], large.shape)
    alike = (windows[:, :, ::factor, ::factor] == picture[0].numpy()).all((2, 3))
    return [(int(top), int(left)) for top, left in np.argwhere(alike) if (windows[top, left] == large).all()]


def test_a_place_keeps_its_noise_and_every_pixel_is_the_sample(whole: Path, tmp_path: Path) -> None:
    findings = read([whole])
    frames = [frames_of(path)[0] for path in movie.movie(findings, tmp_path)]
    (gif, webp), arms = frames, [runs[0] for runs in findings.arms.values()]
    assert all((one == other).all() for one, other in zip(gif, webp, strict=True))
    assert all((frame == frame[:, :, :1]).all() for frame in gif), "greyscale stays grey"
    found = []
    for generation in range(3):
        latents = [store.read_images(store.generation_folder(one.folder, generation) / store.LATENTS).pixels for one in arms]
        found.append([[places_of(gif[generation], pixels[number], 8) for number in (0, 7)] for pixels in latents])
    assert all(len(places) == 3 for arm in found[0] for places in arm), "all arms begin with the same generation 0"
    firsts = found[0][0][0]
    for later in found[1:]:
        assert [arm[0] for arm in later] == [[place] for place in firsts]
        assert [arm[1] for arm in later] == [[(top + 65, left + 130)] for top, left in firsts], "picture 7: second row, third column"


def test_a_generation_that_an_arm_lacks_leaves_its_place_empty(broken: Path, tmp_path: Path) -> None:
    frames, _, _ = frames_of(movie.movie(read([broken]), tmp_path)[0])
    half = frames[0].shape[1] // 2
    assert len(frames) == 3
    assert [bool((frame[60:, half:] < 60).mean() > 0.2) for frame in frames] == [True, True, False]
    assert all((frame[60:, :half] < 60).mean() > 0.2 for frame in frames)
    place = movie._places(read([broken]))[1]
    assert place.missing(2) == "not there yet" and place.missing(3) == "ends at generation 2"
    assert [place.run.seed for place in movie._places(read([broken]))] == [0, 0], "the seed that has come farthest"
    copy = shutil.copytree(broken, tmp_path / "copy")
    for one in plan.read(copy):
        if one.arm == "everything kept":
            worker.record_failure(one.folder, "DivergedProblem", "the loss is nan", 6)
    assert movie._places(read([copy]))[1].missing(2) == "failed"
    (next(one.folder for one in plan.read(copy) if one.arm == "none" and one.seed == 0) / "gen_001" / MANIFEST).unlink()
    (next(one.folder for one in plan.read(copy) if one.arm == "none" and one.seed == 0) / "gen_002" / MANIFEST).unlink()
    assert [place.run.seed for place in movie._places(read([copy]))] == [1, 1]


def test_long_chains_have_sixty_frames_with_both_ends(tmp_path: Path) -> None:
    findings = drawn(tmp_path / "runs", 1, 70, noise(4, 1, 2))
    frames, times, _ = frames_of(movie.movie(findings, tmp_path)[0])
    assert len(frames) == len(times) == 60 and sum(times) < 20_000
    chosen = grids.spaced(70, 60)
    assert len(set(chosen)) == 60 and chosen[0] == 0 and chosen[-1] == 69 and max(np.diff(chosen)) == 2
    assert grids.spaced(3, 60) == [0, 1, 2]


@pytest.mark.parametrize(("arms", "rows"), [(5, 1), (7, 2), (31, 6)])
def test_many_arms_wrap_into_rows_and_long_names_stay_in_their_place(tmp_path: Path, arms: int, rows: int) -> None:
    findings = drawn(tmp_path / "runs", arms, 2, noise(8, 1), HOSTILE.replace("\n", " ") + "{}")
    frames, _, _ = frames_of(movie.movie(findings, tmp_path)[1])
    frame = frames[0][55:]
    assert frame.shape[1] <= 1600
    columns = -(-min(arms, 30) // rows)
    dark = (frame < 250).any(2)
    bands = np.flatnonzero(np.diff(np.concatenate([[0], dark.any(0).astype(int), [0]])) == 1)
    assert len(bands) == columns, "a white gap between the columns, through names and pictures"
    gaps = np.diff(np.flatnonzero(dark.any(1)))
    assert (gaps >= 15).sum() == rows - 1, "and between the rows"


@pytest.mark.slow
def test_a_movie_has_at_most_a_few_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = drawn(tmp_path / "runs", 1, 4, noise(300, 3))  # noise is what compresses worst; 20 pictures of 300 are 1,500 wide
    large = movie.movie(findings, tmp_path)
    sizes = [path.stat().st_size for path in large]
    assert max(sizes) <= movie.BYTES
    with Image.open(large[0]) as picture:
        width = picture.width
    monkeypatch.setattr(movie, "BYTES", min(sizes) // 2)
    small = movie.movie(findings, tmp_path)
    assert max(path.stat().st_size for path in small) <= min(sizes) // 2
    with Image.open(small[0]) as picture:
        assert picture.width < width and picture.n_frames >= 2
    monkeypatch.setattr(movie, "_gif", lambda frames: b"")
    assert movie.movie(findings, tmp_path)[1].stat().st_size <= min(sizes) // 2, "the WebP alone is bounded too"


def test_colours_do_not_band_and_white_stays_white(tmp_path: Path) -> None:
    ramp = torch.arange(64, dtype=torch.float32)
    planes = [(255 - 1.5 * ramp)[:, None].expand(64, 64), (255 - ramp)[None].expand(64, 64), torch.full((64, 64), 200.0)]

    def smooth(arm: int, generation: int) -> torch.Tensor:
        turned = planes[generation:] + planes[:generation]
        return torch.stack(turned).round().to(torch.uint8).expand(20, 3, 64, 64)

    findings = drawn(tmp_path / "runs", 1, 3, smooth)
    top, left = 2 * 13 + 28 + 21, 16  # below number, bar and name
    for path, most in zip(movie.movie(findings, tmp_path), (0.7, 2.0), strict=True):  # without dithering the GIF is 1.1 levels off
        apart = []
        for generation, frame in enumerate(frames_of(path)[0]):
            shown, truth = frame[top : top + 64, left : left + 64], smooth(0, generation)[0].permute(1, 2, 0).numpy()
            seen, wanted = (one.astype(float).reshape(8, 8, 8, 8, 3).mean((1, 3)) for one in (shown, truth))
            apart.append(abs(seen - wanted).mean())
            assert (frame[-3:] == 255).all() and len(np.unique(shown.reshape(-1, 3), axis=0)) > 60
        assert np.mean(apart) < most, path


def test_points_are_shown_as_dots(toy: Path, tmp_path: Path) -> None:
    frames, _, _ = frames_of(movie.movie(read([toy]), tmp_path)[0])
    assert len(frames) == 2
    assert all(0.0005 < (frame[90:-20, 20:-20] < 200).mean() < 0.2 for frame in frames)
    assert (frames[0][90:] != frames[1][90:]).any()


def test_what_has_not_begun_has_no_movie_figures_or_table(tmp_path: Path) -> None:
    chosen = build(Ablation, {"base": DIGITS, "arms": {"a": {}, "b": {"regime": "accumulate"}}, "seeds": 1, "nulls": False})
    plan.make(chosen, plan.resolve(chosen, tmp_path / "out"), tmp_path / "out", Resources(1, "cpu", "float32", "", ""))
    findings = read([tmp_path / "out"])
    assert movie.movie(findings, tmp_path / "new") == [] == paper.figures(findings, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert answer(findings) == "No generation has been judged yet: 0 of 6 generations are finished."
    (text,) = markdown(findings, tmp_path / "new")
    assert "| arm |" not in text.read_text() and "Not finished: 2 of 2 runs" in text.read_text()


def test_a_damaged_picture_leaves_the_old_movie_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = drawn(tmp_path / "runs", 1, 2, noise(8, 1))
    paths = movie.movie(findings, tmp_path)
    before = [path.read_bytes() for path in paths]
    (tmp_path / "runs" / "0" / "gen_001" / store.LATENTS).write_bytes(b"cut")
    with monkeypatch.context() as patch, pytest.raises(DataProblem, match=r"latents\.npz"):
        patch.setattr(Findings, "there", lambda self, run: [0, 1])  # damaged since its manifest was looked at
        movie.movie(findings, tmp_path)
    assert [path.read_bytes() for path in paths] == before and not list(tmp_path.glob("*.part"))
    again = replace(findings)  # which looks at the folder anew
    assert len(frames_of(movie.movie(again, tmp_path)[0])[0]) == 1, "what does not fit is left out"


# --- figures for a paper


@pytest.fixture(scope="module")
def printed(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    paths = paper.figures(read([whole]), tmp_path_factory.mktemp("figures"))
    assert all(path.parent.name == "figures" for path in paths)
    return {path.name: path for path in paths}


@pytest.mark.slow  # paints all of them
def test_every_figure_is_there_in_three_forms(printed: dict[str, Path]) -> None:
    names = ("curves", "fd", "min_recall_coverage", "coverage", "precision", "classes_alive", "forest")
    assert sorted(printed) == sorted(f"{name}.{kind}" for name in names for kind in ("svg", "png", "pdf"))
    (folder,) = {path.parent for path in printed.values()}
    assert {path.name for path in folder.iterdir()} == set(printed), "no parts are left"


def test_a_single_run_has_no_forest_and_a_single_class_is_not_counted(tmp_path: Path) -> None:
    run(build(Study, {"dataset": {"kind": "gaussian", "size": 100}, "model": "gaussian", "gens": 2}), tmp_path / "run")
    with paper.styled():
        assert [name for name, _ in paper.pages(read([tmp_path / "run"]))] == [
            "curves",
            "fd",
            "precision",
            "coverage",
            "min_recall_coverage",
        ]


@pytest.mark.slow
def test_figures_are_as_wide_as_a_column_or_both(printed: dict[str, Path]) -> None:
    for name, path in printed.items():
        width = 6.75 if name.startswith(("curves", "forest")) else 3.25
        match path.suffix:
            case ".svg":
                found = float(re.search(r'<svg[^>]* width="([\d.]+)pt"', path.read_text())[1]) / 72  # type: ignore[index]
            case ".pdf":
                found = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", path.read_bytes())[1]) / 72  # type: ignore[index]
            case _:
                with Image.open(path) as picture:
                    found = picture.width / picture.info["dpi"][0]
                    assert picture.height / picture.info["dpi"][1] < 4
        assert found == pytest.approx(width, abs=0.01), name


def streams(pdf: bytes) -> Iterator[bytes]:
    for found in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            yield zlib.decompress(found[1])
        except zlib.error:
            pass


@pytest.mark.slow
def test_text_is_of_six_points_or_more_in_embedded_truetype(printed: dict[str, Path]) -> None:
    for name in [name for name in printed if name.endswith(".pdf")]:
        pdf = printed[name].read_bytes()
        sizes = [float(size) for stream in streams(pdf) for size in re.findall(rb"/F\S+ ([\d.]+) Tf", stream)]
        assert len(sizes) > 10 and 6 <= min(sizes) < max(sizes) <= 8, (name, sorted(set(sizes)))
        assert b"/FontFile2" in pdf and b"/Type3" not in pdf


@pytest.mark.slow
def test_the_same_findings_give_the_same_bytes_whatever_the_users_style(whole: Path, printed: dict[str, Path], tmp_path: Path) -> None:
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 20, "svg.fonttype": "none", "text.parse_math": True}):
        own = dict(matplotlib.rcParams)
        again = paper.figures(read([whole]), tmp_path)
        assert dict(matplotlib.rcParams) == own
    assert {path.name for path in again if path.read_bytes() != printed[path.name].read_bytes()} == set()
    for path in again:
        assert b"CreationDate" not in path.read_bytes() and b"<dc:date>" not in path.read_bytes(), path.name


def texts_of(page: Any) -> Iterator[Text]:
    """All texts of a page that are drawn."""
    for place in page.axes:
        yield from (place.title, place._left_title, *place.texts)
        if place.axison:
            yield from (place.xaxis.label, place.yaxis.label)
            yield from (tick.label1 for axis in (place.xaxis, place.yaxis) for tick in axis._update_ticks())
    for legend in page.legends:
        yield from legend.get_texts()


def test_no_text_lies_on_another_or_beyond_the_page(whole: Path) -> None:
    with paper.styled():
        for name, page in paper.pages(read([whole])):
            page.draw_without_rendering()
            assert not any(text.get_parse_math() for text in texts_of(page)), "$x$ is a name, no formula"
            boxes = [(text.get_text(), text.get_window_extent()) for text in texts_of(page) if text.get_text()]
            assert len(boxes) > 10 and any("…" in text for text, _ in boxes), name
            for text, box in boxes:
                assert box.x0 > -1.5 and box.y0 > -1.5 and box.x1 < page.bbox.width + 1.5 and box.y1 < page.bbox.height + 1.5, (name, text)
            for (text, one), (under, other) in combinations(boxes, 2):
                deep = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
                assert min(deep) < 1.5, (name, text, under)


def test_curves_are_the_means_of_two_seeds_and_their_dots_beside_real_vs_real_and_null_model(whole: Path) -> None:
    findings = read([whole])
    arms = {(arm["arm"], arm["null"]): arm["extractors"]["classifier"]["coverage"] for arm in findings.summary["arms"]}
    with paper.styled():
        page = dict(paper.pages(findings))["coverage"]
    (place,) = page.axes
    *own, null, real = place.lines
    for number, (line, dots, name) in enumerate(zip(own[::2], own[1::2], findings.arms, strict=True)):
        points = arms[name, None]["by_generation"]
        assert list(line.get_ydata()) == [point["mean"] for point in points]
        assert list(dots.get_ydata()) == [value for point in points for value in point["values"]] and len(points[0]["values"]) == 2
        assert (line.get_color(), line.get_marker()) == (arm_style(number)["color"], arm_style(number)["marker"])
    assert list(null.get_ydata()) == [point["mean"] for point in arms["none", "smooth"]["by_generation"]]
    assert (null.get_linestyle(), null.get_color(), real.get_linestyle(), real.get_color()) == (":", GREY, "--", GREY)
    known = arms["none", None]["real"]
    assert set(real.get_ydata()) == {known["mean"]}
    (band,) = place.patches
    assert band.get_y() == known["low"] and band.get_height() == pytest.approx(known["high"] - known["low"])
    assert not place.collections, "of two seeds there is no interval"


def test_three_seeds_have_a_band_and_no_dots() -> None:
    points = [{"generation": g, **span([0.5, 0.6, 0.4 + g / 10])} for g in range(3)]
    page, axes = figure(1, 1, (3, 2))
    assert curve(axes.flat[0], points, "a", arm_style(0)) == max(point["mean"] for point in points)
    (band,), lines = axes.flat[0].collections, axes.flat[0].lines
    assert len(lines) == 1 and page is not None
    edges = band.get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == (min(point["low"] for point in points), max(point["high"] for point in points))


def test_half_finished_and_failed_runs_are_drawn_as_far_as_they_are(broken: Path) -> None:
    with paper.styled():
        pages = dict(paper.pages(read([broken])))
    none, _, kept, dots, _ = pages["fd"].axes[0].lines
    assert list(none.get_xdata()) == [0, 1, 2] and list(kept.get_xdata()) == [0, 1] and list(dots.get_xdata()) == [0, 0]
    assert set(pages) == set("curves fd min_recall_coverage coverage precision forest".split())


def test_the_style_file_comes_with_the_package() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    shipped = project["tool"]["setuptools"]["package-data"]
    patterns = [f"{package.replace('.', '/')}/{pattern}" for package, some in shipped.items() for pattern in some]
    assert any(fnmatch("imgcollapse/reports/paper.mplstyle", pattern) for pattern in patterns)


# --- the answer


def span(values: list[float]) -> Record:
    one = interval(values)
    return {"mean": one.mean, "low": one.low, "high": one.high, "n": one.n, "values": list(one.values)}


def told(values: dict[str, list[list[float]]], real: dict[str, float]) -> Record:
    """The record of an arm: metric -> generation -> values of all seeds."""
    found: Record = {}
    for name, series in values.items():
        by = [{"generation": g, **span(seeds)} for g, seeds in enumerate(series)]
        found[name] = {"real": {"mean": real[name], "low": real[name], "high": real[name] + 0.1}, "by_generation": by, "last": by[-1]}
    return found


REAL_VS_REAL = {"fd": 4.2, "min_recall_coverage": 0.95, "coverage": 0.97, "classes_alive": 10.0}


def chained(series: list[list[float]]) -> Any:
    """Seed -> chain of values, of the values of all seeds by generation."""
    return {seed: _Chain(dict(enumerate(values)), None) for seed, values in enumerate(zip(*series, strict=True))}


def by_hand(arms: dict[tuple[str, str | None], dict[str, list[list[float]]]], state: str = "done", classes: int = 10) -> Findings:
    """Findings whose summary has these values; differences are paired, the endpoint is the first metric of the first arm."""
    records = [
        {"arm": arm, "null": null, "seeds": [0], "planned": [0], "extractors": {"pixels": told(values, REAL_VS_REAL)} if values else {}}
        for (arm, null), values in arms.items()
    ]
    differences = []
    for one in records[1:]:
        apart: Record = {}
        for name, metric in one["extractors"].get("pixels", {}).items():
            pairs = zip(arms[one["arm"], None][name][-1], arms[records[0]["arm"], None][name][-1], strict=True)
            apart[name] = {"last": {**metric["last"], **span([own - other for own, other in pairs])}}
        if one["null"] is None and apart:
            ends = {"arm": one["arm"], "null": None, "against": records[0]["arm"], "against_null": None}
            differences.append({**ends, "extractors": {"pixels": apart}})
    own = build(Study, {"model": "gmm", "gens": 2})
    runs = tuple(Run(arm, null, 0, own, Path(f"{number}")) for number, (arm, null) in enumerate(arms))
    left = tuple(RunStatus(one, state, 1, (), 0, None) for one in runs)  # type: ignore[arg-type]
    judged = {
        (arm, null): {"pixels": {name: chained(series) for name, series in values.items()}}
        for (arm, null), values in arms.items()
        if values
    }
    names = list(dict.fromkeys(arm for arm, _ in arms))
    endpoint = decided(Asked(), names, names[0], judged)
    summary = {"method": "", "reference": records[0]["arm"], "endpoint": endpoint, "arms": records, "differences": differences}
    reference = {"data": {"name": "x", "classes": [""] * classes}, "judge": {"n": 9, "k": 5, "extractors": {}}}
    return Findings((), "", runs, left, summary, (), {runs[0].folder: reference})


def test_the_answer_about_one_run_tells_how_far_it_fell() -> None:
    values = {"fd": [[8.7], [79.31]], "min_recall_coverage": [[0.974], [0.69]], "classes_alive": [[10.0], [10.0]]}
    one = by_hand({("x", None): values})
    assert answer(one) == (
        "Cannot tell with 1 seed: min(recall, coverage) goes from 0.97 at generation 0 to 0.69 at generation 1; "
        "an interval takes three seeds."
    )
    assert details(one) == [
        "From generation 0 to 1, min(recall, coverage) goes from 0.97 to 0.69 (real vs real 0.95 [0.95, 1.05]) "
        "and FD goes from 8.7 to 79.3 (real vs real 4.2 [4.2, 4.3]).",
        "10 of 10 classes are alive.",
    ]
    early = by_hand({("x", None): {"coverage": [[0.9]]}, ("x", "smooth"): {"coverage": [[0.8]]}}, "running")
    assert answer(early) == "So far, cannot tell with 1 seed: coverage is 0.90 at generation 0; an interval takes three seeds."
    assert details(early) == ["At generation 0, coverage is 0.90 (real vs real 0.97 [0.97, 1.07]; null model smooth 0.80)."]
    three = {"min_recall_coverage": [[0.97, 0.96, 0.98], [0.69, 0.68, 0.72]], "classes_alive": [[9.0] * 3, [1.0] * 3]}
    fell = by_hand({("x", None): three})
    assert answer(fell) == "Yes: min(recall, coverage) at generation 1 is lower than at generation 0 by 0.273 [0.245, 0.302]."
    assert details(fell) == [
        "From generation 0 to 1, min(recall, coverage) goes from 0.97 [0.95, 0.99] to 0.70 [0.64, 0.75] (real vs real 0.95 [0.95, 1.05]).",
        "1 [1, 1] of 10 classes are alive.",
    ]


def test_the_answer_about_arms_tells_what_each_adds_to_the_reference() -> None:
    seeds: dict[tuple[str, str | None], dict[str, list[list[float]]]] = {
        ("0 % real", None): {"min_recall_coverage": [[0.9] * 3, [0.40, 0.45, 0.5]], "fd": [[5.0] * 3, [50.0, 51.0, 52.0]]},
        ("0 % real", "smooth"): {"min_recall_coverage": [[0.9] * 3, [0.5] * 3]},
        ("a tenth, redrawn", None): {"min_recall_coverage": [[0.9] * 3, [0.80, 0.83, 0.9]], "fd": [[5.0] * 3, [20.0, 21.0, 22.0]]},
        ("all", None): {"min_recall_coverage": [[0.9] * 3, [0.9, 0.45, 0.7]], "fd": [[5.0] * 3, [30.0, 31.0, 32.0]]},
        ("all", "smooth"): {"min_recall_coverage": [[0.9] * 3, [0.7] * 3]},
        ("0 % real", "bootstrap"): {"min_recall_coverage": [[0.9] * 3, [0.1] * 3]},
    }
    told = "min(recall, coverage) at generation 1 is higher with “a tenth, redrawn” than with 0 % real by 0.393 [0.352, 0.435]"
    assert answer(by_hand(seeds)) == f"Yes: {told}; undecided with all."
    assert details(by_hand(seeds)) == [
        f"M{told[1:]}; undecided with all: +0.233 [-0.392, +0.858] (Holm-adjusted over 2 comparisons, 3 seeds).",
        "Min(recall, coverage) with 0 % real is 0.45 [0.33, 0.57] (real vs real 0.95 [0.95, 1.05]; null model smooth 0.50 [0.50, 0.50]).",
        "FD with 0 % real is 51.0 [48.5, 53.5] (real vs real 4.2 [4.2, 4.3]); the others add -30.0 [-30.0, -30.0] with “a tenth, redrawn”, "
        "-20.0 [-20.0, -20.0] with all (each alone, not adjusted).",
    ]
    seeds["later", None] = {}
    said = answer(by_hand(seeds, "running"))
    assert said.startswith(
        "So far, yes: min(recall, coverage) at generation 1 is higher with “a tenth, redrawn” than with 0 % real by 0.39"
    )
    first, *_, last = details(by_hand(seeds, "running"))
    assert "over 3 comparisons" in first and last == "Not judged yet: later."


def test_all_comparisons_stand_in_a_table_under_the_answer() -> None:
    seeds: dict[tuple[str, str | None], dict[str, list[list[float]]]] = {
        ("0 % real", None): {"min_recall_coverage": [[0.9] * 3, [0.40, 0.45, 0.5]]},
        ("a tenth", None): {"min_recall_coverage": [[0.9] * 3, [0.80, 0.83, 0.9]]},
        ("all", None): {"min_recall_coverage": [[0.9] * 3, [0.9, 0.45, 0.7]]},
    }
    found = by_hand(seeds)
    table = decided_table(found)
    assert table is not None and table.rows == [
        ["a tenth", "higher", "+0.393 [+0.352, +0.435]", "3"],
        ["all", "undecided", "+0.233 [-0.392, +0.858]", "3"],
    ]
    assert (
        table.caption
        == "Min(recall, coverage) at generation 1, minus that with “0 % real” [95 % interval, Holm-adjusted over 2 comparisons]"
    )
    assert details(found, spelled=False) == details(found)[1:], "the page has the table in place of the sentence"
    alone = by_hand({("x", None): {"coverage": [[0.9], [0.5]]}})
    assert decided_table(alone) is None and details(alone, spelled=False) == details(alone)


def test_the_answer_is_as_long_as_a_sentence_may_be() -> None:
    one = {"min_recall_coverage": [[0.9], [0.5]]}
    found = by_hand({(f"{'long ' * 50}{number}", None): one for number in range(40)})
    said, (more, *_) = answer(found), details(found)
    assert "undecided with 39 arms" in said and len(said) < 250 and "and 31 more arms not named here" in more and len(more) < 1200
    assert "\n" not in said + more


def test_the_answer_counts_what_failed_and_what_was_not_judged(broken: Path, tmp_path: Path) -> None:
    said = answer(read([broken]))
    assert said.startswith(
        "So far, cannot tell with 1 seed: min(recall, coverage) at generation 1 is undecided with everything kept against "
    )
    assert said.endswith("; 1 of 4 runs failed.")
    run(build(Study, {**TOY, "judge": {"extractors": []}}), tmp_path / "blind")
    assert answer(read([tmp_path / "blind"])) == (
        "Nothing was judged, because the study names no extractors: 2 of 2 generations are finished."
    )


def test_the_answer_warns_of_different_references(toy: Path, tmp_path: Path) -> None:
    run(build(Study, {**TOY, "model": "bootstrap", "judge": {"n": 100}}), tmp_path / "other")
    assert "must not be compared" in answer(read([toy, tmp_path / "other"])) and "compared" not in answer(read([toy]))


# --- the command

STUDIES: list[dict[str, Any]] = [
    {},
    {**DIGITS},
    {**TOY, "seed": 7},
    {"dataset": {"kind": "grid25", "size": 1000, "subset": 250}, "model": "bootstrap", "regime": {"kind": "retain", "real_fraction": 0.25}},
    {"model": {"kind": "vae", "beta": 1e-05, "observation": "gaussian"}, "regime": {"kind": "retain", "pool": "fixed"}, "samples": 700},
    {
        "model": {"kind": "ddpm", "log_snr": [0.5, 2.0], "widths": [8, 16], "attention": True},
        "judge": {"extractors": ["pixels", "classifier"]},
    },
    {"dataset": {"kind": "digits", "imbalance": 20}, "model": "gmm", "regime": "accumulate", "judge": {"extractors": [], "k": 3}},
    {"gates": ["curate", {"kind": "curate", "keep": 0.3}], "keep": {"samples": "last", "models": 5}, "judge": {"every": 4}},
    {"model": {"kind": "ddpm", "sampling": {"stop": 0.1, "anneal": 0.5}}, "correction": {"kind": "neon", "weight": 0.5}},
    {"model": {"kind": "vae", "steps": 7}, "init": "folder:a b/x: 'y' #z"},
    {
        "model": {"kind": "ddpm", "class_conditional": True, "condition_dropout": 0.1, "sampling": {"guidance": 1.5}},
        "init": "folder:~/start",
    },
    {"model": {"kind": "vae", "sampling": {"temperature": 0.5}}, "init": "base", "regime": {"kind": "replace", "stream": True}},
]


def parsed(command: str) -> Study:
    """What `imgcollapse run` makes of it."""
    words = shlex.split(command)
    assert words[:2] == ["imgcollapse", "run"]
    given = cli.main.commands["run"].make_context("run", words[2:]).params  # type: ignore[attr-defined]
    return study_from(given, given.pop("assignments"))


@pytest.mark.parametrize("values", STUDIES, ids=str)
def test_the_command_makes_the_same_study(values: dict[str, Any], tmp_path: Path) -> None:
    for own in (build(Study, {"model": "ddpm", **values}), prepare(build(Study, {"model": "ddpm", **values}))[0]):
        folder = tmp_path / own.name()
        folder.mkdir(exist_ok=True)
        write_text(folder / store.STUDY, to_yaml(own))
        again = parsed(reproduce(read([folder])))
        assert to_yaml(prepare(again)[0]) == to_yaml(prepare(own)[0])  # the same text is the same folder name and the same run


@pytest.mark.parametrize(
    "path",
    [
        'a b\'s/$HOME `x` "q"',
        "true",
        "1e-5",
        "日本 \U0001f600 \x7f",
        "{a: [b",
        " edge ",
        "x\ny",
        "null",
        "#a",
        "a: b",
        "010",
        "1e-4",
        "1_0",
        "0x1F",
        "no",
        "~",
        "2026-01-01",
        "1:30",
        "<<",
        "=",
        "a=b",
        ".",
        "...",
        "---",
        "- a",
        "a\x85b",
        "a\u2028b",
        "\ufeffa",
        "\t",
        "'",
        '"',
        "\\",
        "a,b",
        "]",
        "!a",
        "&a",
        "*a",
        "%a",
        "@a",
        "`a`",
        "[bold]",
        "--set",
        "$(a)",
        "é",
        "e\u0301",
        "\x00",
        "x" * 300,
    ],
)
def test_the_command_keeps_every_path_as_it_is(path: str, tmp_path: Path) -> None:
    own = build(Study, {"dataset": {"kind": "folder", "path": path}, "model": "vae"})
    write_text(tmp_path / store.STUDY, to_yaml(own))
    assert parsed(reproduce(read([tmp_path]))) == own


def test_the_command_names_the_precision_and_leaves_defaults_out(toy: Path, whole: Path) -> None:
    said = reproduce(read([toy]))
    assert "--precision" in said and "ddof" not in said and "dataset.subset" not in said
    assert "--set dataset.size=300" in said and "--set model.components=5" in said
    assert reproduce(read([whole])) == "imgcollapse ablate ablation.yaml --threads 1 --precision float32 --device cpu"
    assert reproduce(read([whole, toy])).count("\n") == 1


def test_the_command_is_as_plain_as_it_can_be(tmp_path: Path) -> None:
    own = build(Study, {"dataset": {"kind": "folder", "path": "my/pictures"}, "model": {"kind": "vae", "learning_rate": 1e-05}, "seed": 3})
    write_text(tmp_path / store.STUDY, to_yaml(own))
    assert reproduce(read([tmp_path])) == (
        "imgcollapse run --dataset folder --model vae --regime replace --gens 10 --seed 3 "
        "--set dataset.path=my/pictures --set model.learning_rate=1e-05"
    )


# --- Markdown


class Shown(HTMLParser):
    """What a reader sees: the tags, and the text of every cell, item, heading and paragraph."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.blocks: list[str] = []
        self.feed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))
        if tag in ("td", "th", "li", "p", "h2"):
            self.blocks.append("")

    def handle_data(self, data: str) -> None:
        if self.blocks:
            self.blocks[-1] += data

    @property
    def texts(self) -> list[str]:
        return [block.strip().replace("\u200b", "") for block in self.blocks]


NAMES = [
    HOSTILE[:190],
    "`code` and ``more`",
    "| a | b |",
    "\\",
    "a\\|b\\",
    "<b>bold</b> <!-- c --> &amp; &lt;",
    "$x^2$ and $$y$$",
    "![i](http://x/y.png) [a]: http://b [^1]",
    "*a* _b_ __c__ a_b ~~d~~ *",
    "# heading",
    "- item",
    "--- ",
    "1. first",
    "[x] done",
    "> quote",
    "{{ x }} {% y %}",
    "https://evil.example www.evil.example x@evil.example",
    ":smile: GH-12 owner/name#12 @team/owners",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["{}", "## {}", "- {}", "| a | b |\n|---|---|\n| {} | *{}* |", "**{}**, and"])
def test_names_are_shown_as_they_are_wherever_they_stand(name: str, place: str) -> None:
    shown = Shown(place.format(*[escaped(name)] * 2))
    wanted = {one_line(name), f"{one_line(name)}, and", "a", "b", ""}
    assert one_line(name) in {text.removesuffix(", and") for text in shown.texts} and set(shown.texts) <= wanted, shown.texts
    assert {tag for tag, _ in shown.tags} <= set("p h2 ul li table thead tbody tr th td span em strong".split())
    assert not any(attrs for _, attrs in shown.tags)
    seen = "\n".join(shown.blocks)
    assert not re.search(r"@\w|#\d|GH-\d|://|www\.|:\w+:|\$\S+\$", re.sub(r"\u200b", "\u200b ", seen)) or "$" in name
    assert "$" not in escaped(name).replace("<span>&#36;</span>", "")


def test_the_text_for_a_pull_request_has_all_that_was_found(whole: Path, tmp_path: Path) -> None:
    findings = read([whole])
    (path,) = markdown(findings, tmp_path)
    shown = Shown(path.read_text(encoding="utf-8"))
    assert path.name == "report.md" and shown.texts[0] == shortened(findings.question, lambda text: len(text) <= 200)
    assert shown.texts[1] == answer(findings)
    allowed = set("h2 p table thead tbody tr th td em strong ul li pre code span".split())
    assert {tag for tag, _ in shown.tags} <= allowed and "collapse.gif" not in path.read_text()
    rows = "\n".join(shown.texts)
    for arm in findings.summary["arms"]:
        coverage = arm["extractors"]["classifier"]["coverage"]["last"]
        cell = " and ".join(f"{value:.2f}" for value in coverage["values"])
        assert (cell in shown.texts) or arm["null"] == "bootstrap", arm["arm"]
    assert "none, null model smooth" in rows and "null model bootstrap" not in rows
    assert rows.index("real vs real") < rows.index("none, null model")
    reference = next(iter(findings.references.values()))
    for wanted in (
        reference["data"]["train"]["sha256"][:12],
        f"N = {reference['judge']['n']}",
        "seeds: 0, 1",
        "imgcollapse 0.",
        reproduce(findings),
    ):
        assert wanted in rows, wanted
    assert "Two seeds, their values and no interval." in shown.texts and "Half-lives" in rows and "Not finished" not in rows
    apart = next(one for one in findings.summary["differences"] if one["arm"] == "everything kept" and one["against_null"] is None)
    assert " and ".join(f"{value:+.2f}" for value in apart["extractors"]["classifier"]["coverage"]["last"]["values"]) in rows


def test_null_models_are_in_italics_and_digits_follow_the_metric(whole: Path, tmp_path: Path) -> None:
    (path,) = markdown(read([whole]), tmp_path)
    null = next(line for line in path.read_text().splitlines() if "| *none, null model smooth* |" in line)
    cells = [cell.strip() for cell in null.strip("|").split("|")]
    assert all(cell.startswith("*") and cell.endswith("*") for cell in cells) and len(cells) == 8
    real = next(line for line in path.read_text().splitlines() if line.startswith("| real vs real"))
    digits = [len(cell.partition(" ")[0].partition(".")[2]) for cell in real.strip("| ").split(" | ")[-5:]]
    wanted = [max(1, SCORES[name].decimals - 1) for name in ("fd", "precision", "coverage", "min_recall_coverage", "classes_alive")]
    assert digits == wanted


def test_the_movie_is_linked_where_there_is_one_and_one_seed_says_so(toy: Path, tmp_path: Path) -> None:
    findings = read([toy])
    assert "collapse.gif" not in markdown(findings, tmp_path)[0].read_text()
    movie.movie(findings, tmp_path)
    (path,) = markdown(findings, tmp_path)
    shown = Shown(path.read_text())
    assert ("a", [("href", "collapse.gif")]) in shown.tags
    assert "One seed, no interval." in shown.texts and "Differences" not in path.read_text()


def test_what_failed_or_is_not_finished_is_told(broken: Path, tmp_path: Path) -> None:
    shown = Shown(markdown(read([broken]), tmp_path)[0].read_text())
    assert "everything kept, seed 1: failed, 1 of 3 generations: the loss is nan | see `log`" in shown.texts
    assert "everything kept, seed 0: waiting, 2 of 3 generations" in shown.texts
    assert "Not finished: 2 of 4 runs" in shown.texts


def test_what_only_github_would_read_as_markup_is_not_left() -> None:
    """Its task lists, footnotes and formulas, which the renderer of these tests does not know."""
    assert escaped("[x] done") == "&#91;x] done" and escaped("a [^1]") == "a &#91;^1]" and escaped("[0.2, 0.3]") == "[0.2, 0.3]"
    assert escaped("$x$") == "<span>&#36;</span>x<span>&#36;</span>"


def test_backticks_in_a_command_do_not_end_its_block(tmp_path: Path) -> None:
    shown = Shown(fenced("a\n````\nb", "bash"))
    assert shown.tags == [("pre", []), ("code", [("class", "language-bash")])]
    own = build(Study, {"dataset": {"kind": "folder", "path": "a```b\n````"}, "model": "vae"})
    write_text(tmp_path / store.STUDY, to_yaml(own))
    shown = Shown(markdown(read([tmp_path]), tmp_path)[0].read_text())
    assert reproduce(read([tmp_path])) in "\n".join(shown.blocks) and [tag for tag, _ in shown.tags].count("code") == 1


def test_names_are_cut_to_what_fits() -> None:
    assert shortened("a\nb\t c", lambda text: True) == "a b c"
    assert [shortened("abcdef", lambda text, most=most: len(text) <= most) for most in (6, 4, 1)] == ["abcdef", "abc…", "…"]
    assert one_line("a\u202eb\x00\u2028c") == "ab c"
    family = "\U0001f469\u200d\U0001f467"
    assert one_line(family) == family
    assert len(escaped("x" * 1000)) == 200


def test_a_damaged_record_is_named(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(build(Study, TOY), folder)
    assert "Python" in markdown(read([folder]), tmp_path)[0].read_text()
    (folder / store.ENVIRONMENT).write_bytes((folder / store.ENVIRONMENT).read_bytes()[:-20])
    heard: list[str] = []
    with progress.watched_by(type("Heard", (progress.Silent,), {"say": lambda self, line: heard.append(line)})()):
        assert "Python" not in markdown(read([folder]), tmp_path)[0].read_text()
    assert heard == [f"{folder}/environment.json: is damaged and left out (run the run's own command again, which repairs it)"]

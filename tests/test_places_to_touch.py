"""To add a part is one file and one line: each table gets one more member in a copy of the package, which then works from end to end."""

import csv
import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import imgcollapse

pytestmark = pytest.mark.slow

PACKAGE = Path(imgcollapse.__file__).parent
ROOT = PACKAGE.parent
POINTS = ("--dataset", "gaussian", "--set", "dataset.size=60")
SHORT = ("--gens", "2", "--out", "out")
FEW = ("--set", "judge.metrics=[frechet_distance]")
ABLATION = ("ablate", *POINTS, "--model", "gaussian", "--gens", "2", "--no-nulls", "--jobs", "1")
WEIGHTS = bytes(range(1, 9))  # of the extractor below: what each coordinate is multiplied by


# --- the members: their source, and what is done with them


@dataclass(frozen=True)
class Member:
    """One more member of a table.

    table:    its file, and its name
    name:     the member's
    source:   of the member
    line:     what stands in the table
    own:      the member's own file and the line that imports from it; None: it stands in the table's file
    commands: that are executed, after `list NAME` and the help of the first of them
    shown:    what `list NAME` shows, apart from the name
    works:    looks at what the commands have said and left
    helped:   whether help texts name the members of the table
    """

    table: tuple[str, str]
    name: str
    source: str
    line: str
    own: tuple[str, str] | None
    commands: Sequence[tuple[str, ...]]
    shown: Sequence[str]
    works: Callable[[list[str]], object]
    helped: bool = True


def documented_example() -> str:
    """The model of docs/adding_parts.md, with the bodies that it leaves out."""
    page = (ROOT / "docs" / "adding_parts.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"^## How to add a model$.*?```python\n(.*?)```", page, re.S | re.M)
    bodies = {
        "fit": "fitted = self.model_copy()\n        fitted._images = images\n        return fitted",
        "sample": """chance = torch_generator(seed)
        drawn = self._images[torch.randint(len(self._images), (n,), generator=chance)]
        column = torch.arange(drawn.pixels.shape[3])
        moved = column + torch.randint(-self.reach, self.reach + 1, column.shape, generator=chance)
        return ImageSet.of(drawn.pixels[..., moved.clamp(0, len(column) - 1)], drawn.labels)""",
        "save": """write_about(folder, self)
        write_tensors(folder, {name: getattr(self._images, name) for name in ("pixels", "labels", "born")})""",
        "load": """fitted = self.model_copy()
        fitted._images = ImageSet(**read_tensors(folder))
        return fitted""",
    }
    for name, body in bodies.items():
        source, found = re.subn(
            rf"^(    def {name}\(.*\):) \.\.\..*$", lambda head, body=body: f"{head[1]}\n        {body}\n", source, flags=re.M
        )
        assert found == 1, f"the example there has a `{name}` without a body"
    assert ": ..." not in source
    return f"""from typing import Any, Literal

import torch
from pydantic import Field, PositiveInt, PrivateAttr

from imgcollapse.images import ImageSet
from imgcollapse.models.weights import read_tensors, write_about, write_tensors
from imgcollapse.seeds import torch_generator
from imgcollapse.settings import Settings


{source}
    _images: Any = PrivateAttr(None)
"""


REGIME = '''
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from imgcollapse.images import ImageSet
from imgcollapse.regimes.regime import Have, Plan, Real
from imgcollapse.settings import Settings


class Thin(Settings):
    """Learn from every second of the newest samples."""

    kind: Literal["thin"] = "thin"
    every: int = Field(2, ge=1, description="of so many samples one is learned from")
    needs_all_samples: ClassVar[bool] = False
    from_teacher: ClassVar[bool] = False
    streams: ClassVar[bool] = False

    def __call__(self, real: Real, past: Sequence[ImageSet], n: int, seed: int) -> ImageSet:
        return past[-1][:: self.every] if past else real.seen

    def title(self) -> str:
        return f"thin ({self.every})"

    def plan(self, n: int, gens: int, have: Have) -> Plan:
        return Plan(seen=min(n, have.pictures), unseen=0)


'''

GATE = '''
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from imgcollapse.images import REAL, ImageSet
from imgcollapse.regimes import Real
from imgcollapse.settings import Settings


class Last(Settings):
    """Keep what was drawn last."""

    kind: Literal["last"] = "last"
    changes: ClassVar[bool] = False
    more: int = Field(10, ge=0, description="samples that are drawn and turned away")

    def title(self) -> str:
        return f"last but {self.more}"

    def candidates(self, n: int) -> int:
        return n + self.more

    def publish(self, drawn: ImageSet, seed: int) -> ImageSet:
        return drawn

    def admit(self, offered: ImageSet, real: Real, past: Sequence[ImageSet], seed: int) -> Tensor:
        return (offered.born == REAL) | (torch.arange(len(offered)) >= self.more)


'''

CORRECTION = '''
from typing import Any, ClassVar, Literal

from pydantic import Field

from imgcollapse.images import ImageSet, ImageStream
from imgcollapse.settings import Settings


class Other(Settings):
    """Learn again, from another seed."""

    kind: Literal["other"] = "other"
    in_weights: ClassVar[bool] = True
    times: int = Field(1, ge=1, description="how often")

    def title(self) -> str:
        return f"other ({self.times})"

    def check(self, model: Any) -> None:
        pass

    def __call__(self, model: Any, training_set: ImageSet | ImageStream, seed: int) -> Any:
        for time in range(self.times):
            model = model.fit(training_set, seed + time)
        return model


'''

DATASET = '''
from typing import Literal

import torch
from pydantic import Field, PositiveInt

from imgcollapse.datasets.dataset import Dataset, split
from imgcollapse.images import ImageSet, World
from imgcollapse.seeds import torch_generator


class Stripes(Dataset):
    """Stripes of 4x4 pixels, lying and standing."""

    kind: Literal["stripes"] = "stripes"
    size: PositiveInt = Field(90, description="pictures, of which a third is held out")

    def read(self, seed: int, extra: int) -> World:
        labels = torch.arange(self.size) % 2
        pixels = torch.randint(0, 99, (self.size, 1, 4, 4), generator=torch_generator(1), dtype=torch.uint8)
        pixels[labels == 0, :, ::2] += 150
        pixels[labels == 1, :, :, ::2] += 150
        train, held_out = split(ImageSet.of(pixels, labels), self.size // 3, self.kind)
        return World(self.kind, train, held_out, ("lying", "standing"))
'''

EXTRACTOR = f'''
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from imgcollapse.extractors.weights import Published, find
from imgcollapse.images import World
from imgcollapse.settings import Settings

PUBLISHED = Published(
    kind="weighed",
    file="weighed.bin",
    url="http://127.0.0.1:1/weighed.bin",
    size={len(WEIGHTS)},
    sha256="{hashlib.sha256(WEIGHTS).hexdigest()}",
)


class Weighed(Settings):
    """Coordinates, each multiplied by a published weight."""

    FRECHET: ClassVar = {{"weighed": "WFD"}}
    kind: Literal["weighed"] = "weighed"
    power: float = Field(1.0, description="of the weights")

    @staticmethod
    def published() -> Published:
        return PUBLISHED

    def fit(self, world: World) -> "FittedWeighed":
        found = find(PUBLISHED)
        name = "weighed" if found.published else "weighed-other"
        return FittedWeighed(torch.tensor(list(found.path.read_bytes())[:2]) ** self.power, found.digest, name)


@dataclass(frozen=True)
class FittedWeighed:
    weights: Tensor
    digest: str
    name: str

    def features(self, pixels: Tensor) -> Tensor:
        return pixels.flatten(1) * self.weights

    def probabilities(self, features_ND: Tensor) -> None:
        return None

    def record(self) -> dict[str, object]:
        return {{"digest": self.digest, "dim": 2}}
'''

METRIC = '''
from imgcollapse.metrics.evidence import Evidence
from imgcollapse.metrics.score import Score

EXTENT = {"extent": Score("extent", "how far from the origin samples reach", "higher", "log", 3, "The largest norm.", rank=1)}


def extent(evidence: Evidence) -> dict[str, float]:
    """How far from the origin the samples reach."""
    return {"extent": float(evidence.generated.features.norm(dim=1).max())}
'''

ENGINE = '''
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import Field

from imgcollapse.ablation import worker
from imgcollapse.ablation.engines.common import read_options
from imgcollapse.ablation.engines.configuration import EngineConfiguration
from imgcollapse.settings import Settings


class SerialOptions(Settings):
    """What is noted."""

    note: str = Field("", description="written beside the runs")


def serial(runs: Sequence[Path], configuration: EngineConfiguration, each_second: Callable[[], None]) -> None:
    """In this process, one run after the other."""
    options = read_options(SerialOptions, configuration)
    for run in runs:
        worker.work(run)
        each_second()
    if runs:
        Path("note.txt").write_text(f"{options.note}: {len(runs)} runs, {configuration.jobs} at once")
'''

TRACKER = '''
class Lines:
    """A line of text for each generation, in `track/lines.txt`."""

    needs: ClassVar[str | None] = None
    alone: ClassVar[bool] = False

    def __init__(self, run: Path, settings: dict[str, Any], logged: Logged) -> None:
        self.file = (run / FOLDER / "lines.txt").open("a")

    def write(self, generation: int, values: dict[str, float], grid: Path) -> None:
        self.file.write(f"{generation} {values['pixels/fd']} {grid.name}\\n")

    def close(self) -> None:
        self.file.close()


'''


def record(*place: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(Path(*place).read_text())
    return found


def sources(generation: int) -> dict[str, dict[str, dict[str, float]]]:
    """What the judge of `out` found."""
    (file,) = Path("out", "scores").glob(f"*/gen_{generation:03}.json")
    found: dict[str, dict[str, dict[str, float]]] = json.loads(file.read_text())["sources"]
    return found


def model_works(said: list[str]) -> None:
    about = record("out", "gen_001", "model", "imgcollapse.json")["options"]
    assert isinstance(about, dict) and about["kind"] == "shuffle" and about["reach"] == 2
    assert sources(1)["pixels"]["fd"]["value"] > 0 and "shuffle" in Path("out", "report.html").read_text()


def regime_works(said: list[str]) -> None:
    made = json.dumps(record("out", "gen_001", "provenance.json"))
    assert re.search(r"\b20\b", made) and not re.search(r"\b60\b", made), made  # of 60 samples every third
    assert "thin (3)" in Path("out", "report.html").read_text()


def gate_works(said: list[str]) -> None:
    made = json.dumps(record("out", "gen_001", "provenance.json"))
    assert "let_in" in made and re.search(r"\b65\b", made) and re.search(r"\b60\b", made), made
    assert "last but 5" in Path("out", "report.html").read_text()


def correction_works(said: list[str]) -> None:
    made = record("out", "gen_001", "MANIFEST.json")["made_by"]
    assert isinstance(made, dict) and made["correction"] == {"kind": "other", "times": 2}
    assert "corrected by other (2)" in Path("out", "report.html").read_text()


def dataset_works(said: list[str]) -> None:
    assert "stripes" in Path("out", "report.html").read_text() and sources(1)["pixels"]["fd"]["n"] == 10


def extractor_works(said: list[str]) -> None:
    assert "--weighed-weights PATH" in said[1] and "weights: weighed" in said[3]
    assert sources(1)["weighed"]["fd"]["value"] > 0 and "WFD" in said[2]
    assert "WFD" in Path("out", "report.html").read_text()


def metric_works(said: list[str]) -> None:
    assert "extent" in said[2], "the table of the terminal"
    found = sources(1)["pixels"]["extent"]
    assert found["value"] > 0 and found["real"]["low"] > 0
    assert "extent" in Path("out", "report.html").read_text()
    with Path("grid", "ablation.csv").open(newline="") as file:
        assert "extent" in {row["metric"] for row in csv.DictReader(file)}
    assert "extent" in said[3] and "extent" in Path("grid", "report.html").read_text()


def engine_works(said: list[str]) -> None:
    assert Path("note.txt").read_text() == "0042: 2 runs, 1 at once"
    assert "2 runs" in said[2] and len(list(Path("grid", "runs").glob("*/gen_001/MANIFEST.json"))) == 2


def tracker_works(said: list[str]) -> None:
    lines = [line.split() for line in Path("out", "track", "lines.txt").read_text().splitlines()]
    assert lines == [[str(g), str(sources(g)["pixels"]["fd"]["value"]), f"grid_{g:03}.png"] for g in (0, 1)]
    assert "--track" not in said[2], "nothing is complained of"


MEMBERS = [
    Member(
        ("models/__init__.py", "MODELS"),
        "shuffle",
        documented_example(),
        '"shuffle": Shuffle,',
        ("models/shuffle.py", "from imgcollapse.models.shuffle import Shuffle"),
        [("run", *POINTS, "--model", "shuffle", "--set", "model.reach=2", *FEW, *SHORT)],
        ["reach = 1", "the farthest a column moves"],
        model_works,
    ),
    Member(
        ("regimes/__init__.py", "REGIMES"),
        "thin",
        REGIME,
        '"thin": Thin,',
        ("regimes/thin.py", "from imgcollapse.regimes.thin import Thin"),
        [("run", *POINTS, "--model", "gaussian", "--regime", "thin", "--set", "regime.every=3", *FEW, *SHORT)],
        ["every = 2", "of so many samples one is learned from"],
        regime_works,
    ),
    Member(
        ("gates/__init__.py", "GATES"),
        "last",
        GATE,
        '"last": Last,',
        ("gates/last.py", "from imgcollapse.gates.last import Last"),
        [("run", *POINTS, "--model", "gaussian", "--set", "gates=[{kind: last, more: 5}]", *FEW, *SHORT)],
        ["more = 10", "samples that are drawn and turned away"],
        gate_works,
        helped=False,
    ),
    Member(
        ("corrections/__init__.py", "CORRECTIONS"),
        "other",
        CORRECTION,
        '"other": Other,',
        ("corrections/other.py", "from imgcollapse.corrections.other import Other"),
        [("run", *POINTS, "--model", "gaussian", "--set", "correction={kind: other, times: 2}", *FEW, *SHORT)],
        ["times = 1", "how often"],
        correction_works,
        helped=False,
    ),
    Member(
        ("datasets/__init__.py", "DATASETS"),
        "stripes",
        DATASET,
        '"stripes": Stripes,',
        ("datasets/stripes.py", "from imgcollapse.datasets.stripes import Stripes"),
        [("run", "--dataset", "stripes", "--set", "dataset.size=60", "--model", "bootstrap", "--extractor", "pixels", *FEW, *SHORT)],
        ["size = 90", "subset = None"],
        dataset_works,
        helped=False,
    ),
    Member(
        ("extractors/__init__.py", "EXTRACTORS"),
        "weighed",
        EXTRACTOR,
        '"weighed": Weighed,',
        ("extractors/weighed.py", "from imgcollapse.extractors.weighed import Weighed"),
        [
            ("run", *POINTS, "--model", "gaussian", "--extractor", "weighed", "--weighed-weights", "file.bin", *FEW, *SHORT),
            ("doctor", "--weighed-weights", "file.bin"),
        ],
        ["power = 1.0", "of the weights"],
        extractor_works,
    ),
    Member(
        ("metrics/__init__.py", "METRICS"),
        "extent",
        METRIC,
        '"extent": Metric(extent, EXTENT),',
        ("metrics/extent.py", "from imgcollapse.metrics.extent import EXTENT, extent"),
        [("run", *POINTS, "--model", "gaussian", *SHORT), (*ABLATION, "--seeds", "1", "--out", "grid")],
        ["How far from the origin the samples reach."],
        metric_works,
        helped=False,
    ),
    Member(
        ("ablation/engines/__init__.py", "ENGINES"),
        "serial",
        ENGINE,
        '"serial": Engine(serial, SerialOptions, here=True),',
        ("ablation/engines/serial.py", "from imgcollapse.ablation.engines.serial import SerialOptions, serial"),
        [(*ABLATION, "--seeds", "2", *FEW, "--engine", "serial", "--engine-option", "note=0042", "--out", "grid")],
        ["In this process, one run after the other.", "note = ''"],
        engine_works,
    ),
    Member(
        ("track/kinds.py", "TRACKERS"),
        "lines",
        TRACKER,
        '"lines": Lines,',
        None,
        [("run", *POINTS, "--model", "gaussian", "--track", "lines", *FEW, *SHORT)],
        ["A line of text for each generation"],
        tracker_works,
    ),
]


# --- a copy of the package, and what is changed in it


@contextmanager
def added(member: Member, package: Path) -> Iterator[None]:
    """The member is in the table while the block runs, and gone after it."""
    file, table = member.table
    place = package / file
    text = before = place.read_text(encoding="utf-8")
    text, found = re.subn(rf"^{table}: .* = \{{\n", lambda head: f"{head[0]}    {member.line}\n", text, flags=re.M)
    assert found == 1
    if member.own:
        own, line = member.own
        (package / own).write_text(member.source, encoding="utf-8")
        text = re.sub(r"^from imgcollapse\.", lambda head: f"{line}\n{head[0]}", text, count=1, flags=re.M)
    else:
        text = re.sub(rf"^{table}: ", lambda head: member.source.lstrip("\n") + head[0], text, flags=re.M)
    place.write_text(text, encoding="utf-8")
    yield
    place.write_text(before, encoding="utf-8")
    if member.own:
        (package / member.own[0]).unlink()


def tree(package: Path) -> dict[str, bytes]:
    """The files of a package, but for what Python compiles of them."""
    files = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(package).as_posix(): path.read_bytes() for path in files}


def new_lines(old: bytes, new: bytes) -> list[str]:
    """The lines that were added; none may have been changed or taken away."""
    compared = list(difflib.ndiff(old.decode().splitlines(), new.decode().splitlines()))
    assert not [line for line in compared if line.startswith("-")]
    return [line[2:] for line in compared if line.startswith("+")]


COMMANDS = """
import json, os, sys
from click.testing import CliRunner
import imgcollapse
from imgcollapse.cli.main import main
said = []
for place, commands in json.loads(sys.argv[1]):
    os.chdir(place)
    results = [CliRunner().invoke(main, arguments, prog_name="imgcollapse") for arguments in commands]
    said.append([[result.exit_code, result.output + (str(result.exception) if result.exit_code else "")] for result in results])
print(json.dumps([imgcollapse.__file__, said]))
"""


def python(*arguments: str, package: Path) -> str:
    """What a process prints that has this copy of the package."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=package.parent, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "copy" / "imgcollapse", ignore=shutil.ignore_patterns("__pycache__")))


@dataclass(frozen=True)
class Added:
    """What a member changed, and what its commands have said, executed in a folder of its own.

    before, after: the files of the package without and with the member, and with those that were added before it
    """

    before: dict[str, bytes]
    after: dict[str, bytes]
    folder: Path
    said: list[tuple[int, str]]  # exit code and output of `list NAME`, of the help, and of each command


@pytest.fixture(scope="module")
def all_added(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Added]:
    """By its table: all members added to one copy of the package, one after the other, and all commands executed in one process."""
    place = tmp_path_factory.mktemp("members")
    package = Path(shutil.copytree(PACKAGE, place / "copy" / "imgcollapse", ignore=shutil.ignore_patterns("__pycache__")))
    before, trees = tree(package), [tree(package)]
    folders = [place / member.table[1] for member in MEMBERS]
    with ExitStack() as stack:
        for member in MEMBERS:
            stack.enter_context(added(member, package))
            trees.append(tree(package))
        for folder in folders:
            folder.mkdir()
            (folder / "file.bin").write_bytes(WEIGHTS)
        commands = [[("list", member.name), (member.commands[0][0], "--help"), *member.commands] for member in MEMBERS]
        jobs = json.dumps([[str(folder), own] for folder, own in zip(folders, commands, strict=True)])
        where, said = json.loads(python("-c", COMMANDS, jobs, package=package).splitlines()[-1])
        assert Path(where).parent == package
        assert tree(package) == trees[-1], "what runs leaves the package alone"
    assert tree(package) == before
    each = zip(MEMBERS, trees[:-1], trees[1:], folders, said, strict=True)
    return {member.table[1]: Added(*found) for member, *found in each}


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.table[1])
def test_a_new_member_is_one_file_and_one_line(member: Member, all_added: dict[str, Added], monkeypatch: pytest.MonkeyPatch) -> None:
    found = all_added[member.table[1]]
    changed = {name for name in found.before.keys() | found.after.keys() if found.before.get(name) != found.after.get(name)}
    lines = new_lines(found.before[member.table[0]], found.after[member.table[0]])
    if member.own:
        assert changed == {member.own[0], member.table[0]} and sorted(lines) == sorted([member.own[1], f"    {member.line}"])
    else:
        assert changed == {member.table[0]} and len(lines) == len(member.source.lstrip("\n").splitlines()) + 1
    for code, output in found.said:
        assert code == 0, output
    said = [output for _, output in found.said]
    assert said[0].startswith(member.name) and all(shown in said[0] for shown in member.shown), said[0]
    assert not member.helped or re.search(rf"\b{member.name}\b", said[1]), said[1]
    monkeypatch.chdir(found.folder)
    member.works(said)


def test_the_model_of_the_docs_keeps_the_contract_of_all_models(package: Path) -> None:
    tests = [str(Path(__file__).with_name(name)) for name in ("test_models.py", "test_model_contract.py")]
    with added(MEMBERS[0], package):
        said = python("-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "-k", "shuffle", *tests, package=package)
    assert int(re.findall(r"(\d+) passed", said)[0]) >= 5 and "failed" not in said, said


def test_every_table_has_a_new_member_here() -> None:
    spelled = {(path.relative_to(PACKAGE).as_posix(), name) for path in PACKAGE.rglob("*.py") for name in tables(path)}
    assert {member.table for member in MEMBERS} == spelled


def tables(path: Path) -> list[str]:
    """The tables of parts that a file spells out: dicts by name, in capitals, of what can be chosen."""
    return re.findall(r"^([A-Z]+): dict\[str, (?:type\[\w+\]|Metric|Engine)\] = \{$", path.read_text(encoding="utf-8"), re.M)

"""README and docs/: links lead somewhere, commands are understood, and what they say of the code is so."""

import ast
import csv
import functools
import inspect
import json
import os
import re
import runpy
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from terminal import call

import imgcollapse
from imgcollapse import errors
from imgcollapse.ablation.grid import Ablation
from imgcollapse.cli import about, listing
from imgcollapse.cli import main as cli
from imgcollapse.metrics.scores import SCORES
from imgcollapse.regimes.pool_bias import PoolBias
from imgcollapse.settings import build, yaml12
from imgcollapse.study import Study

ROOT = Path(imgcollapse.__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("*/*.md"))]
PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
# lines that need a file of the reader's, which the tests of these pages write and execute
EXECUTED = {"own_generator.md": ("--config own.yaml", "own.py"), "plugins.md": ("mine.py", "more.py")}


def blocks(text: str, *languages: str) -> list[str]:
    """Pieces of code in these languages."""
    return re.findall(rf"^```(?:{'|'.join(languages)})\n(.*?)^```", text, re.S | re.M)


def without_code(text: str) -> str:
    return re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.S | re.M)


def shown(page: Path) -> list[str]:
    """Lines of shell that a page shows."""
    return "\n".join(blocks(TEXT[page], "bash", "sh")).replace("\\\n", " ").splitlines()


def in_text(page: Path) -> list[str]:
    """Commands in the sentences of a page."""
    return [" ".join(found.split()) for found in re.findall(r"`((?:imgcollapse |python scripts/)[^`]*)`", without_code(TEXT[page]))]


def studies() -> list[str]:
    """Every `imgcollapse run` and `ablate` that is shown and needs nothing but the package, once."""
    lines = [(page.name, line) for page in PAGES for line in shown(page) if line.startswith(("imgcollapse run", "imgcollapse ablate"))]
    lines = [line for name, line in lines if not any(needed in line for needed in EXECUTED.get(name, ()))]
    return list(dict.fromkeys(shlex.join(shlex.split(line, comments=True)) for line in lines))


@functools.cache
def script(name: str) -> Any:
    """The click command of a script, or None where it has none."""
    return runpy.run_path(str(ROOT / "scripts" / name)).get("main")


@functools.cache
def reference() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "reference.py"))


def filled(page: str) -> str:
    """A page of docs/ as the site has it."""
    return str(reference()["filled"](TEXT[DOCS / page]))


# --- README


def test_the_readme_is_one_page() -> None:
    assert len(TEXT[ROOT / "README.md"].splitlines()) <= 150


@pytest.mark.parametrize("name", ["scripts/run", "scripts/test", "scripts/docs"])
def test_the_scripts_of_the_readme_are_there(name: str) -> None:
    assert re.search(rf"(?m)^{name}\b|`{name}`", TEXT[ROOT / "README.md"])
    assert os.access(ROOT / name, os.X_OK)
    assert subprocess.run(["bash", "-n", str(ROOT / name)]).returncode == 0


def test_the_readme_can_be_shown_by_a_package_index() -> None:
    """With an address nothing in it is relative; without one, nothing is left that would be broken there."""
    for_an_index, readme = runpy.run_path(str(ROOT / "setup.py"))["for_an_index"], TEXT[ROOT / "README.md"]
    whole = for_an_index(readme, "https://forge.example/team/imgcollapse")
    assert "](https://forge.example/team/imgcollapse/raw/HEAD/docs/loss.png)" in whole
    assert "[ablation](https://forge.example/team/imgcollapse/blob/HEAD/docs/ablations.md)" in whole
    assert not re.search(r"\]\((?!https:)", whole) and whole.count("](") == readme.count("](")
    plain = for_an_index(readme, None)
    assert "](" not in plain and "loss.png" not in plain and "MIT licence." in plain and "scripts/run" in plain


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in TEXT and page not in reached:
            reached.add(page)
            waiting += [(page.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+)", TEXT[page]) if "://" not in link]
    assert set(PAGES) - {DOCS / "index.md"} <= reached


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")) + sorted((DOCS / "reference").glob("*.md")), ids=lambda page: page.name)
def test_every_page_has_a_place_in_the_site(page: Path) -> None:
    assert f": {page.relative_to(DOCS)}\n" in (ROOT / "mkdocs.yml").read_text()


# --- links


def anchors(text: str) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*)$", without_code(text), re.M)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


@PAGE
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for place, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", without_code(TEXT[page])):
        target = (page.parent / place).resolve() if place else page
        assert target.is_file(), f"{page.name}: {place}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page.name}: {place}#{anchor}"


@PAGE
def test_every_configuration_script_and_page_that_is_named_is_there(page: Path) -> None:
    for place in re.findall(
        r"(?<![\w/.])((?:configs|scripts|docs|tests|imgcollapse)/[\w./-]*\w\.(?:yaml|py|md|png|mplstyle))\b", TEXT[page]
    ):
        assert (ROOT / place).is_file() or Path(place).stem.isupper(), f"{page.name}: {place}"


# --- commands


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("line", studies())
def test_every_study_that_is_shown_is_understood(line: str) -> None:
    _, command, *arguments = shlex.split(line)
    arguments = [str(ROOT / word) if word.startswith("configs/") else word for word in arguments]
    done = call(command, "--dry-run", "--json", *arguments)
    assert done.exit_code == 0, done.output


def test_many_studies_are_shown() -> None:
    assert len(studies()) > 50


def understood(page: Path, words: list[str], whole: bool) -> None:
    """Fails where a command, an option or, of a whole command, an argument is not there."""
    what, *rest = words
    if what == "python":
        place, *rest = rest
        command = script(Path(place).name)
    else:
        command = cli.main
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-") and not rest[0].isupper():
        name, *rest = rest
        assert name in command.commands, f"{page.name}: {shlex.join(words)}: there is no {name}"
        command = command.commands[name]
    if command is None or not rest or (isinstance(command, click.Group) and rest[0].isupper()):
        return
    rest = [word for word in rest if word not in ("…", "...")]
    try:
        command.make_context(words[0], list(rest))
    except click.exceptions.Exit:  # --help
        pass
    except click.UsageError as error:
        unsaid = isinstance(error, click.MissingParameter) or "requires an argument" in error.message
        placeholder = isinstance(error, click.BadParameter) and any(Path(word).name.isupper() for word in rest)
        if not placeholder and (whole or not unsaid):
            pytest.fail(f"{page.name}: {shlex.join(words)}: {error.format_message()}")


@PAGE
def test_every_command_has_the_options_that_a_page_gives_it(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT / "scripts")
    for line in shown(page):
        if line.startswith(("imgcollapse ", "python scripts/")):
            understood(page, shlex.split(line, comments=True), whole=True)
    for line in in_text(page):
        understood(page, shlex.split(line), whole=False)


# --- pieces of code


@PAGE
def test_every_piece_of_python_is_python_and_calls_what_is_there(page: Path) -> None:
    for piece in blocks(TEXT[page], "python"):
        for node in ast.walk(ast.parse(piece)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "ic":
                known = inspect.signature(getattr(imgcollapse, node.func.attr)).parameters
                assert {one.arg for one in node.keywords} <= set(known), f"{page.name}: {ast.unparse(node)}"


@PAGE
def test_every_piece_of_yaml_is_settings(page: Path) -> None:
    for piece in blocks(TEXT[page], "yaml"):
        values = yaml12.load(piece)
        if isinstance(values, dict) and "arms" in values:
            build(Ablation, {**values, "seeds": [0, 1]})
        elif isinstance(values, dict) and "models" in values:
            assert {"mixture", "VAE", "mine"} == values["models"].keys()
            for model in values["models"].values():
                build(Study, {"model": model if isinstance(model, dict) else {"kind": model}})


# --- what is said of the code


def options(command: click.Command) -> set[str]:
    return {name for parameter in command.params if isinstance(parameter, click.Option) for name in parameter.opts if name.startswith("--")}


def test_the_page_of_commands_has_every_command_option_and_exit_code() -> None:
    page = filled("reference/commands.md")
    for name, command in cli.main.commands.items():
        section = page.split(f"\n## {name.title()}\n")[1].split("\n## ")[0]
        assert f"`imgcollapse {name}" in section, name
        for option in options(command):
            assert f"`{option}`" in section, (name, option)
    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Problem)}
    for text in (cli.EXIT_CODES, page.split("\n## Exit codes\n")[1].split("\n## ")[0]):
        for code in codes | {130, 143}:
            assert re.search(rf"\b{code}\b", text), code
    assert page.count("IMGCOLLAPSE_GENS") >= 2 and "| 9 | a program or plug-in that the study names failed" in page


def test_the_page_of_settings_has_every_option_with_its_type_and_default() -> None:
    page = filled("reference/settings.md")
    for title, table in about.TABLES.items():
        for name, entry in table.items():
            assert f"`{name}`" in page or f"\n### {name}\n" in page, (title, name)
            fields = listing.options(entry) if hasattr(entry, "model_fields") else {}
            assert all(f"| `{option}` |" in page for option in fields), (title, name)
    for row in (
        "| `steps` | integer, ≥ 0 | `0` | optimisation steps; 0: by picture size |",
        "| `sampling.temperature` | number, > 0 | `1.0` |",
        "| `pool` | one of `fixed`, `resample`, `fresh` | `resample` |",
        "| `timeout` | number, > 0, or none | none |",
        "| `path` | text | must be given |",
        "| `stream` | true or false | `false` |",
        "| `plugins` | list of",
        "| `partition` | text, or none | none | the queue of the jobs |",
        "| `endpoint.quantity` | one of `last`, `slope`, `area` | `last` |",
    ):
        assert row in page, row
    assert "see its description" not in page, "every type has words"


def test_the_page_of_metrics_has_every_metric_and_score() -> None:
    page = filled("reference/metrics.md")
    for name in about.TABLES["metrics"]:
        assert f"\n## {name}\n" in page
    for name, score in SCORES.items():
        assert re.search(rf"\n- \*\*`{name}`\*\* \(in tables: .*; {score.better} is better; ", page), name


def test_nothing_is_left_to_be_put_in() -> None:
    for page in PAGES:
        if page.is_relative_to(DOCS):
            assert "<!-- generated" not in filled(str(page.relative_to(DOCS))), page


def test_the_words_name_every_entry_of_every_table() -> None:
    words = TEXT[DOCS / "words.md"] + TEXT[DOCS / "measured.md"]
    for title, table in about.TABLES.items():
        for name in table:
            assert f"`{name}`" in words, (title, name)


def test_the_words_name_every_option_of_biased_pools() -> None:
    row = next(line for line in TEXT[DOCS / "words.md"].splitlines() if line.startswith("| `pool_bias` |"))
    for name in PoolBias.model_fields:
        assert f"`{name}`" in row, name


# --- files


FILES = (
    "data.json",
    "gen_NNN/provenance.json",
    "gen_NNN/MANIFEST.json",
    "scores/JUDGE/gen_NNN.json",
    "scores/JUDGE/reference.json",
    "environment.json",
)
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "list": (list,),
    "object": (dict,),
    "none": (type(None),),
}


def documented(title: str) -> dict[str, str]:
    """Key and type of a file, as its table has them."""
    section = TEXT[DOCS / "reference" / "files.md"].split(f"\n### {title}\n")[1].split("\n## ")[0].split("\n### ")[0]
    rows = [line.split(" | ")[:2] for line in section.splitlines() if line.startswith("| `")]
    return {key: kind for keys, kind in rows for key in re.findall(r"`([^`]+)`", keys)}


def found(value: Any, keys: list[str]) -> Iterator[Any]:
    """What stands at a documented key: one in capitals is any key that the table has not named beside it."""
    if not keys:
        yield value
        return
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict):
            continue
        for name in one if keys[0].isupper() else [keys[0]]:
            if name in one:
                yield from found(one[name], keys[1:])


def fits(record: dict[str, Any], title: str) -> None:
    """Every documented key is there with its type, and at the top there is no other."""
    table = documented(title)
    for key, kind in table.items():
        there = list(found(record, key.split(".")))
        assert there or kind.startswith("("), f"{title}: there is no {key}"
        types = tuple(one for word in re.findall(r"\w+", kind) if word != "or" for one in TYPES[word])
        for value in there:
            assert isinstance(value, types) and not isinstance(value, bool), f"{title}: {key} is {value!r}"
    assert {key.split(".")[0] for key in table} | {"sha256"} >= record.keys(), title


def test_the_files_of_a_run_have_the_keys_and_types_that_are_documented() -> None:
    gates = ["--set", "gates=[{kind: curate, keep: 0.5}]"]
    run = call("run", "--model", "bootstrap", "--gens", "2", "--samples", "120", "--extractor", "random", "--out", "run", *gates)
    assert run.exit_code == 0, run.output
    (judge,) = Path("run", "scores").iterdir()
    for title in FILES:
        fits(json.loads(Path("run", title.replace("JUDGE", judge.name).replace("NNN", "001")).read_text()), title)
    columns = next(csv.reader(Path("run", "scores.csv").read_text().splitlines()))
    assert columns == re.findall(r"`([^`]+)`", " ".join(row.split(" | ")[0] for row in columns_of("scores.csv and ablation.csv")))
    scored = call("score", "run", "--against", "digits", "--extractor", "random", "--out", "scored.json")
    assert scored.exit_code == 0, scored.output
    fits(json.loads(Path("scored.json").read_text()), "scores/NAME.json")


@pytest.mark.slow  # where it has to make the ablation, which other files of tests use as well
def test_the_files_of_an_ablation_are_those_that_are_documented(grid: Path) -> None:
    fits(json.loads((grid / "summary.json").read_text()), "summary.json")
    section = TEXT[DOCS / "reference" / "files.md"].split("\n## An ablation's folder\n")[1].split("\n### ")[0]
    named = {name.rstrip("/") for name in re.findall(r"`([^`]+)`", section)}
    assert {one.name for one in grid.iterdir() if not one.name.startswith(".")} <= named
    assert (grid / "ablation.csv").read_text().splitlines()[0].split(",")[0] == "arm"


def columns_of(title: str) -> list[str]:
    section = TEXT[DOCS / "reference" / "files.md"].split(f"\n### {title}\n")[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]

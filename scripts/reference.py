"""The reference pages of the documentation, made of the package's own tables; `mkdocs.yml` names this file among its hooks.

A page in docs/ says where something is put in: `<!-- generated: command run -->`, with a key of GENERATED and what that is told. It comes
from what help texts and `imgcollapse list` are made of, so that nothing is written down twice.
"""

import html
import inspect
import itertools
import os
import re
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from imgcollapse import errors
from imgcollapse.ablation.engines import ENGINES
from imgcollapse.ablation.grid import Ablation
from imgcollapse.cli import about, listing
from imgcollapse.cli import main as cli
from imgcollapse.metrics import METRICS, Metric
from imgcollapse.metrics.score import Score
from imgcollapse.study import Study

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MARK = re.compile(r"<!-- generated: ([a-z-]+) ?(.*?) -->")
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
PLAIN = {int: "integer", float: "number", str: "text", bool: "true or false", type(None): "none"}
BOUNDS = {"gt": "> {}", "ge": "≥ {}", "lt": "< {}", "le": "≤ {}", "multiple_of": "a multiple of {}"}
WHOLE = "{ .whole }"  # of code that is not parted at the end of a line
COLUMN = 76  # characters of code that stand beside each other in the site
SHELL = re.compile(r"^```bash\n(.*?)^```", re.S | re.M)
SOURCES = "source"  # where files from outside docs/ stand in the site


# --- what is put in


def command(name: str) -> str:
    """Arguments and options of a command, as its help has them."""
    one = cli.main.commands[name]
    context = click.Context(one, info_name=name, parent=click.Context(cli.main, info_name="imgcollapse"))
    rows = [_option(option, context) for option in one.params if isinstance(option, click.Option) and not option.hidden]
    usage = " ".join(one.collect_usage_pieces(context))
    table = _table(("option, and its variable", "default", "meaning"), rows)
    return f"`imgcollapse {name} {usage}`\n\n{_prose(one.help or '')}\n\n{table}"


def exit_codes(_: str) -> str:
    """Every exit code, from the line that every help text ends with, and the class of `imgcollapse.errors` that it is of."""
    line = " ".join(cli.EXIT_CODES.removeprefix("\b").split()).removeprefix("Exit codes: ").rstrip(".")
    classes: dict[str, list[str]] = {}
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.Problem) and kind is not errors.Problem:
            classes.setdefault(str(kind.exit_code), []).append(f"`{kind.__name__}`")
    rows = []
    for part in line.split("; "):
        codes, meaning = re.fullmatch(r"([\d ]+(?:and \d+)?) (.*)", part).groups()  # type: ignore[union-attr]
        rows.append((codes, _escaped(meaning), ", ".join(classes.get(codes, []))))
    return _table(("code", "meaning", "in Python"), rows)


def settings(title: str) -> str:
    """Options of every entry of a table, of a study, of its parts, or of an ablation."""
    if title == "study":
        return _rows(Study.model_fields)
    if title == "ablation":
        return _options(Ablation)
    if title == "parts":
        kinds = {name: listing.part(Study.model_fields[name]) for name in about.STUDY_PARTS}
        return "\n\n".join(f"### {name}\n\n{_escaped(_about(name))}\n\n{_options(kind) if kind else ''}" for name, kind in kinds.items())
    sections = []
    for name, entry in about.TABLES[title].items():
        kind = ENGINES[name].options if title == "engines" else entry
        has = isinstance(kind, type) and issubclass(kind, BaseModel) and listing.options(kind)
        sections.append(f"### {name}\n\n{_escaped(listing.first_line(entry))}\n\n{_options(kind) if has else 'No options.'}")
    return "\n\n".join(sections)


def metrics(_: str) -> str:
    """Every metric: its docstring, and how each of its scores is read."""
    return "\n\n".join(_metric(name, metric) for name, metric in METRICS.items())


def entries(title: str) -> str:
    """A table's entries in a sentence each."""
    return _table(("name", "what it is"), [(f"`{name}`", _escaped(listing.first_line(one))) for name, one in about.TABLES[title].items()])


GENERATED: Mapping[str, Callable[[str], str]] = {
    "command": command,
    "exit-codes": exit_codes,
    "settings": settings,
    "metrics": metrics,
    "entries": entries,
}


def filled(markdown: str) -> str:
    """A page with everything put in that it asks for."""
    return MARK.sub(lambda mark: GENERATED[mark[1]](mark[2]), markdown)


def _about(name: str) -> str:
    return Study.model_fields[name].description or ""


def _option(option: click.Option, context: click.Context) -> tuple[str, ...]:
    names = ", ".join(f"`{name}`{WHOLE}" for name in (*option.opts, *option.secondary_opts))
    meaning, _, default = (option.help or "").removesuffix("]").partition(" [")
    if not default and option.show_default:
        default = str(option.get_default(context))
    variable = f"<br>`{option.envvar}`{WHOLE}" if option.envvar else ""
    more = ["must be given" if option.required else "", "may be repeated" if option.multiple and "repeated" not in meaning else ""]
    choices = f" One of: {', '.join(f'`{one}`' for one in option.type.choices)}." if isinstance(option.type, click.Choice) else ""
    said = "; ".join(one for one in (_escaped(re.sub(r"(?<!\.)\.$", "", meaning)), *more) if one)
    return names + variable, _escaped(default), f"{said}{'' if said.endswith('.') else '.'}{choices}"


def _options(kind: type[BaseModel]) -> str:
    return _rows(listing.options(kind))


def _rows(fields: Mapping[str, FieldInfo]) -> str:
    rows = [(f"`{name}`", _kind(field), _default(field), _escaped(field.description or "")) for name, field in fields.items()]
    return _table(("option", "type", "default", "meaning"), rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return f"`{value.kind}`" if hasattr(value, "kind") else "its defaults"
    if value is None or value == "":
        return "none" if value is None else "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else list(value) if isinstance(value, tuple) else value}`"


def _kind(field: FieldInfo) -> str:
    bounds = [BOUNDS[key].format(value) for one in field.metadata for key, value in _bounds(one)]
    return ", ".join([_plainly(field.annotation), *bounds])


def _bounds(one: Any) -> Iterable[tuple[str, Any]]:
    return ((key, getattr(one, key)) for key in BOUNDS if getattr(one, key, None) is not None)


def _plainly(annotation: Any) -> str:
    """`tuple[int, ...] | None` -> `list of integer, or none`."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if annotation in PLAIN:
        return PLAIN[annotation]
    if origin is Annotated:
        base, *more = inside
        return ", ".join([_plainly(base), *(BOUNDS[key].format(value) for one in more for key, value in _bounds(one))])
    if origin is Literal:
        return "one of " + ", ".join(f"`{str(one).lower() if isinstance(one, bool) else one}`" for one in inside)
    if origin in (Union, types.UnionType):
        *parts, last = dict.fromkeys(_plainly(one) for one in sorted(inside, key=lambda one: one is type(None)))
        return ", ".join(parts) + (", or " if parts else "") + last
    if origin is tuple:
        return f"list of {_plainly(inside[0])}" if Ellipsis in inside else f"[{'; '.join(_plainly(one) for one in inside)}]"
    if origin in (dict, Mapping):
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        kind = annotation.model_fields.get("kind")
        return f"`{kind.default}`" if kind else "options of its own"
    return "see its description"


def _metric(name: str, metric: Metric) -> str:
    first = [f"version {metric.version}"]
    first += [] if metric.default else ["measured where it is asked for"]
    first += [{"model": "of models that know likelihoods", "gate": "of studies with gates"}[metric.of]] if metric.of != "features" else []
    first += ["of all pictures drawn, not of N"] if metric.of_all else []
    first += ["looks at what models have learned from"] if metric.trained else []
    first += [] if metric.real else ["without real vs real"]
    scores = "\n".join(_score(own, score) for own, score in metric.scores.items())
    return f"## {name}\n\n*{'; '.join(first)}.*\n\n{_prose(inspect.getdoc(metric.measure) or '')}\n\nIts scores:\n\n{scores}"


def _score(name: str, score: Score) -> str:
    low, high = score.bounds
    span = "any number" if low is None else f"{low:g} and more" if high is None else f"{low:g} to {high:g}"
    said = _escaped(f"{score.meaning[:1].upper()}{score.meaning[1:]}. {score.definition}")
    return f"- **`{name}`** (in tables: {_escaped(score.title)}; {score.better} is better; {span}). {said}"


# --- Markdown


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)


def _escaped(text: str) -> str:
    """Text of the code as it stands, but for what is in backquotes already."""
    parts = " ".join(text.split()).split("`")
    words = (re.sub(r"([|*\[\]_\\])", r"\\\1", html.escape(part, quote=False)) for part in parts[::2])
    code = (part.replace("|", "\\|") for part in parts[1::2])
    return "`".join(part for pair in itertools.zip_longest(words, code) for part in pair if part is not None)


def _prose(text: str) -> str:
    """A docstring: paragraphs, and what is indented in them as it stands."""
    found = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text.replace("\b", ""))):
        for indented, lines in _runs(block.splitlines()):
            found.append("```text\n" + inspect.cleandoc("\n".join(["", *lines])) + "\n```" if indented else _escaped(" ".join(lines)))
    return "\n\n".join(found)


def _runs(lines: list[str]) -> list[tuple[bool, list[str]]]:
    runs: list[tuple[bool, list[str]]] = []
    for line in lines:
        indented = line.startswith("    ")
        if not runs or runs[-1][0] != indented:
            runs.append((indented, []))
        runs[-1][1].append(line)
    return runs


# --- hooks of MkDocs


def outside(markdown: str, at: Path) -> dict[str, Path]:
    """The links of a page at this place that lead out of docs/ to other files of the repository."""
    found = {link[1]: (at.parent / link[1]).resolve() for link in LINK.finditer(markdown)}
    return {link: target for link, target in found.items() if target.is_relative_to(ROOT) and not target.is_relative_to(DOCS)}


def page_of(target: Path) -> str:
    """Where a file from outside docs/ stands in the site, as Markdown."""
    inside = target.relative_to(ROOT).as_posix()
    return f"{SOURCES}/{inside}" if target.suffix == ".md" else f"{SOURCES}/{inside}.md"


def origin_of(page: str) -> Path:
    """Where the Markdown of a page of the site comes from."""
    return ROOT / page.removeprefix(f"{SOURCES}/") if page.startswith(f"{SOURCES}/") else DOCS / page


def on_files(files: Any, config: Any) -> Any:
    """Adds the files outside docs/ that pages lead to."""
    from mkdocs.structure.files import File

    waiting = [DOCS / page.src_uri for page in files.documentation_pages()]
    for at in waiting:
        for target in outside(at.read_text(encoding="utf-8"), at).values():
            name = page_of(target)
            if files.get_file_from_path(name) is None:
                files.append(File.generated(config, name, content=_shown(target)))
                waiting += [target] if target.suffix == ".md" else []
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Puts in what is generated, and makes links lead to the site's own copies. Reports of single results are not searched."""
    here = page.file.src_uri
    if here.endswith("/report.md"):
        page.meta["search"] = {"exclude": True}
    at = origin_of(here)

    def led(link: re.Match[str]) -> str:
        target = (at.parent / link[1]).resolve()
        if not target.is_relative_to(ROOT):
            return link[0]
        there = target.relative_to(DOCS).as_posix() if target.is_relative_to(DOCS) else page_of(target)
        return os.path.relpath(there, Path(here).parent) + (link[2] or "")

    return filled(SHELL.sub(narrow, LINK.sub(led, markdown)))


def narrow(block: re.Match[str]) -> str:
    """A piece of shell whose lines are long: each comment above its command, not beside it."""
    lines = block[1].splitlines()
    if max(map(len, lines)) <= COLUMN:
        return block[0]
    parted = [re.fullmatch(r"(\S.*?) +# (.*)", line) for line in lines]
    told = [f"# {one[2]}\n{one[1]}\n" if one else line for line, one in zip(lines, parted, strict=True)]
    return "```bash\n" + "\n".join(told).rstrip() + "\n```"


def _shown(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    name = file.relative_to(ROOT).as_posix()
    language = {".py": "python", ".yaml": "yaml"}.get(file.suffix, "text")
    head = "---\nsearch:\n  exclude: true\n---\n\n"
    return head + (text if file.suffix == ".md" else f"# {name}\n\n````{language}\n{text}````\n")

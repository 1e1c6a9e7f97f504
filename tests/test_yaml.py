"""YAML 1.2: what a text stands for, that what is written reads back, and that no text does harm."""

import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgcollapse.errors import SettingsProblem
from imgcollapse.interface.ablating import ablation_from
from imgcollapse.interface.running import study_from
from imgcollapse.settings import read_file
from imgcollapse.settings.yaml12 import MOST, YamlProblem, dump, load

PLAIN: dict[str, Any] = {
    # numbers, as https://yaml.org/spec/1.2.2/#103-core-schema has them
    "010": 10,
    "-010": -10,
    "+7": 7,
    "08": 8,
    "0o10": 8,
    "0x1F": 31,
    "-0": 0,
    "9" * 39: int("9" * 39),
    "1e-4": 1e-4,
    "1E3": 1000.0,
    "1.": 1.0,
    ".5": 0.5,
    "-.5e+2": -50.0,
    "-.inf": -math.inf,
    "1.0": 1.0,
    "": None,
    "~": None,
    "null": None,
    "NULL": None,
    "true": True,
    "TRUE": True,
    "False": False,
    # all else is text
    **{text: text for text in ("no", "yes", "on", "Off", "y", "1:30", "1_000", "0b11", "2026-01-01", "2026-01-01 10:00:00", "=", "nan")},
    **{
        text: text
        for text in ("١٠", "１０", "0o8", "0xg", "-0x10", "1e", ".", "+", "tRUE", "Infinity", "inf", "- ".strip() + "x", "a:b", "a#b")
    },
    # and what is in quotes or called text
    "'010'": "010",
    '"no"': "no",
    "!!str 010": "010",
    "! 010": "010",
    "!!int '010'": 10,
    "!!float 1": 1.0,
    # escapes of JSON, of which two are one character
    r'"\ud83d\ude00"': "😀",
    r'"a\uD83D\uDE00\ud834\udd1e\u00e9"': "a😀𝄞é",
    r'"\U0001F600"': "😀",
    r'"\udce9"': "\udce9",  # a byte of a file name, as `dump` writes it
    r"'\ud83d'": r"\ud83d",
    r"\ud83d": r"\ud83d",
}


@pytest.mark.parametrize(("text", "value"), PLAIN.items())
def test_a_scalar_is_what_the_core_schema_says(text: str, value: Any) -> None:
    for found in (load(text), load(f"- {text}")[0], load(f"a: {text} # {text}")["a"], load(f"[{text},]")[0] if text else None):
        assert repr(found) == repr(value)


def test_there_is_one_zero() -> None:
    assert math.copysign(1, load("-0.0")) == 1.0


@pytest.mark.parametrize(
    "key", ["0.1", "0.10", "no", "2026-01-01", "010", "null", "~", "true", "1e3", "0x1F", "", "'no'", "9" * 99, "<", "=", " a "]
)
def test_keys_are_text_as_it_is_written(key: str) -> None:
    quoted = key if key != " a " else "' a '"
    assert load(f"? {quoted}\n: 1") == {key.strip("'"): 1} == load(f"{{? {quoted} : 1}}")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\nb: 2\na: 3", 3, "'a' is given twice, first in line 1; "),
        ("x:\n  - {a: 1,\n     'a': 2}", 3, "'a' is given twice, first in line 2; "),
        ('0.1: 1\r\n"0.1": 2', 2, "'0.1' is given twice, first in line 1; "),
        ("<<: {a: 1}\n<<: {b: 1}", 2, "'<<' is given twice"),
        ("a: 1\n---\nb: 1", 2, "a second document begins here; "),
        ("a: &a [*a]", 1, "*a stands for no value before it; "),
        ("a: *b", 1, "*b stands for no value before it; "),
        ("\n? [1]\n: 2", 2, "a key must be text; "),
        ("a: !!python/object:os.system x", 1, "the tag !!python/object:os.system is not known here; "),
        ("a: !mine {}", 1, "the tag !mine is not known here; "),
        ("a: !!binary aGk=", 1, "the tag !!binary is not known here; "),
        ("a: !!set {b}", 1, "the tag !!set is not known here; "),
        ("!!int a: 1", 1, "the tag !!int is not known here; "),
        ("a: !!int x", 1, "'x' is no int; "),
        ("a:\n  <<: 3", 2, "<< takes mappings, not 3; "),
        ("a: 1\nb:\t2", 2, "not YAML (a tab where only spaces may stand); fix that line"),
        ("a: 1\nb: \x00", 2, "not YAML (the character '\\x00' may not stand in it); fix that line"),
        (r'a: "\ud83d"', 1, r"the escape \ud83d is half of a character; write the whole one"),
        ('a: 1\nb:\n  - "x\\ude00"', 3, r"the escape \ude00 is half of a character; "),
        (r'a: "\ude00\ud83d"', 1, r"the escape \ude00 is half of a character; "),
        ('a: 1\n"\\ud83d": 2', 2, r"the escape \ud83d is half of a character; "),
        (r'{"a": "\ud83d\ud83d\ude00"}', 1, r"the escape \ud83d is half of a character; "),
        ('a: 1\nb: "\\U00110000"', 2, "not YAML (an escape names no character); fix that line"),
        ('a: 1\n\nb: ["\\UFFFFFFFF"]', 3, "not YAML (an escape names no character); fix that line"),
        ("a: '\ud800'", 1, "not YAML (the character '\\ud800' may not stand in it); "),
        ("a: 1\nb: [1", 2, "not YAML ("),
        ("%YAML 2.0\n---\na: 1", 1, "not YAML ("),
        ("a: 1e400", 1, "1e400 is too large a number; "),
        ("a: -1e400", 1, "-1e400 is too large a number; "),
        ("a: " + "9" * 5000, 1, "9" * 60 + "... (5,000 characters) is too large a number; "),
        ("[" * 5000, 1, "lies more than 50 levels deep; "),
        ("- " * 5000, 1, "lies more than 50 levels deep; "),
        ("a: {" * 5000, 1, "lies more than 50 levels deep; "),
        ("x" * (MOST + 1), 1, "holds more than 1,000,000 characters"),
        ("a: &a " + "x" * 1000 + "\nb: [" + "*a, " * 1000 + "]", 2, "stands for more than 1,000,000 characters"),
        (
            "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]\n" for i in range(1, 40)),
            10,
            "stands for more than ",
        ),
        ("a0: &a0 {x: y}\n" + "".join(f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}\n" for i in range(1, 40)), 14, "stands for more than "),
    ],
)
def test_what_cannot_be_read_is_one_short_line_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(YamlProblem) as caught:
        load(text)
    assert (caught.value.line, str(caught.value)[: len(reason)]) == (line, reason)
    assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)


def test_aliases_and_merges_stand_for_what_they_name() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\nd: {z: 0, <<: [{x: 5}, *a]}\ne: {'<<': 1}"
    assert load(text) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
        "d": {"x": 5, "y": 2, "z": 0},
        "e": {"<<": 1},
    }


def test_a_file_may_have_a_mark_at_its_head_and_line_ends_of_windows(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfgens: 010\r\nmodel: vae\r\n")
    assert read_file(tmp_path / "a.yaml") == {"gens": 10, "model": "vae"}
    (tmp_path / "b.yaml").write_bytes(b"gens: 1\r\n\r\ngens: 2\r\n")
    with pytest.raises(SettingsProblem, match=r"b\.yaml:3: 'gens' is given twice, first in line 1; "):
        read_file(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(SettingsProblem, match=r"c\.yaml:1: holds more than 1,000,000 characters"):
        read_file(tmp_path / "c.yaml")
    with pytest.raises(SettingsProblem, match=r"^/dev/zero: cannot be read \(it is a device, a pipe or a socket, and only regular "):
        read_file(Path("/dev/zero"))


LETTERS = [
    *"ab01e._-+:#&*!|>'\"%@`{}[],?~=<x \n\t\r\\/",
    "\x85",
    "\u2028",
    "\u2029",
    "\ufeff",
    "\x00",
    "\x7f",
    "\u200b",
    "\udce9",
    "é",
    "😀",
]


def test_what_is_written_reads_back_and_programs_of_yaml_1_1_read_the_same() -> None:
    chance = random.Random(0)
    texts = [text for text in PLAIN if not text.startswith("!")] + [
        "<<",
        "- a",
        "? a",
        "a: b",
        "a #b",
        "---",
        "...",
        " a",
        "a ",
        "x" * 200,
        "1 " * 99,
    ]
    texts += ["".join(chance.choices(LETTERS, k=chance.choice((1, 2, 3, 5, 8, 13, 99)))) for _ in range(300)]
    for text in texts:
        value = {text: [text, {"a": text}], "n": [1, 1.0, 1e-05, 1e20, True, None, [], {}]}
        assert repr(load(dump(value))) == repr(load(dump(value, flow=True))) == repr(value)
        assert load(dump(text)) == load(dump(text, flow=True)) == text
        assert yaml.safe_load(dump(value)) == value


def test_json_is_yaml() -> None:
    value = {"😀": ["𝄞", "é", "\x7f", "\u2028", 'a"b\\c/', "caf\udce9", 1e-05, 10**20, None, True]}
    assert load(json.dumps(value)) == value and load(dump(value, only_ascii=True)) == value
    assert load(json.dumps(value, ensure_ascii=False).replace("\udce9", "\\udce9").replace("\x7f", "\\x7f")) == value


def test_what_is_written_stays_as_it_was() -> None:
    """A run folder's name holds a digest of this text."""
    value = {
        "kind": "vae",
        "rate": 1e-05,
        "path": "a b/c-1.zip",
        "on": True,
        "none": None,
        "widths": [8, 16],
        "empty": [],
        "odd": "no",
        "o": "010",
    }
    assert dump(value) == yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


VALID = """\
question: &q Does a tenth help?
base: {dataset: digits, model: {kind: vae, steps: 30, learning_rate: 1e-3}, gens: 010, samples: 630}
arms:
  none: {regime: replace}
  0.1: &tenth {regime: {kind: retain, real_fraction: 0.1, pool: resample}}
  again: {<<: *tenth, samples: 300, model.beta: 2}
  all: {regime: accumulate}
axes: {model.latent: [4, 8]}
seeds: [0, 1]
nulls: true
reference: none, latent 4
"""
SNIPPETS = [
    *(
        "null",
        "[]",
        "{}",
        "digits",
        "[1, [2, {a: b}]]",
        "{kind: [1]}",
        "{kind: {}}",
        "true",
        "-1",
        "1e400",
        ".nan",
        "0x10",
        "'",
        '"',
        "- a",
        "&a",
        "*tenth",
    ),
    *(
        "? ",
        ": ",
        "<<: *tenth",
        "!!str",
        "!x",
        "---\n",
        "...\n",
        "\t",
        "\n",
        "\n\n  ",
        ",",
        "[",
        "]",
        "{",
        "}",
        "#",
        "|",
        ">",
        "%YAML 1.1\n",
        "\x00",
        "\ud800",
    ),
    *(
        "a.b.c: 1",
        ".: 1",
        "model..steps: [1]",
        "axes: {seed: [1]}",
        "regime.pool: fresh",
        "kind: gmm",
        "9" * 50,
        "seeds: 10000000000",
        "x" * 200,
        "\ufeff",
        "١",
    ),
]


def test_no_text_makes_an_unexpected_error(tmp_path: Path) -> None:
    """A valid file, and the same with parts left out, doubled, exchanged and put in: understood, or refused in one line."""
    chance, file, understood = random.Random(0), tmp_path / "grid.yaml", 0
    for turn in range(400):
        words = re.findall(r"[\w.]+|\W", VALID)
        for _ in range(0 if not turn else chance.randint(1, 3)):
            place = chance.randrange(len(words))
            words[place] = chance.choice([*SNIPPETS, "", words[place] * 2, *chance.choices(words, k=20)])
        text = "".join(words)
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            assert list(ablation_from({"file": file}, (), ()).studies())
            understood += 1
        except SettingsProblem as problem:
            assert "\n" not in str(problem) and len(str(problem)) < 600, problem
    assert 10 < understood < 390


def test_no_assignment_makes_an_unexpected_error() -> None:
    chance = random.Random(1)
    paths = [
        "gens",
        "samples",
        "model",
        "model.steps",
        "model.kind",
        "dataset",
        "dataset.path",
        "regime",
        "judge",
        "judge.extractors",
        "judge.metrics",
        "x",
    ]
    understood = 0
    for _ in range(400):
        value = "".join(chance.choice([*SNIPPETS, *["1", "vae", "[pixels]", "{kind: gmm}"] * 5]) for _ in range(chance.randint(1, 2)))
        try:
            study_from({}, [f"{chance.choice(paths)}={value}"])
            understood += 1
        except SettingsProblem as problem:
            assert "\n" not in str(problem) and len(str(problem)) < 600, problem
    assert 10 < understood < 390

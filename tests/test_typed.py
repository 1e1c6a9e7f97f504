"""The command that was typed, in the record of a session and on the page."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from imgcollapse import store
from imgcollapse.cli.main import main
from imgcollapse.machine import typed
from imgcollapse.reports.findings import read
from imgcollapse.reports.reproduce import typed as shown

TOY = ["--dataset", "grid25", "--set", "dataset.size=500", "--model", "gaussian", "--gens", "1", "--set", "judge.extractors=[]"]


def test_the_words_are_as_a_shell_reads_them() -> None:
    assert typed.in_words(["run", "--out", "my run", "--set", "model.k=3"]) == "imgcollapse run --out 'my run' --set model.k=3"
    assert typed.command() is None
    with typed.noted("a"), typed.noted("b"):
        assert typed.command() == "b"
    assert typed.command() is None


@pytest.mark.parametrize(
    "words",
    [
        ["--engine-option", "api_key=hunter22"],
        ["--engine-option", "API-KEY=hunter22"],
        ["--set", "model.fit=train --token hunter22 {data}"],
        ["--set", "model.fit=train --hf_token=hunter22"],
        ["--set", 'model.fit={"password": "hunter22"}'],
        ["--dataset", "folder:https://me:hunter22@host/x"],
        ["--note", "hunter22"],
    ],
)
def test_what_may_be_secret_is_hidden(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "hunter22" if words[0] == "--note" else "another")
    said = typed.in_words(["run", *words, "--gens", "3"])
    assert "hunter22" not in said and typed.HIDDEN in said and said.endswith(" --gens 3")


@pytest.mark.parametrize("words", [["--set", "keep.models=last"], ["--axis", "model.widths=[8,16],[16,32]"], ["--set", "seed=3"]])
def test_nothing_else_is_hidden(words: list[str]) -> None:
    assert typed.HIDDEN not in typed.in_words(words)


def test_every_session_has_its_command_and_the_page_shows_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for more in ([], [], ["--gens", "2"]):
        done = CliRunner().invoke(main, ["run", *TOY, "--out", "here", *more])
        assert done.exit_code == 0 and "last digits" not in done.output, "another command is no other machine"
    words = [one["command"] for one in store.sessions(tmp_path / "here")]
    assert words == [typed.in_words(["run", *TOY, "--out", "here"]), typed.in_words(["run", *TOY, "--out", "here", "--gens", "2"])]
    assert shown(read([tmp_path / "here"])) == "\n".join(words)

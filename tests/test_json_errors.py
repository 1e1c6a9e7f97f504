"""With --json an error is an object on stdout as well, and stdout is one JSON text whatever happens."""

import json
from pathlib import Path

import pytest
from terminal import call


@pytest.mark.parametrize(
    ("typed", "kind", "code", "message"),
    [
        ("run --model dpm --json", "SettingsProblem", 2, "model: 'dpm' is unknown; did you mean 'ddpm'? "),
        ("run --dataset folder:nowhere --json", "DataProblem", 3, "nowhere: "),
        ("run --json --resume", "UsageError", 2, "No such option '--resume'. Running the same command again "),
        ("status nowhere --json", "SettingsProblem", 2, "nowhere: holds no ablation "),
    ],
)
def test_an_error_is_told_to_programs_too(typed: str, kind: str, code: int, message: str) -> None:
    result = call(*typed.split())
    error = json.loads(result.stdout)["error"]
    assert result.exit_code == code and set(error) == {"kind", "message", "exit_code"}
    assert (error["kind"], error["exit_code"]) == (kind, code) and error["message"].startswith(message), error
    assert error["message"] in result.stderr, "the line for people stays"
    plain = call(*typed.replace("--json", "").split())
    assert plain.stdout == "" and plain.exit_code == code


def test_where_a_result_was_printed_it_is_the_only_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two sets of samples one is damaged: what the other gave stands there, and the exit code tells the rest."""
    from imgcollapse.cli import status
    from imgcollapse.errors import DataProblem
    from imgcollapse.machine import streams

    def half(folder: Path, as_json: bool) -> None:
        streams.out_json({"there": 1})
        raise DataProblem("the other: is damaged; make it again")

    monkeypatch.setattr(status, "status", half)
    result = call("status", "here", "--json")
    assert json.loads(result.stdout) == {"there": 1} and result.exit_code == 3
    assert "is damaged" in result.stderr
    assert json.loads(call("status", "nowhere2", "--json").stdout) == {"there": 1}, "a further command begins anew"

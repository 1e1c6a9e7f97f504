"""What is said of options that a command does not have, and of shares that are written as percentages."""

import pytest
from terminal import call


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("run --resume", "No such option '--resume'. Running the same command again goes on from what is finished."),
        ("run --seeds 3", "No such option '--seeds'. `imgcollapse ablate` has it. Did you mean '--seed'?"),
        ("ablate --gen 3", "No such option '--gen'. `imgcollapse card` and `imgcollapse export` have it. Did you mean '--gens'?"),
        ("run --generations 3", "No such option '--generations'. Did you mean '--gens'?"),
        ("run --Dataset mnist", "No such option '--Dataset'. Did you mean '--dataset'?"),
        ("status --resume x", "No such option '--resume'."),
        ("run --nothing-like-it", "No such option '--nothing-like-it'."),
    ],
)
def test_an_unknown_option_is_told_with_its_cure(typed: str, told: str) -> None:
    result = call(*typed.split())
    assert result.exit_code == 2 and result.stderr.splitlines()[-1] == f"Error: {told}"


@pytest.mark.parametrize(
    "typed", ["run --real-fraction 10%", "run --real-fraction 10", "ablate --real-fraction 10", "ablate --real-fraction 10%"]
)
def test_a_percentage_is_told_as_a_share(typed: str) -> None:
    result = call(*typed.split())
    assert result.exit_code == 2 and result.stderr.count("\n") == 1 and result.stderr.endswith("; did you mean 0.1?\n")


def test_what_is_no_percentage_is_not_guessed_at() -> None:
    for value in ("-0.1", "101", "ten", "1e9", ".inf", ".nan", "-10%"):
        said = call("run", f"--real-fraction={value}").stderr
        assert said.startswith("imgcollapse: ") and "did you mean" not in said, (value, said)

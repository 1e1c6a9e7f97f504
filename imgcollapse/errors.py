"""What can go wrong for a user, and the exit code that says so. Every message names the place, the value and the cure."""


class Problem(ValueError):
    """An error with one clear line for the user."""

    exit_code = 1


class SettingsProblem(Problem):
    """A setting, flag or configuration file that cannot be used."""

    exit_code = 2


class DataProblem(Problem):
    """A data set that is missing, cut or not what it claims to be."""

    exit_code = 3


class WeightsProblem(DataProblem):
    """Weights of an extractor that are not there; others can go on without it."""


class InUseProblem(Problem):
    """A run folder that another process is writing."""

    exit_code = 4


class OtherStudyProblem(Problem):
    """A run folder that holds another study; it is never overwritten."""

    exit_code = 5


class DivergedProblem(Problem):
    """A network whose loss stopped being a finite number."""

    exit_code = 6


def shown(value: object, *, quoted: bool = True) -> str:
    """A value in a message, at most 80 characters of it, as Python writes it; `quoted=False`: text as it is, if all of it can be seen."""
    text = value if isinstance(value, str) and not quoted and value.isprintable() else repr(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text):,} characters)"

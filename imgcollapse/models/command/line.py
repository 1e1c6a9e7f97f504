"""Command lines of the user's: text to the arguments of a program, without a shell, and what they have to name."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from imgcollapse.errors import brief

PATHS = ("training_set", "model", "previous", "samples")
NUMBERS = ("n", "seed", "classes")
FIT, SAMPLE = ("training_set", "model"), ("model", "samples", "n", "seed")  # without these a line cannot do its work
OF_FIT, OF_SAMPLE = (*FIT, "previous", "seed", "classes"), (*SAMPLE, "classes")
PLACEHOLDER = re.compile(r"(?<!\$)\{([a-z_]+)\}")  # `${name}` is a shell's
SHELLS = ("sh", "bash", "dash", "zsh", "ksh")


def checked(line: str, needed: Iterable[str], known: tuple[str, ...]) -> str:
    """The same line. Raises ValueError where it is none, lacks a placeholder that is needed, or has one that is not known.

    And where a shell would read a path in the middle of its script, which a space or a quote in the path would take apart.
    """
    words = split(line)
    if not words:
        raise ValueError("is empty; write a command line, for example `python train.py {training_set} {model}`")
    used = {name for word in words for name in PLACEHOLDER.findall(word)}
    for name in sorted(used - set(known)):
        raise ValueError(f"{{{name}}} stands for nothing here; there are: {', '.join(f'{{{one}}}' for one in known)}")
    for name in needed:
        if name not in used:
            raise ValueError(f"{brief(line)} has no {{{name}}}; put it where the program takes that")
    script = _script(words)
    for name in PLACEHOLDER.findall(script):
        if name in PATHS:
            cure = f"hand it over as an argument: sh -c '... \"$1\" ...' sh {{{name}}}"
            raise ValueError(f"{{{name}}} stands inside a shell's script, which a space in the path would take apart; {cure}")
    return line


def split(line: str) -> list[str]:
    """The words, as a shell would part them: quotes hold together, and nothing else is done. Raises ValueError."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise ValueError(f"{brief(line)} cannot be taken apart ({str(error).lower()}); close every quote") from None


def filled(line: str, values: Mapping[str, object]) -> list[str]:
    """The arguments, with these values in place of placeholders; each stays one argument, whatever is in a value."""
    return [PLACEHOLDER.sub(lambda name: str(values[name[1]]), word) for word in split(line)]


def files_in(line: str, folder: Path) -> list[str]:
    """The words that name a file, seen from that folder; of the program itself only where it is a file of the user's own, such as `./x`."""
    program, *words = split(line)
    own = [program] if os.path.dirname(program) and not os.path.isabs(program) else []
    return [word for word in (*own, *words) if not PLACEHOLDER.search(word) and (folder / word).is_file()]


def _script(words: list[str]) -> str:
    """What a shell is to execute, where the program is a shell that is given it in a word; else nothing."""
    if os.path.basename(words[0]) not in SHELLS:
        return ""
    given = (number for number, word in enumerate(words) if number and re.fullmatch(r"-[a-z]*c", word))
    return next((words[number + 1] for number in given if number + 1 < len(words)), "")

"""Ablations and runs for the tests of pages: quick to make, with all that a page can show."""

from pathlib import Path
from typing import Any

import yaml
from terminal import done

JUDGE = {"extractors": ["classifier"]}  # the one that is shipped for digits
HOSTILE = "</script><script>window.ran=1</script><img src=x onerror='window.ran=2'>\"'`${window.ran=3}` =1+1|$x$"


def ablation(folder: Path, **more: Any) -> Path:
    """Three arms of a mixture on digits, three generations, two seeds, with null models; classes are known."""
    values = {
        "question": "How much is lost?",
        "base": {"dataset": {"kind": "digits", "subset": 200}, "model": {"kind": "gmm", "components": 1}, "gens": 3, "judge": JUDGE},
        "arms": {
            "none": {},
            "half": {"regime": {"kind": "retain", "real_fraction": 0.5}},
            "everything kept": {"regime": "accumulate"},
        },
        "seeds": 2,
        **more,
    }
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    done("ablate", file, "--out", folder / "out", "--jobs", 1)
    return folder / "out"


def run(folder: Path, *arguments: str) -> Path:
    """A run from the command line."""
    done("run", "--out", folder, *arguments)
    return folder

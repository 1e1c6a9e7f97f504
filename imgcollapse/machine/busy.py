"""Asked before torch is imported: do other processes keep this machine busy?

The threads of a matrix product wait for each other by spinning. That is the fastest way on a quiet machine, and ruinous on a busy one,
where the thread that is waited for may not be running: a training step that takes 70 ms on two quiet cores took 580 ms beside one busy
process, and 130 ms when threads wait asleep. Which way they wait changes no result.
"""

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")
BUSY = 0.3  # cores


def cores_in_use(seconds: float = 0.1) -> float:
    """How many cores are busy while this process sleeps; 0 where the system does not say (only Linux does)."""
    first = _ticks()
    time.sleep(seconds)
    second = _ticks()
    whole, idle = second[0] - first[0], second[1] - first[1]
    return (os.cpu_count() or 1) * (whole - idle) / whole if whole > 0 else 0.0


def wait_asleep_if_busy() -> None:
    """Sets OpenMP's waiting policy for this process, unless the user has chosen one. Has no effect once torch is imported."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS"} & set(os.environ) and cores_in_use() > BUSY:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def _ticks() -> tuple[int, int]:
    """All and idle clock ticks since the start of the system, over all cores."""
    try:
        numbers = [int(word) for word in STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
        return sum(numbers), numbers[3] + numbers[4]
    except (OSError, ValueError, IndexError):
        return 0, 0

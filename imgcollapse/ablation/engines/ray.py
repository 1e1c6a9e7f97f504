"""Ray: a task a run, on a cluster that is there already, or on this machine."""

import logging
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from imgcollapse.ablation import worker
from imgcollapse.ablation.engines.common import LOG, execute, left_undone, read_options
from imgcollapse.ablation.engines.configuration import EngineConfiguration
from imgcollapse.errors import SettingsProblem
from imgcollapse.settings import Settings

GRACE = 60  # seconds in which stopped runs may end cleanly


class RayOptions(Settings):
    """Which cluster, and what a run needs there."""

    address: str | None = Field(None, description="address of a cluster: auto, or HOST:6379; none: RAY_ADDRESS, else this machine")
    gpus: NonNegativeFloat = Field(0, description="GPUs per run: 0 hides them, 0.5 puts two runs on one")
    retries: NonNegativeInt = Field(3, description="how often a run is resumed after its process or node was lost")


def ray(runs: Sequence[Path], configuration: EngineConfiguration, each_second: Callable[[], None]) -> None:
    """Ray tasks, one per run, `--jobs` at once; all files lie on a file system that the nodes share; a lost task goes on where it was."""
    engine = _ray()
    options = read_options(RayOptions, configuration)
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    _knock(address)
    if not runs:
        return
    before = {run: worker.read_failure(run) for run in runs}
    ours = not engine.is_initialized()
    if ours:
        _connect(engine, address, options, configuration)

    task = engine.remote(
        num_cpus=configuration.threads,
        num_gpus=options.gpus,
        max_retries=options.retries,
        max_calls=1,  # a process a run: the next one starts with nothing left over
        runtime_env={"env_vars": configuration.environment() | ({} if options.gpus else {"CUDA_VISIBLE_DEVICES": ""})},
    )(execute)
    waiting, going = deque(runs), dict[Any, Path]()
    try:
        while waiting or going:
            while waiting and len(going) < configuration.jobs:
                run = waiting.popleft()
                going[task.remote(run.absolute())] = run
            for done in engine.wait(list(going), timeout=1)[0]:
                _note_end(engine, going.pop(done), done, before)
            each_second()
    except BaseException:
        for one in going:
            engine.cancel(one)  # raises KeyboardInterrupt in the task
        if going:
            engine.wait(list(going), num_returns=len(going), timeout=GRACE)
        raise
    finally:
        if ours:
            engine.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise SettingsProblem("--engine ray: ray is not installed; run: pip install ray") from None
    return ray


def _knock(address: str) -> None:
    """Raises SettingsProblem where nobody listens at HOST:PORT: Ray itself would try for ten minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: Exception) -> SettingsProblem:
    reason = str(error).strip().splitlines()[0]
    return SettingsProblem(f"--engine ray: no cluster at '{address}' ({reason}); give another --engine-option address=...")


def _connect(engine: Any, address: str, options: RayOptions, configuration: EngineConfiguration) -> None:
    """Joins the cluster, or starts one here. Raises SettingsProblem where there is none, or where a run would wait for ever."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    own = {"num_cpus": configuration.jobs * configuration.threads, "include_dashboard": False} if address == "local" else {}
    stop = signal.getsignal(signal.SIGTERM)
    try:
        engine.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, ValueError, RuntimeError) as error:
        raise _no_cluster(address, error) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, stop)  # Ray puts its own in the place of ours, which ends the runs cleanly
    there = engine.cluster_resources().get("GPU", 0)
    if own and options.gpus > there:
        engine.shutdown()
        raise SettingsProblem(f"--engine-option gpus: a run wants {options.gpus:g}, this machine has {there:g}; take fewer")


def _note_end(engine: Any, run: Path, done: Any, before: dict[Path, Any]) -> None:
    """Leaves word of a run whose process was lost for good."""
    try:
        engine.get(done)
        lost = "its process ended"
        kind = "RayTask"
    except engine.exceptions.RayError as error:
        kind, lost = type(error).__name__, str(error).strip().splitlines()[0]
    if left_undone(run, before[run]):
        cure = f"run the same command again to go on; see {run / LOG}"
        worker.record_failure(run, kind, f"Ray lost the run ({lost}); {cure}", 1)

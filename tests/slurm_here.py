"""A Slurm of one node that the tests start and stop themselves: as root, without systemd, cgroups or accounting.

Needs munged, slurmctld and slurmd (Debian: slurm-wlm and munge). Two partitions: `main`, and `urgent`, whose jobs take the place of main's.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

CPUS = 4  # more than the machine may have: the jobs are small
GRACE = 15  # seconds in which a job that loses its place may end
CONF = """
ClusterName=imgcollapse
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket,cred_expire=5
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
JobRequeue=1
KillWait=20
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime={grace}
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10
"""


def missing() -> list[str]:
    """What this machine lacks."""
    programs = [name for name in ("munged", "slurmctld", "slurmd", "sbatch", "srun") if shutil.which(name, path=_path()) is None]
    return programs + (["the rights of root"] if os.geteuid() else [])


@contextmanager
def slurm() -> Iterator[Path]:
    """Slurm is up inside the block, and SLURM_CONF names it; afterwards nothing of it is left. Gives the folder that holds its logs."""
    place = Path(tempfile.mkdtemp(prefix="slurm-"))
    place.chmod(0o755)  # munged wants its socket to be within everybody's reach
    key = place / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    for name in ("state", "spool"):
        (place / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    conf = CONF.format(host=host, place=place, controller=_free_port(), daemon=_free_port(), cpus=CPUS, grace=GRACE)
    (place / "slurm.conf").write_text(conf)
    version = subprocess.run(["slurmd", "-V"], capture_output=True, text=True, check=True, env={**os.environ, "PATH": _path()}).stdout
    years = re.search(r"(\d+)\.\d+", version)
    plugin = "disabled" if years and int(years[1]) >= 24 else "cgroup/v1"  # before 24 it must name one, which is then not used
    (place / "cgroup.conf").write_text(f"CgroupPlugin={plugin}\n")
    before, os.environ["SLURM_CONF"] = os.environ.get("SLURM_CONF"), str(place / "slurm.conf")
    try:
        with ExitStack() as running:
            for command in (
                ["munged", "--foreground", *(f"--{name}-file={place}/munge.{name}" for name in ("key", "pid", "log", "seed"))],
                ["slurmctld", "-D"],
                ["slurmd", "-D", "-N", host],
            ):
                extra = [f"--socket={place}/munge.socket"] if command[0] == "munged" else []
                running.enter_context(_daemon([*command, *extra], place))
                time.sleep(1)
            wait(lambda: "idle" in ask("sinfo", "--noheader", "--format=%T"), "the node is not up", 60)
            try:
                yield place
            finally:
                ask("scancel", "--user=root")
                wait(lambda: not ask("squeue", "--noheader"), "jobs do not end", 60)
    finally:
        try:
            wait(lambda: not _left(place), "something of Slurm is left running", 30)
        finally:
            for process, words in _left(place).items():
                print("killed:", words)
                os.kill(process, signal.SIGKILL)
            os.environ.pop("SLURM_CONF")
            if before is not None:
                os.environ["SLURM_CONF"] = before
            shutil.rmtree(place)


def ask(*command: str) -> str:
    """What a command of Slurm answers."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def wait(until: Callable[[], bool], what: str, seconds: float) -> None:
    """Fails with `what` if it does not come true."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, what
        time.sleep(0.5)


@contextmanager
def _daemon(command: list[str], place: Path) -> Iterator[None]:
    with (place / f"{command[0]}.out").open("w") as out:
        process = subprocess.Popen(  # in a session of its own: Ctrl-C is for the tests alone
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "PATH": _path()}, start_new_session=True
        )
    try:
        yield
        assert process.poll() is None, f"{command[0]} has died:\n{(place / (command[0] + '.out')).read_text()[-2000:]}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _left(place: Path) -> dict[int, str]:
    """Processes that were started with this Slurm in their command line or environment, ourselves excepted."""
    left = dict[int, str]()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if int(folder.name) != os.getpid() and str(place).encode() in words + environment:
            left[int(folder.name)] = words.replace(bytes(1), b" ").decode(errors="replace")
    return left


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

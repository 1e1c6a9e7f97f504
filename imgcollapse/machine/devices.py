"""What the machine offers and where things lie on it: all that a run needs and that must not decide what it finds.

Ambient (a context variable), so that a model's `fit(images, seed)` does not have to carry it: `with use(Machine(device="cuda")): ...`.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from imgcollapse.errors import SettingsProblem
from imgcollapse.files import expanded
from imgcollapse.heavy import torch

PRECISIONS = ("auto", "float32", "bfloat16")


def default_data_dir() -> Path:
    """`IMGCOLLAPSE_DATA`, or `imgcollapse` in the user's cache folder; of a user without a home, a folder for temporary files.

    Raises SettingsProblem where that is somebody else's.
    """
    named = os.environ.get("IMGCOLLAPSE_DATA")
    if not named and is_homeless():
        place = Path(tempfile.gettempdir()) / f"imgcollapse-{os.getuid()}"
        if place.exists() and place.stat().st_uid != os.getuid():
            raise SettingsProblem(f"{place}: belongs to somebody else; name a data folder with --data-dir or IMGCOLLAPSE_DATA")
        return place
    return expanded(named or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "imgcollapse")


def is_homeless() -> bool:
    """Whether the user has no folder for what is kept from run to run, as in containers that know no name for the user's number."""
    try:
        return not os.environ.get("XDG_CACHE_HOME") and Path("~").expanduser() == Path("~")
    except RuntimeError:
        return True


@dataclass(frozen=True)
class Machine:
    """The hardware, folders and files of this process.

    device:    `auto`, `cpu`, `cuda`, `cuda:1`, `mps`
    precision: `auto`, `float32` or `bfloat16`, of the networks' matrix work
    data_dir:  where data sets, classifiers and published weights are kept
    weights:   files to use instead of published weights, by the kind of the extractor
    folder:    in which programs of the user's are started: what their command lines name lies there
    checkpoint_every: minutes between checkpoints of a generation that is being made; 0: there are none
    """

    device: str = "auto"
    precision: str = "auto"
    data_dir: Path = field(default_factory=default_data_dir)
    weights: Mapping[str, Path] = field(default_factory=dict)
    folder: Path = Path()
    checkpoint_every: float = 10.0

    def torch_device(self) -> "torch.device":
        """The device itself; where `accelerate launch` started several processes, each one's own GPU.

        Raises SettingsProblem for one that this machine does not have.
        """
        if self.device == "auto" and not torch.cuda.is_available():
            return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
        try:
            device = torch.device("cuda" if self.device == "auto" else self.device)
        except RuntimeError:
            raise SettingsProblem(f"--device: '{self.device}' is not a device; use auto, cpu, cuda, cuda:N or mps") from None
        there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not there.get(device.type, False):
            raise SettingsProblem(f"--device: this machine has no '{self.device}' that torch can use; use --device cpu")
        if device.type != "cuda" and device.index:
            raise SettingsProblem(f"--device: '{self.device}': there is but one {device.type}; use --device {device.type}")
        if device.type == "cuda" and int(os.environ.get("LOCAL_WORLD_SIZE") or 1) > 1:
            return _own_gpu(device)
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise SettingsProblem(f"--device: '{self.device}' is not one of this machine's {torch.cuda.device_count()} GPUs")
        return device

    def mixed_precision(self) -> str:
        """Accelerate's word for the precision of matrix work: `bf16` where the processor computes it in hardware, else `no`."""
        if self.precision not in PRECISIONS:
            raise SettingsProblem(f"--precision: '{self.precision}' is none of {', '.join(PRECISIONS)}")
        if self.precision == "auto":
            return "bf16" if has_bfloat16(self.torch_device()) else "no"
        return "bf16" if self.precision == "bfloat16" else "no"

    def at_once(self) -> int:
        """How many blocks of pictures go through a network at once: a GPU is not filled by one, a processor's cache is."""
        return 8 if self.torch_device().type == "cuda" else 1

    def has_room_beside(self) -> bool:
        """Whether a second process may work beside this one without slowing it much: this one uses a GPU, or no more than half of four
        cores or more. Not where several processes of one run have shared the machine out."""
        return launched() == 1 and (self.torch_device().type != "cpu" or cores() >= max(4, 2 * torch.get_num_threads()))


def _own_gpu(named: "torch.device") -> "torch.device":
    """The GPU of this process, where several were launched together on this machine."""
    here, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if named.index is not None:
        raise SettingsProblem(f"--device: '{named}' is one GPU for {here} processes; use --device cuda, which gives each its own")
    if here > gpus:
        raise SettingsProblem(f"--device: {here} processes need a GPU each, this machine has {gpus}; launch {gpus}, or use --device cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK") or 0))


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launched() -> int:
    """How many processes of one run were launched together (`accelerate launch`, `torchrun`)."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def memory() -> int:
    """How many bytes of memory this process may use: the machine's, or less where a container or a limit says so."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else []
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):  # version 2 and version 1
        with suppress(OSError, ValueError):  # not there, or "max"
            limits.append(int(Path(file).read_text()))
    with suppress(ImportError):  # Windows has none
        import resource

        limits.append(resource.getrlimit(resource.RLIMIT_AS)[0])
    return min((limit for limit in limits if limit > 0), default=2**62)


def has_bfloat16(device: "torch.device") -> bool:
    """Whether bfloat16 products are done in hardware there (avx512_bf16 or AMX on a CPU, Ampere or later on a GPU)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu":
        return False
    known = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(bool(asked()) for asked in known if asked is not None)


_machine: ContextVar[Machine | None] = ContextVar("machine", default=None)


def current() -> Machine:
    """The machine in use; the automatic one where none was named."""
    return _machine.get() or Machine()


@contextmanager
def use(machine: Machine) -> Iterator[Machine]:
    """Makes `machine` the current one inside the block."""
    token = _machine.set(machine)
    try:
        yield machine
    finally:
        _machine.reset(token)

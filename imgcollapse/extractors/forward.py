"""How a network of others sees pictures: some at a time, in full float32, the same numbers whatever else is in the batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imgcollapse import progress
from imgcollapse.heavy import Tensor, torch
from imgcollapse.machine import devices


def forward(see: Callable[[Tensor], Tensor], pixels: Tensor, batch: int, what: str) -> Tensor:
    """float32 [N, D] on the CPU: `see` (uint8 [n, C, H, W] -> float [n, D], on the current device) of `batch` pictures at a time, or of as
    many such batches as the device takes at once.

    All batches are of one size, the last filled up with its last picture: for batches of another size a processor's library takes other
    paths, so that last digits would depend on how many pictures there are. TorchScript's optimiser is off: it rewrites a network after its
    first calls, so that they would depend on what was seen before.
    """
    here = devices.current()
    device, batch = here.torch_device(), batch * here.at_once()
    missing = -len(pixels) % batch
    blocks = torch.cat([pixels, pixels[-1:].expand(missing, -1, -1, -1)]).split(batch)
    unoptimised = torch.jit.optimized_execution(False)  # type: ignore[attr-defined]
    with torch.inference_mode(), unoptimised, _full_precision():
        found = torch.cat([see(blocks[at].to(device)).float().cpu() for at in progress.steps(len(blocks), what)])
        return found[: len(pixels)]


@contextmanager
def _full_precision() -> Iterator[None]:
    """TF32 off: by default convolutions on NVIDIA GPUs keep 10 of 23 bits, and features would depend on the machine."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before

"""What a gate did to one generation's samples, as its metrics see it: numbers, never pictures."""

from dataclasses import dataclass, replace

from imgcollapse.heavy import Tensor, torch


@dataclass(frozen=True, eq=False)
class Gated:
    """What one gate did to what a generation published. All on the CPU, but for features.

    offered:       bool [drawn], which of the published samples came to this gate: those that every gate before it let in
    let_in:        bool [drawn], which of these it lets in
    told:          float64 [n], how surely its detector takes published samples for synthetic, the greater the surer: of all that it has
                   not learned from, whether offered or not; None: it has no detector
    told_of_real:  float64 [M], the same of all held-out real pictures
    real_let_in:   bool [M], which of these it lets in
    psnr:          float64, in decibels: of those of the first N pictures in which it put a mark, each against itself without; None where it
                   changes no pictures, or what came to it is not kept
    before, after: float64 [N, D], features of the first N pictures as they came to it to be published, and as it published them
    """

    offered: Tensor
    let_in: Tensor
    told: Tensor | None = None
    told_of_real: Tensor | None = None
    real_let_in: Tensor | None = None
    psnr: Tensor | None = None
    before: Tensor | None = None
    after: Tensor | None = None

    @property
    def of_held_out(self) -> Tensor | None:
        """What it says of all held-out real pictures; None: nothing."""
        return self.told_of_real

    def compared(self, n: int) -> "Gated":
        """What is compared: all that it says, as a gate sees all that is published and not N pictures alone."""
        return self

    def between_real(self, samples: Tensor, held_out: Tensor) -> "Gated":
        """That of a real-vs-real value: held-out pictures in place of samples.

        samples, held_out: int64 [N], rows of the pictures that stand for these
        """
        assert self.told_of_real is not None and self.real_let_in is not None
        let_in, told = self.real_let_in[samples], self.told_of_real[samples]
        none_changed = replace(self, psnr=None, before=None, after=None)
        return replace(
            none_changed,
            offered=torch.ones_like(let_in),
            let_in=let_in,
            told=told,
            told_of_real=self.told_of_real[held_out],
            real_let_in=self.real_let_in[held_out],
        )

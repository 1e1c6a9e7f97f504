"""One step down a gradient, with all that the optimiser gathers on its way."""

from collections.abc import Mapping

from imgcollapse.heavy import Tensor, nn, torch
from imgcollapse.machine import processes
from imgcollapse.training.options import Training, rate


class Optimiser:
    """AdamW, or Muon and AdamW, on the weights of a network, at the rate of each step, and the average of the weights if one is asked for.

    in_place: whether what changes from step to step lies in tensors that stay where they are, as a captured step needs it
    """

    def __init__(self, net: "nn.Module", options: Training, device: "torch.device", in_place: bool = False) -> None:
        from accelerate import Accelerator

        from imgcollapse.training.muon import Muon

        self._options, self._weights = options, [weight for weight in net.parameters() if weight.requires_grad]
        self._rate: float | Tensor = torch.tensor(options.learning_rate, device=device) if in_place else options.learning_rate
        self._forget: float | Tensor = torch.zeros((), device=device) if in_place else 0.0
        matrices = [i for i, weight in enumerate(self._weights) if weight.dim() > 1][1:-1] if options.optimiser == "muon" else []
        self._muon = Muon(self._weights[i] for i in matrices)
        self._adams = [weight for i, weight in enumerate(self._weights) if i not in matrices]
        self._accelerator = Accelerator(device_placement=False, cpu=device.type == "cpu", mixed_precision="no")
        self._adam = self._accelerator.prepare_optimizer(
            torch.optim.AdamW(
                self._adams,
                lr=self._rate,
                weight_decay=options.weight_decay,
                betas=(0.9, 0.99),
                fused=device.type != "mps",
                capturable=in_place and device.type == "cuda",
            )
        )
        self._averaged = [weight.detach().clone() for weight in self._weights] if options.ema else []

    def begin(self, step: int) -> None:
        """Sets the rate of a step, and how much of their past the averages forget in it."""
        self._rate = _set(self._rate, self._options.learning_rate * rate(step, self._options))
        for group in self._adam.param_groups:
            group["lr"] = self._rate
        # the average forgets its start quickly: its memory grows with the steps done (as in TensorFlow's EMA)
        self._forget = _set(self._forget, 1 - min(self._options.ema, (1 + step) / (10 + step)))

    def step(self, value: Tensor) -> Tensor:
        """One step down the gradient of `value`, this process's part of the loss; the whole loss, float []."""
        whole = value.detach()
        self._accelerator.backward(value)
        # summed here, not by a wrapper of the network: all processes train a model, the first alone trains a classifier
        processes.add_up([whole, *(weight.grad for weight in self._weights if weight.grad is not None)])
        self._accelerator.clip_grad_norm_(self._weights, self._options.clip)
        self._muon.step(self._rate)
        self._adam.step()
        self._adam.zero_grad()
        self._average()
        return whole

    def _average(self) -> None:
        if not self._averaged:
            return
        with torch.no_grad():
            if isinstance(self._forget, torch.Tensor):
                apart = torch._foreach_sub(list[Tensor](self._weights), self._averaged)
                torch._foreach_mul_(apart, self._forget)
                torch._foreach_add_(self._averaged, apart)
            else:
                torch._foreach_lerp_(self._averaged, list[Tensor](self._weights), self._forget)

    def tensors(self) -> dict[str, Tensor]:
        """All that it has gathered: the averages of AdamW, the momentum of Muon, and the averages of the weights."""
        adam = {f"adam {i} {name}": value for i, state in self._adam.state_dict()["state"].items() for name, value in state.items()}
        muon = {f"muon {i}": value for i, value in enumerate(self._muon.moments)}
        return adam | muon | {f"average {i}": weight for i, weight in enumerate(self._averaged)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts into its place what `tensors` gave."""
        state = self._adam.state_dict()
        # each average lies in memory as its weight does (channels last, say): a fused step goes through both in the order of memory
        state["state"] = {
            i: {
                "step": tensors[f"adam {i} step"],
                **{name: torch.empty_like(weight).copy_(tensors[f"adam {i} {name}"]) for name in ("exp_avg", "exp_avg_sq")},
            }
            for i, weight in enumerate(self._adams)
        }
        self._adam.load_state_dict(state)
        with torch.no_grad():
            for name, place in (("muon", self._muon.moments), ("average", self._averaged)):
                for i, kept in enumerate(place):
                    kept.copy_(tensors[f"{name} {i}"])

    def use_average(self) -> None:
        """Puts the averaged weights, where there are any, into the network."""
        if self._averaged:
            with torch.no_grad():
                torch._foreach_copy_(list[Tensor](self._weights), self._averaged)


def _set(place: float | Tensor, value: float) -> float | Tensor:
    """The value; where it has a place, there."""
    return place.fill_(value) if isinstance(place, torch.Tensor) else value

"""A step of training as one launch on a GPU: of a small network, to launch hundreds of kernels one by one takes longer than they do."""

from collections.abc import Callable, Sequence

from imgcollapse.heavy import Generator, Tensor, torch

FIRST = 3  # steps that are done one kernel after the other, so that all that is allocated once is there


class Captured:
    """`once(rows)`, float [], captured as a CUDA graph after FIRST calls and replayed from then on: the same numbers in one launch.

    once:      does a step on rows, tensors [batch, ...] of the same shapes in every call; what else changes from step to step lies in
               tensors that stay where they are, and nothing in it waits for the GPU
    generator: where all its random numbers come from

    After `torch.cuda.graphs`; the value that a call gives is overwritten by the next.
    """

    def __init__(self, once: Callable[[Sequence[Tensor]], Tensor], generator: Generator) -> None:
        self._once, self._calls = once, 0
        self._graph = CudaGraph(generator) if generator.device.type == "cuda" else Graph()
        self._rows: list[Tensor] = []
        self._value = torch.zeros(())

    def __call__(self, rows: Sequence[Tensor]) -> Tensor:
        """A step on these rows."""
        self._calls += 1
        if self._calls <= FIRST:
            return self._graph.warm(lambda: self._once(rows))
        if self._calls == FIRST + 1:
            self._rows = [part.clone() for part in rows]
            self._value = self._graph.capture(lambda: self._once(self._rows))
        for place, part in zip(self._rows, rows, strict=True):
            place.copy_(part)
        self._graph.replay()
        return self._value


class Graph:
    """Work on tensors that stay where they are, to be done again: here, where there is no GPU, call by call."""

    def __init__(self) -> None:
        self._work: Callable[[], Tensor] = lambda: torch.zeros(())
        self._value = torch.zeros(())

    def warm(self, work: Callable[[], Tensor]) -> Tensor:
        """Does work of this kind before it is captured; its value."""
        return work()

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        """Takes down the work without doing it; the tensor in which its value will be."""
        self._work = work
        return self._value

    def replay(self) -> None:
        """Does it."""
        self._value.copy_(self._work())


class CudaGraph(Graph):
    """The same as one launch on the current GPU."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self._graph, self._stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        self._graph.register_generator_state(generator)

    def warm(self, work: Callable[[], Tensor]) -> Tensor:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):  # that of the capture: gradients are gathered on the stream that met them first
            value = work()
        torch.cuda.current_stream().wait_stream(self._stream)
        return value

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        with torch.cuda.graph(self._graph, stream=self._stream):
            return work()

    def replay(self) -> None:
        self._graph.replay()

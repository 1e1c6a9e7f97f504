"""Several processes of one run, here two or three of gloo on the processor: the same samples, one voice, and they end together."""

import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chains import scores_in
from standins import Line
from terminal import call
from torch import Tensor, nn

from imgcollapse import models, seeds
from imgcollapse.cli import main as cli
from imgcollapse.errors import DivergedProblem, SettingsProblem
from imgcollapse.images import ImageSet, ImageStream
from imgcollapse.machine import checkpoints, devices, processes
from imgcollapse.machine.devices import Machine
from imgcollapse.models.stream import ModelStream
from imgcollapse.models.vae import VAE
from imgcollapse.settings import build
from imgcollapse.store import run_folder
from imgcollapse.training import BatchRandomness, FixedSet, Training, fit_network

pytestmark = [pytest.mark.splits, pytest.mark.slow]  # starts processes that are launched together

SMALL = ["--gens=2", "--samples=300", "--device=cpu", "--precision=float32", "--set=judge.extractors=[]"]
VAE_RUN = [*SMALL, "--model=vae", "--set=model.steps=30", "--set=model.batch=17", "--set=model.width=8"]
DDPM_RUN = [*SMALL, "--model=ddpm", "--set=model.steps=20", "--set=model.batch=16", "--set=model.widths=[8,8]", "--set=model.timesteps=20"]
ENDLESS = [*VAE_RUN, "--set=model.steps=20000"]

# a server that has imported everything once forks the processes: fresh ones would take seconds each
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["imgcollapse.cli.run", "imgcollapse.models.vae_network"])


@dataclass
class Launched:
    """Processes launched together, as a launcher would launch them; the log of each is what it printed."""

    started: list[ForkServerProcess]
    logs: list[Path]

    def end(self) -> tuple[list[int | None], list[str]]:
        """The exit codes and what was printed, once all have ended by themselves."""
        until = time.monotonic() + 120
        for one in self.started:
            one.join(max(0.0, until - time.monotonic()))
        codes = [one.exitcode for one in self.started]
        for one in self.started:
            one.kill()
        return codes, [log.read_text() for log in self.logs]


def launch(job: Callable[..., None], *arguments: Any, size: int = 2) -> Launched:
    """Starts `job(*arguments)` in `size` processes that were launched together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    logs = [Path.cwd() / f"log-{port}-{rank}" for rank in range(size)]
    for log in logs:
        log.touch()
    data = os.environ["IMGCOLLAPSE_DATA"]
    started = [FRESH.Process(target=_inside, args=(rank, size, port, data, logs[rank], job, arguments)) for rank in range(size)]
    for one in started:
        one.start()
    return Launched(started, logs)


def _inside(rank: int, size: int, port: int, data: str, log: Path, job: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    if size > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ["IMGCOLLAPSE_DATA"] = data
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    job(*arguments)


def imgcollapse(*arguments: str) -> None:
    cli.main([*arguments], prog_name="imgcollapse")


def samples(run: Path, generation: int) -> np.ndarray[Any, Any]:
    with np.load(run / f"gen_{generation:03d}" / "samples.npz") as arrays:
        return arrays["pixels"]  # type: ignore[no-any-return]


def alike(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """The share of pixels that agree within one grey level."""
    return float((abs(one.astype(int) - other.astype(int)) <= 1).mean())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same VAE study by one and by two processes, judged by a classifier that the first trains alone; and DDPMs by two."""
    folder = tmp_path_factory.mktemp("runs")
    os.chdir(folder)
    judged = ["--set=judge.extractors=[{kind: classifier, steps: 20}]"]
    for size in (1, 2):
        codes, said = launch(imgcollapse, "run", *VAE_RUN, *judged, f"--out={folder}/vae{size}", size=size).end()
        assert codes == [0] * size, said
        assert said[1:] == [""] * (size - 1), "the first speaks, the others are silent"
        assert [line.split()[1] for line in timeless(said[0]) if line.startswith("generation ")] == ["0", "1"]
    for sampler in ("ddpm", "dpm++"):
        more = ["--gens=1", f"--set=model.sampling.sampler={sampler}", "--samples=1100"]
        codes, said = launch(imgcollapse, "run", *DDPM_RUN, *more, f"--out={folder}/{sampler}").end()
        assert codes == [0, 0], said
    return folder


def test_two_processes_draw_what_one_draws(runs: Path) -> None:
    """Sums are rounded in another order, no more: in a chain of two generations at least 999 pixels of 1,000 agree within 1 grey level."""
    for generation in (0, 1):
        assert alike(samples(runs / "vae1", generation), samples(runs / "vae2", generation)) > 0.999
    assert (scores_in(runs / "vae1") / "reference.json").read_bytes() == (scores_in(runs / "vae2") / "reference.json").read_bytes()


@pytest.mark.parametrize("name", ["vae2", "ddpm", "dpm++"])
def test_sampling_is_shared_and_equal_to_the_byte(runs: Path, name: str) -> None:
    """1,100 pictures of a DDPM are three blocks; the weights that two processes fitted draw the same ones in one process alone."""
    run = runs / name
    drawn = samples(run, 0)
    with devices.use(Machine(device="cpu", precision="float32")):
        alone = models.load(run / "gen_000/model").sample(len(drawn), seeds.derive(0, 0, "sample"))
    assert np.array_equal(alone.pixels.numpy(), drawn)


@pytest.mark.slow
def test_processes_correct_a_model_together_and_draw_from_it_together(tmp_path: Path) -> None:
    """600 pictures are two blocks; the copy learns from what both have drawn."""
    more = ["--gens=1", "--samples=600", "--set=model.sampling.steps=4", "--set=correction={kind: sims, steps: 4}"]
    for size in (1, 2):
        codes, said = launch(imgcollapse, "run", *DDPM_RUN, *more, f"--out={tmp_path}/{size}", size=size).end()
        assert codes == [0] * size, said
    drawn = samples(tmp_path / "2", 0)
    with devices.use(Machine(device="cpu", precision="float32")):
        alone = models.load(tmp_path / "2/gen_000/model").sample(len(drawn), seeds.derive(0, 0, "sample"))
    assert np.array_equal(alone.pixels.numpy(), drawn)
    assert alike(samples(tmp_path / "1", 0), drawn) > 0.99


def test_a_run_can_be_resumed_by_another_number_of_processes(runs: Path) -> None:
    before = samples(runs / "vae2", 1)
    (runs / "vae2/gen_001").rename(runs / "was_generation_1")
    judged = ["--set=judge.extractors=[{kind: classifier, steps: 20}]"]
    codes, said = launch(imgcollapse, "run", *VAE_RUN, *judged, f"--out={runs}/vae2", size=1).end()
    assert codes == [0], said
    assert "1 of 2 generations are there; going on from here" in said[0]
    assert alike(samples(runs / "vae2", 1), before) > 0.999


def pictures(n: int = 90) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    return ImageSet.of(torch.randint(256, (n, 1, 8, 8), generator=generator, dtype=torch.uint8), torch.arange(n) % 3)


def learn_and_draw(out: Path, kind: str, size: int) -> None:
    """Fits and samples a model; each process prints the numbers of the blocks that it drew itself."""
    options = {
        "ddpm": {"widths": (8, 8), "sampling": {"steps": 2, "guidance": 1.0}, "class_conditional": True, "condition_dropout": 0.3},
        "vae": {"width": 8, "sampling": {"draw": "sample"}},
    }[kind]
    shared, blocks = processes.put_together, []

    def spy(drawn: dict[int, Tensor]) -> Tensor:
        blocks.append(sorted(drawn))
        return shared(drawn)

    processes.put_together = spy  # type: ignore[assignment]
    sys.modules[f"imgcollapse.models.{kind}"].BLOCK = 8  # type: ignore[attr-defined]
    with devices.use(Machine(device="cpu", precision="float32")), processes.together() as first:
        if first:
            model: Any = build(models.MODELS[kind], {"steps": 12, "batch": 5, "kind": kind, **options})
            fitted = processes.fit(model, pictures(), 0)
            drawn = processes.sample(fitted, 30, 1)
            own = model.fit(pictures(), 7)
            assert processes.sample(own, 30, 1).digest() == own.sample(30, 1).digest(), "the others do not have this model"
            torch.save((drawn.pixels, drawn.labels), out / f"{kind}{size}")
    print(blocks[0])


@pytest.mark.parametrize("kind", ["ddpm", "vae"])
def test_three_processes_share_batches_of_five_and_blocks_of_eight(kind: str, tmp_path: Path) -> None:
    """Five pictures are shares of 2, 2 and 1, which weigh as many; 30 pictures are the blocks 0 to 3."""
    for size, expected in ((1, ["[0, 1, 2, 3]"]), (3, ["[0, 3]", "[1]", "[2]"])):
        codes, said = launch(learn_and_draw, tmp_path, kind, size, size=size).end()
        assert codes == [0] * size, said
        assert [one.strip() for one in said] == expected
    (pixels1, labels1), (pixels3, labels3) = (torch.load(tmp_path / f"{kind}{size}") for size in (1, 3))
    assert torch.equal(labels1, labels3)
    assert alike(pixels1.numpy(), pixels3.numpy()) > 0.999


def start_and_stream(out: Path, size: int) -> None:
    """A second model begins with the first one's weights, and a third learns from its stream; each process prints what it drew itself."""
    shared, blocks = processes.put_together, []

    def spy(drawn: dict[int, Tensor]) -> Tensor:
        blocks.append(sorted(drawn))
        return shared(drawn)

    processes.put_together = spy  # type: ignore[assignment]
    sys.modules["imgcollapse.models.vae"].BLOCK = 25  # type: ignore[attr-defined]
    with devices.use(Machine(device="cpu", precision="float32")), processes.together() as first:
        if first:
            # of 16 channels: in groups of one channel the normalisation takes a bias away, and its gradient is rounding alone
            options = {"steps": 10, "batch": 5, "width": 16, "learning_rate": 2e-3}
            model, mixed = build(VAE, {**options, "prior": "normal"}), build(VAE, {**options, "components": 1})
            teacher = model.fit(pictures(), 3)  # alone: the others know it by what they are sent
            began = processes.fit(model, pictures(), 0, teacher)
            streamed = processes.fit(model, ModelStream(teacher, (1, 8, 8), False, 0, None), 0)
            assert blocks == [[0, 1] if size == 1 else [0]], "50 pictures for 10 steps, drawn by all together"
            fitted = [began, streamed, model.fit(pictures(), 0, teacher)]
            fitted.append(processes.fit(mixed, ModelStream(teacher, (1, 8, 8), False, 0, None), 0))  # what the prior is fitted to, too
            torch.save([one.weights() for one in fitted], out / f"{size}")
    print(blocks[0])


def test_two_processes_start_from_the_same_weights_and_share_the_drawing_of_a_stream(tmp_path: Path) -> None:
    for size, expected in ((1, ["[0, 1]"]), (2, ["[0]", "[1]"])):
        codes, said = launch(start_and_stream, tmp_path, size, size=size).end()
        assert codes == [0] * size, said
        assert [one.strip() for one in said] == expected
    one, two = (torch.load(tmp_path / f"{size}") for size in (1, 2))
    for mine, ours in zip(one, two, strict=True):
        assert all(torch.allclose(mine[name], ours[name], atol=2e-3) for name in mine), "but for the rounding of sums"
    assert not all(torch.allclose(one[0][name], one[1][name], atol=2e-3) for name in one[0])


class Fitter:
    """Stands for a model: its fit is one call of `fit_network`, with noise on every row."""

    def __init__(self, batch: int) -> None:
        self.options, self.net = Training(steps=30, batch=batch, learning_rate=0.05, decay="constant", warmup=0.0), Line(3)

    def fit(self, images: ImageSet | ImageStream, seed: int, start: "Fitter | None" = None) -> "Fitter":
        def loss(net: nn.Module, rows: Sequence[Tensor], randomness: BatchRandomness) -> Tensor:
            seen.add(len(rows[0]))
            noise = randomness.randn(3) + randomness.rand(3) + randomness.randint(0, 9, 3) + randomness.stratified()[:, None]
            value: Tensor = (net(rows[0]) - rows[0] * noise).square().mean()
            return value

        x, seen = torch.linspace(-1, 1, 36).view(12, 3), set[int]()
        fit_network(self.net, loss, FixedSet((x,)), self.options, seed)
        print(*seen, *self.net.slope.tolist(), flush=True)
        return self

    def sample(self, n: int, seed: int) -> ImageSet:
        raise AssertionError


def fit_lines(batch: int) -> None:
    with devices.use(Machine(device="cpu", precision="float32")), processes.together() as first:
        if first:
            processes.fit(Fitter(batch), pictures(), 0)
            Fitter(batch).fit(pictures(), 0)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_the_gradient_is_that_of_the_whole_batch_also_where_shares_are_unequal_or_empty(batch: int) -> None:
    """The first process fits a second time, alone: it waits for nobody then, and finds the same."""
    codes, said = launch(fit_lines, batch, size=3).end()
    assert codes == [0, 0, 0], said
    slopes = [[[float(number) for number in line.split()] for line in one.splitlines()] for one in said]
    (first, alone), (second,), (third,) = slopes
    rows = [int(one.pop(0)) for one in (alone, first, second, third)]
    assert rows == [batch, *(len(range(batch)[rank::3]) or 1 for rank in range(3))], "each takes its share"
    assert first == second == third, "all processes have the same weights, to the bit"
    assert first == pytest.approx(alone, rel=1e-4) and min(first) > 0.01


class Stopped(Fitter):
    """The same, which may end before its time, and then prints nothing; else the steps that it took, and what it found."""

    def __init__(self, at: int | None) -> None:
        super().__init__(5)
        self.at = at

    def fit(self, images: ImageSet | ImageStream, seed: int, start: "Fitter | None" = None) -> "Stopped":
        def loss(net: nn.Module, rows: Sequence[Tensor], randomness: BatchRandomness) -> Tensor:
            steps.append(1)
            if len(steps) == self.at:
                raise DivergedProblem("stands for the end of the process, met by all")
            value: Tensor = (net(rows[0]) - rows[0] * randomness.randn(3)).square().mean()
            return value

        steps = list[int]()
        fit_network(self.net, loss, FixedSet((torch.linspace(-1, 1, 36).view(12, 3),)), self.options, seed)
        print(len(steps), *self.net.slope.tolist(), flush=True)
        return self


def stop_and_go_on(place: Path) -> None:
    def fit(at: int | None) -> None:
        with checkpoints.kept_in("fit", place, "this fit", place):
            processes.fit(Stopped(at), pictures(), 0)

    with devices.use(Machine(device="cpu", precision="float32", checkpoint_every=1e-9)), processes.together() as first:
        if first:
            with pytest.raises(DivergedProblem):
                fit(28)
            fit(None)
            processes.fit(Stopped(None), pictures(), 0)


def test_all_go_on_from_the_checkpoint_that_the_first_has_kept(tmp_path: Path) -> None:
    codes, said = launch(stop_and_go_on, tmp_path / "kept", size=2).end()
    assert codes == [0, 0], said
    (resumed, whole), others = ([line.split() for line in one.splitlines()] for one in said)
    assert (int(resumed.pop(0)), int(whole.pop(0))) == (5, 30), "25 of 30 steps were kept"
    assert resumed == whole == others[0][1:] == others[1][1:] and others[0][0] == "5"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["fit_0.safetensors"]


def test_draws_are_rows_of_the_same_whole_whatever_the_share() -> None:
    def draw(share: slice) -> list[Tensor]:
        randomness = BatchRandomness(11, share, seeds.torch_generator(5))
        return [randomness.randn(2, 3), randomness.rand(), randomness.randint(-4, 7, 2), randomness.stratified(), randomness.randn()]

    whole = draw(slice(None))
    assert [part.shape for part in whole] == [(11, 2, 3), (11,), (11, 2), (11,), (11,)]
    assert whole[2].min() >= -4 and whole[2].max() <= 6
    assert ((whole[3] * 11).floor() == torch.arange(11)).all(), "one place in each of eleven equal parts"
    for rank in range(4):
        share = slice(rank, None, 4)
        assert all(torch.equal(mine, all_of_it[share]) for mine, all_of_it in zip(draw(share), whole, strict=True))


def one_line(said: list[str]) -> str:
    """The only line that all processes together printed, but for what is to be done."""
    (line,) = [line for line in timeless("".join(said)) if ": vae on " not in line and " to learn from, " not in line]
    return line


def timeless(said: str) -> list[str]:
    """Its lines, without the time before them."""
    return [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", "", line) for line in said.splitlines()]


def test_a_network_that_diverges_ends_all_and_is_said_once() -> None:
    codes, said = launch(imgcollapse, "run", *VAE_RUN, "--set=model.learning_rate=1e30", "--out=here").end()
    assert codes == [6, 0]
    assert one_line(said).startswith("imgcollapse: vae: the loss became NaN or infinite by step 25 of 30; try a smaller learning rate ")


def diverge_then_fit() -> None:
    with devices.use(Machine(device="cpu", precision="float32")), processes.together() as first:
        if first:
            with pytest.raises(DivergedProblem):
                processes.fit(build(VAE, {"steps": 3, "learning_rate": 1e30, "width": 8}), pictures(), 0)
            Fitter(2).fit(pictures(), 0)
            processes.fit(Fitter(2), pictures(), 0)


def test_after_a_network_that_diverged_all_are_ready_for_the_next() -> None:
    codes, said = launch(diverge_then_fit).end()
    assert codes == [0, 0], said
    assert [one.count("\n") for one in said] == [2, 1], "the first has fitted alone in between"
    assert said[0].splitlines()[1] == said[1].strip()


def test_a_folder_in_use_is_said_once(tmp_path: Path) -> None:
    with run_folder.opened(tmp_path / "here", "x: 1"):
        (tmp_path / "here/study.yaml").unlink()
        codes, said = launch(imgcollapse, "run", *VAE_RUN, f"--out={tmp_path}/here").end()
    assert codes == [4, 0]
    assert one_line(said).endswith("here: another process is writing this run; wait for its end, or choose another --out")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--model", "gan"], 2, "imgcollapse: model: 'gan' is unknown; there are: "),
        (["--device", "gpu"], 2, "imgcollapse: --device: 'gpu' is not a device; use auto, "),
        (["--dataset=grid25", "--model=vae"], 3, "imgcollapse: model 'vae' learns pictures; for a world of points use "),
        (["--model=vae", "--dry-run", "--json"], 0, '{"run": "runs/digits-vae-replace-seed0-'),
    ],
)
def test_what_the_first_process_says_is_said_once(arguments: list[str], code: int, text: str) -> None:
    codes, said = launch(imgcollapse, "run", *arguments).end()
    assert codes == [code, 0]
    assert one_line(said).startswith(text)


def run_and_mark(mark: Path, rank_in_trouble: int, *arguments: str) -> None:
    """The command; leaves a mark for each process once it is in the middle of a fit. One process may run into trouble there."""
    rank = int(os.environ["RANK"])
    added, processes.GRACE = processes.add_up, 1

    def spy(tensors: Sequence[Tensor]) -> None:
        mark.with_suffix(f".{rank}").touch()
        if rank == rank_in_trouble:
            raise MemoryError("no room left")
        added(tensors)

    processes.add_up = spy
    imgcollapse(*arguments)


def in_the_middle(mark: Path, *arguments: str, trouble: int = -1) -> Launched:
    launched = launch(run_and_mark, mark, trouble, *arguments)
    until = time.monotonic() + 60
    for rank, one in enumerate(launched.started):  # where one is in trouble, the other may end before it has made its mark
        while not mark.with_suffix(f".{rank}").exists() and one.is_alive() and time.monotonic() < until:
            time.sleep(0.02)
    return launched


def send(launched: Launched, number: int, *ranks: int) -> tuple[list[int | None], list[str]]:
    for rank in ranks:
        os.kill(launched.started[rank].pid or 0, number)
    return launched.end()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_all_in_the_middle_of_a_fit_ends_all_cleanly(number: int, code: int, tmp_path: Path) -> None:
    """As a terminal and a launcher send it: to every process."""
    codes, said = send(in_the_middle(tmp_path / "mark", "run", *ENDLESS, "--out=here"), number, 1, 0)
    assert codes == [code, 0], said
    assert one_line(said).startswith("stopped; 0 of 2 generations are finished and kept in here.")
    assert not list(Path("here").glob("*.draft"))


def test_the_others_end_when_the_first_is_killed(tmp_path: Path) -> None:
    codes, said = send(in_the_middle(tmp_path / "mark", "run", *ENDLESS, "--out=here"), signal.SIGKILL, 0)
    assert codes == [-signal.SIGKILL, 0], said
    assert "imgcollapse: " not in said[1], "it has nothing to say of its own"


def test_the_first_ends_when_another_is_killed(tmp_path: Path) -> None:
    codes, said = send(in_the_middle(tmp_path / "mark", "run", *ENDLESS, "--out=here"), signal.SIGKILL, 1)
    assert codes == [1, -signal.SIGKILL], said
    line = "imgcollapse: processes: one of this run's processes ended before the others; see what it said, then run it again"
    assert one_line(said).startswith(line)


@pytest.mark.parametrize(("rank", "expected"), [(0, [8, 0]), (1, [1, 8])])
def test_trouble_in_one_process_ends_both_and_names_it(rank: int, expected: list[int], tmp_path: Path) -> None:
    codes, said = in_the_middle(tmp_path / "mark", "run", *ENDLESS, "--out=here", trouble=rank).end()
    assert codes == expected, said
    told = "imgcollapse: memory: no room left; close other programs, or take fewer --samples or --jobs, then run "
    assert timeless(said[rank])[-1].startswith(told)
    assert said[1].count("\n") == rank


@pytest.mark.parametrize("command", ["list", "doctor"])
def test_other_commands_need_nothing_when_launched(command: str) -> None:
    assert call(command, env={"WORLD_SIZE": "2", "RANK": "1"}).exit_code == 0


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Machine().torch_device() == Machine("cuda").torch_device() == torch.device("cuda")
    assert Machine("cuda:1").torch_device() == torch.device("cuda:1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Machine().torch_device() == Machine("cuda").torch_device() == torch.device("cuda:1")
    assert Machine("cpu").torch_device() == torch.device("cpu")
    with pytest.raises(
        SettingsProblem, match=r"^--device: 'cuda:1' is one GPU for 2 processes; use --device cuda, which gives each its own$"
    ):
        Machine("cuda:1").torch_device()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(
        SettingsProblem, match=r"^--device: 3 processes need a GPU each, this machine has 2; launch 2, or use --device cpu$"
    ):
        Machine().torch_device()


LAUNCHERS = {
    "accelerate": [*("accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1"), "--main_process_port=0"],
    "torchrun": ["torch.distributed.run", "--nproc_per_node=2", "--standalone"],
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_launchers_start_a_run_and_report_its_error_once(launcher: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", *LAUNCHERS[launcher], "-m", "imgcollapse", "run", *VAE_RUN]
    code, said = under_launcher([*command, "--out=here"])
    assert code == 0, said
    assert [line.split()[1] for line in timeless(said) if line.startswith("generation ")] == ["0", "1"]
    code, said = under_launcher([*command, "--out=there", "--set=model.learning_rate=1e30"])
    assert code == 1, said
    assert said.count("imgcollapse: vae: the loss became NaN or infinite") == 1
    assert re.findall(r"exitcode +: (-?\d+)", said) == ["6"], said


def under_launcher(command: list[str]) -> tuple[int, str]:
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"}) as launcher:
        try:
            _, said = launcher.communicate(timeout=300)
        finally:
            launcher.terminate()  # a launcher takes its processes with it, but not where it is killed
    return launcher.returncode, said

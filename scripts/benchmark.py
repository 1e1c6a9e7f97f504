"""Timings, each printed with what it was measured on. Nothing here is a test; run it on a quiet machine.

python scripts/benchmark.py digits       the main job, end to end, and what share of it is the network's own work
python scripts/benchmark.py reference    one generation our way and the usual way, in one process
python scripts/benchmark.py mnist        a VAE generation on MNIST: pictures per second (needs MNIST in the data folder)
python scripts/benchmark.py metrics      the metrics at N = 10,000 against prdc
python scripts/benchmark.py ablation     the digits retention ablation, shortened: two jobs of one thread against one job of two, or others
"""

import contextlib
import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from imgcollapse import torchvision_guard  # noqa: F401 (clean-fid and diffusers import torchvision)

import torch  # isort: skip
from imgcollapse import datasets, environment, machine, report, seeds, store  # isort: skip
from imgcollapse.images import World  # isort: skip
from imgcollapse.judge import Judge, Ruler  # isort: skip
from imgcollapse.models.ddpm import DDPM  # isort: skip
from imgcollapse.models.vae import VAE  # isort: skip
from imgcollapse.settings import build  # isort: skip
from imgcollapse.study import Study, run  # isort: skip


@click.group()
def main() -> None:
    """Prints timings of this machine."""
    about = environment.describe()
    click.echo(f"{about['device_name']}; {about['threads']} threads, {about['precision']}, torch {about['packages']['torch']}")


class Clock:
    """Adds up the seconds spent in some calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextlib.contextmanager
    def around(self, owner: Any, name: str) -> Iterator[None]:
        """Counts every outermost call of `owner.name` inside the block."""
        real, inside = getattr(owner, name), False

        def timed(*arguments: Any, **more: Any) -> Any:
            nonlocal inside
            if inside:
                return real(*arguments, **more)
            inside, began = True, time.perf_counter()
            try:
                return real(*arguments, **more)
            finally:
                self.seconds += time.perf_counter() - began
                inside = False

        setattr(owner, name, timed)
        try:
            yield
        finally:
            setattr(owner, name, real)


@main.command()
@click.option("--gens", default=10)
@click.option("--seed", default=0)
@click.option("--out", type=click.Path(path_type=Path), help="Keep the run folder here.")
def digits(gens: int, seed: int, out: Path | None) -> None:
    """The main job: a DDPM on digits; the classifier is trained anew, as on a fresh machine."""
    from accelerate import Accelerator
    from diffusers import UNet2DModel

    network = Clock()
    with tempfile.TemporaryDirectory() as folder, machine.use(machine.Machine(data_dir=Path(folder) / "data")):
        began = time.perf_counter()
        with network.around(UNet2DModel, "forward"), network.around(Accelerator, "backward"):
            run(build(Study, {"gens": gens, "seed": seed}), out or Path(folder) / "run")
        report.draw(out or Path(folder) / "run")
        whole = time.perf_counter() - began
        first = store.scores(out or Path(folder) / "run")[0]["extractors"]["classifier"]
    click.echo(f"{gens} generations: {whole:.0f} s in all, {whole / gens:.1f} s each (classifier and pictures included)")
    click.echo(f"network forward and backward: {network.seconds:.0f} s, {100 * network.seconds / whole:.0f} % of the run")
    click.echo(_quality("generation 0", first["metrics"], first["floor"]))


@main.command()
@click.option("--seed", default=0)
def reference(seed: int) -> None:
    """One DDPM generation on digits, twice: ours as it is by default; and the same network, data and steps the usual way.

    Ours computes in bfloat16 where the processor does so in hardware (the first line printed says which).
    The usual way: PNG files through a DataLoader, a plain float32 loop, DDPMPipeline with 1,000 ancestral steps,
    samples written to PNG and read back, features, clean-fid's Fréchet distance and prdc's precision and recall.
    """
    world = datasets.load(build(Study, {}).dataset, seed)
    with tempfile.TemporaryDirectory() as folder, machine.use(machine.Machine(data_dir=Path(folder) / "data")):
        ruler = Judge().resolved(world, len(world.train)).open(world)
        began = time.perf_counter()
        fitted = DDPM().fit(world.train, seeds.derive(seed, 0, "fit"))
        fit = time.perf_counter() - began
        drawn = fitted.sample(len(world.train), seeds.derive(seed, 0, "sample"))
        sample = time.perf_counter() - began - fit
        scores = ruler(drawn).scores["extractors"]["classifier"]
        ours = time.perf_counter() - began
        click.echo(f"ours:      {ours:6.1f} s (fit {fit:.1f}, sample {sample:.1f}, judge {ours - fit - sample:.2f})")
        click.echo(_quality("           ", scores["metrics"], scores["floor"]))
        usual = _usual(world, ruler, fitted, Path(folder), seed)
    click.echo(f"end to end: {usual / ours:.1f} times as fast as the usual way")


def _usual(world: World, ruler: Ruler, ours: DDPM, folder: Path, seed: int) -> float:
    import numpy as np
    from cleanfid.fid import frechet_distance
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
    from PIL import Image
    from prdc import compute_prdc
    from torch.utils.data import DataLoader, Dataset

    class Files(Dataset[torch.Tensor]):
        def __init__(self, place: Path) -> None:
            self.paths = sorted(place.glob("*.png"))

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> torch.Tensor:
            return torch.from_numpy(np.asarray(Image.open(self.paths[index])).copy())[None]

    def write(pixels: torch.Tensor, place: Path) -> Files:
        place.mkdir()
        for number, picture in enumerate(pixels):
            Image.fromarray(picture[0].numpy()).save(place / f"{number:05d}.png")
        return Files(place)

    began = time.perf_counter()
    files = write(world.train.pixels, folder / "real")
    config = dict(ours._net.config)
    torch.manual_seed(seed)
    net = UNet2DModel.from_config(config)
    scheduler = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, ours.steps)
    loader, step = DataLoader(files, ours.batch, shuffle=True, drop_last=True), 0
    while step < ours.steps:
        for pixels in loader:
            clean = pixels.float() / 127.5 - 1
            noise, t = torch.randn_like(clean), torch.randint(1000, (len(clean),))
            found = net(scheduler.add_noise(clean, noise, t), t).sample
            loss = torch.nn.functional.mse_loss(found, scheduler.get_velocity(clean, noise, t))
            loss.backward()
            optimiser.step()
            decay.step()
            optimiser.zero_grad()
            step += 1
            if step == ours.steps:
                break
    fit = time.perf_counter() - began
    pipeline = DDPMPipeline(net.eval(), scheduler)
    pipeline.set_progress_bar_config(disable=True)
    pictures = np.concatenate(
        [pipeline(batch_size=256, num_inference_steps=1000, output_type="np").images for _ in range(-(-len(files) // 256))]
    )
    pixels = torch.from_numpy((pictures[: len(files)] * 255).round().astype("uint8")).permute(0, 3, 1, 2)
    drawn = torch.stack(list(write(pixels, folder / "drawn")))  # type: ignore[call-overload]
    sample = time.perf_counter() - began - fit
    sight = ruler._sights[0]
    made = sight.extractor.features(drawn[: ruler.n]).numpy().astype("float64")
    real = sight.held_out.features.numpy()
    distance = frechet_distance(made.mean(0), np.cov(made, rowvar=False), real.mean(0), np.cov(real, rowvar=False))
    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(real, made, nearest_k=ruler.neighbours["k_precision"])
    took = time.perf_counter() - began
    click.echo(f"the usual: {took:6.1f} s (fit {fit:.1f}, sample {sample:.1f}, judge {took - fit - sample:.2f})")
    click.echo(f"            FD {distance:.2f}, precision {found['precision']:.3f}, recall {found['recall']:.3f}")
    return took


@main.command()
@click.option("--steps", default=300)
def mnist(steps: int) -> None:
    """A VAE on MNIST: how long 30 passes over 60,000 pictures take, from a shorter stretch of them."""
    world = datasets.load(build(Study, {"dataset": "mnist"}).dataset, 0)
    model = VAE(steps=steps)
    model.model_copy(update={"steps": 10}).fit(world.train, 0)  # warm-up
    began = time.perf_counter()
    fitted = model.fit(world.train, 0)
    rate = steps * model.batch / (time.perf_counter() - began)
    began = time.perf_counter()
    fitted.sample(10_000, 0)
    click.echo(f"VAE on MNIST: trains on {rate:,.0f} pictures/s, draws {10_000 / (time.perf_counter() - began):,.0f} pictures/s")
    click.echo(f"a generation of 30 passes over {len(world.train):,} pictures: {30 * len(world.train) / rate / 60:.1f} minutes of training")


@main.command()
@click.option("--n", default=10_000)
@click.option("--dim", default=64)
def metrics(n: int, dim: int) -> None:
    """All metrics on random features, and prdc's four numbers on the same."""
    from prdc import compute_prdc

    from imgcollapse.metrics import METRICS, Evidence, Seen

    real, made = (torch.randn((n, dim), generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in (0, 1))
    evidence = Evidence(Seen(real), Seen(real), Seen(made))
    whole = 0.0
    for name, metric in METRICS.items():
        began = time.perf_counter()
        metric.measure(evidence)
        whole += time.perf_counter() - began
        click.echo(f"{name}: {time.perf_counter() - began:.2f} s")
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        compute_prdc(real.numpy(), made.numpy(), nearest_k=5)
    click.echo(f"all: {whole:.2f} s; prdc's precision, recall, density, coverage alone: {time.perf_counter() - began:.2f} s")


@main.command()
@click.option("--gens", default=3, help="Generations of a run.")
@click.option("--seeds", default=2, help="Seeds of every arm.")
@click.option("--arms", default=3, help="How many arms of configs/retention.yaml.")
@click.option("--steps", type=int, help="Training steps of the DDPM, where its own are too many for a benchmark.")
@click.option("--layout", "layouts", multiple=True, default=("1x2", "2x1"), show_default=True, help="JOBSxTHREADS; may be repeated.")
@click.option("--device", default="cpu", show_default=True, help="cuda: how busy the GPU is, is printed as well.")
def ablation(gens: int, seeds: int, arms: int, steps: int | None, layouts: tuple[str, ...], device: str) -> None:
    """The digits retention ablation from the command line as a user starts it; shortened, and every time with an empty folder."""
    import json
    import os
    import subprocess
    import sys

    import yaml

    whole = yaml.safe_load((Path(__file__).parent.parent / "configs" / "retention.yaml").read_text(encoding="utf-8"))
    whole["arms"] = dict(list(whole["arms"].items())[:arms])
    first = 0.0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "retention.yaml"
        file.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
        data = {**os.environ, "IMGCOLLAPSE_DATA": f"{folder}/data", "IMGCOLLAPSE_DEVICE": device}
        warm = ["run", "--gens", "1", "--set", "model.steps=1", "--samples", "630", "--out", f"{folder}/warm"]
        subprocess.run([sys.executable, "-m", "imgcollapse", *warm], env=data, check=True, capture_output=True)  # trains the classifier
        for layout in layouts:
            jobs, threads = map(int, layout.split("x"))
            out = Path(folder) / layout
            command = ["ablate", str(file), "--out", str(out), "--jobs", str(jobs), "--threads", str(threads), "--json"]
            command += ["--gens", str(gens), "--seeds", str(seeds), *(["--set", f"model.steps={steps}"] if steps else [])]
            began = time.perf_counter()
            with _gpu_busy(device) as busy:
                done = subprocess.run([sys.executable, "-m", "imgcollapse", *command], env=data, check=True, capture_output=True, text=True)
            wall = time.perf_counter() - began
            about = json.loads(done.stdout)["account"]
            # each run's end; when fewer runs are left than jobs, the others wait for the last one
            ends = sorted(max(path.stat().st_mtime for path in run.glob("gen_*/MANIFEST.json")) for run in (out / "runs").iterdir())
            idle = sum(ends[-1] - end for end in ends[-jobs:])
            beside = wall * jobs - about["seconds_making"] - idle
            rate = about["generations_asked_for"] / wall * 3600
            first = first or rate
            click.echo(
                f"{jobs} jobs x {threads} threads: {about['runs']} runs, {about['generations_asked_for']} generations asked for, "
                f"{about['generations_made']} computed, {about['generations_linked']} linked; {wall:.0f} s, "
                f"{wall * jobs * threads / 3600:.3f} core hours; {rate:.0f} generations/hour ({rate / first:.2f} times the first line's); "
                f"of the jobs' time {beside:.0f} s ({100 * beside / (wall * jobs):.1f} %) beside making generations (start-up, locks, "
                f"statistics, figures), {idle:.0f} s waiting for the last run"
                + (f"; GPU busy {sum(busy) / len(busy):.0f} %" if busy else "")
            )


@contextlib.contextmanager
def _gpu_busy(device: str) -> Iterator[list[float]]:
    """Once a second how many percent of the time the GPU computed something (nvidia-smi's `utilization.gpu`); empty on a CPU."""
    import subprocess
    import threading

    seen: list[float] = []
    over = threading.Event()
    index = device.partition(":")[2] or "0"
    ask = ["nvidia-smi", f"--id={index}", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]

    def look() -> None:
        while not over.wait(1):
            seen.append(float(subprocess.run(ask, check=True, capture_output=True, text=True).stdout))

    watch = threading.Thread(target=look)
    if device.startswith("cuda"):
        watch.start()
    try:
        yield seen
    finally:
        over.set()
        if watch.ident:
            watch.join()


def _quality(name: str, metrics: dict[str, float], floor: dict[str, float]) -> str:
    ratio = metrics["fd"] / floor["fd"]
    rest = ", ".join(f"{key} {metrics[key]:.3f} (floor {floor[key]:.3f})" for key in ("precision", "recall", "coverage"))
    return f"{name} FD {metrics['fd']:.2f} ({ratio:.2f} x floor {floor['fd']:.2f}), {rest}"


if __name__ == "__main__":
    main()

"""Timings, each printed with what it was measured on. Nothing here is a test; run it on a quiet machine.

python scripts/benchmark.py digits       the main job, end to end, and what share of it is the network's own work
python scripts/benchmark.py reference    one generation our way and the usual way, in one process
python scripts/benchmark.py generation   a generation of the DDPM and of the VAE on MNIST (in the data folder) or another data set
python scripts/benchmark.py metrics      the metrics at N = 10,000 against prdc, torch-fidelity and clean-fid: seconds, memory, values
python scripts/benchmark.py images       fingerprints, provenance and reading of image sets against the plain way of each
python scripts/benchmark.py chains       a toy world over thousands of generations; a chain of `accumulate`, made and gone on with
python scripts/benchmark.py pareto       models of other settings: what quality of generation 0 they give for how many operations
python scripts/benchmark.py startup      how long commands take that compute nothing, and a report, beside `import click` and `import torch`
python scripts/benchmark.py ablation     an ablation, shortened: two jobs of one thread against one job of two, or others
"""

import contextlib
import csv
import dataclasses
import functools
import hashlib
import io
import itertools
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from imgcollapse.machine import torchvision_guard  # noqa: F401 (clean-fid and diffusers import torchvision)

import torch  # isort: skip
from imgcollapse import datasets, reports, seeds, store  # isort: skip
from imgcollapse.machine import devices, environment  # isort: skip
from imgcollapse.images import ImageSet  # isort: skip
from imgcollapse.judges.judge import Judge, Reference  # isort: skip
from imgcollapse.judges.titles import REAL  # isort: skip
from imgcollapse.metrics.record import Value, ranged  # isort: skip
from imgcollapse.metrics.scores import worth_showing  # isort: skip
from imgcollapse.models.ddpm import DDPM  # isort: skip
from imgcollapse.settings import build  # isort: skip
from imgcollapse.study import Study, run  # isort: skip

ROOT = Path(__file__).resolve().parent.parent


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
    with tempfile.TemporaryDirectory() as folder, devices.use(devices.Machine(data_dir=Path(folder) / "data")):
        began = time.perf_counter()
        with network.around(UNet2DModel, "forward"), network.around(Accelerator, "backward"):
            run(build(Study, {"gens": gens, "seed": seed}), out or Path(folder) / "run")
        reports.draw(out or Path(folder) / "run")
        whole = time.perf_counter() - began
        first = store.scores(out or Path(folder) / "run")[0].sources["classifier"]
    click.echo(f"{gens} generations: {whole:.0f} s in all, {whole / gens:.1f} s each (classifier and pictures included)")
    click.echo(f"network forward and backward: {network.seconds:.0f} s, {100 * network.seconds / whole:.0f} % of the run")
    click.echo(_quality("generation 0", first))


@main.command()
@click.option("--dataset", default="digits", show_default=True, help="Its kind, or all of it as JSON.")
@click.option("--n", type=int, help="Pictures that are learned from, and that are drawn. [default: the training part's]")
@click.option("--draw", type=int, help="Draw so many the usual way, and suppose that the others take as long. [default: all]")
@click.option("--steps", default=0, help="Training steps of both. [default: the model's]")
@click.option("--seed", default=0)
def reference(dataset: str, n: int | None, draw: int | None, steps: int, seed: int) -> None:
    """One DDPM generation twice: ours as it is by default; and the same network, data and steps the usual way.

    Ours computes in bfloat16 where the processor does so in hardware (the first line printed says which).
    The usual way: PNG files through a DataLoader, a plain float32 loop, DDPMPipeline with 1,000 ancestral steps,
    samples written to PNG and read back, features, clean-fid's Fréchet distance and prdc's precision and recall.
    On MNIST that is hours, nearly all of it in drawing; with --draw both are judged by so many pictures, so that FD can be compared.
    """
    one = _generation_0(dataset, {"kind": "ddpm", "steps": steps}, n, n, seed, draw or JUDGED)
    ours = one.fit + one.sample + one.judging
    click.echo(f"ours:      {ours:6.1f} s (fit {one.fit:.1f}, sample {one.sample:.1f}, judge {one.judging:.2f})")
    click.echo(_shares(one, one.model.sampling.evaluations(one.model.timesteps), ours))
    click.echo(_quality("           ", one.scores["classifier"]))
    with tempfile.TemporaryDirectory() as folder:
        usual = _usual(one, draw or len(one.drawn), Path(folder), seed)
    click.echo(f"end to end: {usual / ours:.1f} times as fast as the usual way")


def _shares(one: "Made", evaluations: int, seconds: float) -> str:
    """What the network's own work is of a generation, with so many evaluations a picture drawn."""
    fit, sample = one.training_tflop, one.drawing_tflop(evaluations)
    share = 100 * fit / (fit + sample)
    rate = 1e3 * (fit + sample) / seconds
    return f"            {fit + sample:.2f} TFLOP of the network, {share:.0f} % of them in the fit; {rate:.0f} GFLOP/s end to end"


def _usual(one: "Made", draw: int, folder: Path, seed: int) -> float:
    import numpy as np
    from cleanfid.fid import frechet_distance
    from diffusers import DDPMPipeline, DDPMScheduler
    from PIL import Image
    from prdc import compute_prdc
    from torch.utils.data import DataLoader, Dataset

    class Files(Dataset[torch.Tensor]):
        def __init__(self, place: Path) -> None:
            self.paths = sorted(place.glob("*.png"))

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> torch.Tensor:
            return torch.from_numpy(np.atleast_3d(np.array(Image.open(self.paths[index])))).permute(2, 0, 1)

    def write(pixels: torch.Tensor, place: Path) -> Files:
        place.mkdir()
        for number, picture in enumerate(pixels):
            Image.fromarray(picture.permute(1, 2, 0).squeeze(2).numpy()).save(place / f"{number:05d}.png")
        return Files(place)

    began = time.perf_counter()
    files, ours = write(one.learned.pixels, folder / "real"), one.model
    torch.manual_seed(seed)
    net = one.model._network(one.learned.shape)
    scheduler = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, ours.steps)
    loader, step = DataLoader(files, ours.batch, shuffle=True, drop_last=len(files) >= ours.batch), 0
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
    sizes = [min(256, draw - first) for first in range(0, draw, 256)]
    pictures = np.concatenate([pipeline(batch_size=size, num_inference_steps=1000, output_type="np").images for size in sizes])
    pixels = torch.from_numpy((pictures * 255).round().astype("uint8")).permute(0, 3, 1, 2)
    drawn = torch.stack(list(write(pixels, folder / "drawn")))  # type: ignore[call-overload]
    sample = time.perf_counter() - began - fit
    supposed = sample * (len(one.drawn) / draw - 1)
    view = one.judge._views[0]
    made = view.extractor.features(drawn[: one.judge.n]).numpy().astype("float64")
    real = view.held_out.features.numpy()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # clean-fid's call of SciPy is deprecated
        distance = frechet_distance(made.mean(0), np.cov(made, rowvar=False), real.mean(0), np.cov(real, rowvar=False))
        found = compute_prdc(real, made, nearest_k=one.judge.neighbours["k_precision"])
    judge = time.perf_counter() - began - fit - sample
    took = fit + sample + supposed + judge
    click.echo(f"the usual: {took:6.1f} s (fit {fit:.1f}, sample {sample + supposed:.1f}, judge {judge:.2f})")
    if supposed:
        click.echo(
            f"            {draw:,} of {len(one.drawn):,} pictures were drawn, in {sample:.1f} s; the others are taken to cost as much each"
        )
    click.echo(_shares(one, 1000, took))
    click.echo(f"            FD {distance:.2f}, precision {found['precision']:.3f}, recall {found['recall']:.3f}")
    return took


@main.command()
@click.option("--model", "kinds", multiple=True, default=("ddpm", "vae"), show_default=True)
@click.option("--learn", default=10_000, show_default=True, help="Real pictures that it learns from.")
@click.option("--n", default=10_000, show_default=True, help="Pictures drawn.")
@click.option("--dataset", default="mnist", show_default=True, help="Its kind, or all of it as JSON.")
def generation(kinds: tuple[str, ...], learn: int, n: int, dataset: str) -> None:
    """Generation 0 by the defaults, alone on the machine: seconds and operations a second, and how good it is (N = 5,000)."""
    for kind in kinds:
        one = _generation_0(dataset, kind, learn, n)
        model, fit, sample = one.model, one.fit, one.sample
        click.echo(f"{kind}: {fit + sample:.0f} s: {model.steps} steps of {model.batch} in {fit:.0f} s, {n:,} pictures in {sample:.0f} s")
        if kind == "ddpm":
            rates = [1e3 * one.training_tflop / fit, 1e3 * one.drawing_tflop(model.sampling.evaluations(model.timesteps)) / sample]
            click.echo(
                f"      {one.mflop:.0f} MFLOP forward a picture; {rates[0]:.0f} GFLOP/s in training, {rates[1]:.0f} GFLOP/s in drawing"
            )
        for source, scores in one.scores.items():
            click.echo(_quality(f"      {source}:", scores))


@dataclasses.dataclass(frozen=True)
class Made:
    """A generation 0: what it learned from, the model with its choices made, fitted, what was drawn, by whom it was judged, its scores by
    source, and seconds of training, of drawing and of judging."""

    learned: ImageSet
    model: Any
    fitted: Any
    drawn: ImageSet
    judge: Reference
    scores: Mapping[str, Mapping[str, Value]]
    fit: float
    sample: float
    judging: float

    @functools.cached_property
    def mflop(self) -> float:
        """Of a DDPM's network, for one picture."""
        return _forward_mflop(self.fitted)

    @property
    def training_tflop(self) -> float:
        """A step forward and back costs three times what a step forward does."""
        return float(3 * self.model.steps * self.model.batch * self.mflop / 1e6)

    def drawing_tflop(self, evaluations: int) -> float:
        """With so many evaluations for each picture."""
        return len(self.drawn) * evaluations * self.mflop / 1e6


JUDGED = 5_000  # pictures, at most


def _generation_0(dataset: str, model: Any, learn: int | None, n: int | None, seed: int = 0, judged: int = JUDGED) -> Made:
    """By a data set's kind, or all of it as JSON, and a model's kind or settings; learns from and draws so many pictures, None: as many as
    there are to learn from. As many as `judged` of them are judged."""
    study = build(Study, {"dataset": json.loads(dataset) if dataset.startswith("{") else dataset, "model": model})
    world = datasets.load(study.dataset, 0)
    learned = world.train[:learn]
    n = n or len(learned)
    judged = min(n, judged)
    judge = Judge().resolved(world, judged).open(world, judged)
    chosen = study.model.for_world(world.train.shape, len(world.classes))
    began = time.perf_counter()
    fitted = chosen.fit(learned, seeds.derive(seed, 0, "fit"))
    fit = time.perf_counter()
    drawn = fitted.sample(n, seeds.derive(seed, 0, "sample"))
    sample = time.perf_counter()
    scores = judge(drawn[:judged]).scores.sources
    return Made(learned, chosen, fitted, drawn, judge, scores, fit - began, sample - fit, time.perf_counter() - sample)


@main.command()
@click.option("--n", "sizes", multiple=True, default=(10_000,), show_default=True, help="Pictures in each set; may be repeated.")
@click.option("--dim", "dims", multiple=True, default=(64, 2048), show_default=True, help="Features of a picture; may be repeated.")
@click.option("--repeats", default=3, show_default=True, help="Measurements of each; the fastest is printed, and the slowest beside it.")
@click.option("--rivals/--alone", default=True, help="Measure the other packages as well.")
def metrics(sizes: tuple[int, ...], dims: tuple[int, ...], repeats: int, rivals: bool) -> None:
    """The metrics against prdc, torch-fidelity and clean-fid, on the same float64 features, each in a process of its own.

    Ours is timed twice: "first" with nothing known of the real pictures, as the others always are; "later" as for every generation after
    the first, which finds the passes over the real pictures done. Memory is the peak above what the process held before it measured.
    """
    for n, dim in itertools.product(sizes, dims):
        click.echo(f"N = {n:,}, D = {dim:,}")
        whole = _measured("all", n, dim, repeats)
        for name, seconds in whole["parts"].items():
            click.echo(f"  {name:32} {seconds:6.2f} s")
        click.echo(f"  all default metrics: first {whole['first']}, later {whole['later']} s, + {whole['peak']:.0f} MiB")
        for rival in RIVALS if rivals else ():
            ours, theirs = _measured(f"ours-{rival}", n, dim, repeats), _measured(rival, n, dim, repeats)
            click.echo(f"  {rival}: {theirs['first']} s, + {theirs['peak']:.0f} MiB; ours + {ours['peak']:.0f} MiB")
            for key in ("first", "later"):
                click.echo(f"    ours, {key}: {ours[key]} s, {theirs['first'][0] / ours[key][0]:.1f} times as fast")
            for name, value in theirs["values"].items():
                found = ours["values"][name]
                click.echo(f"    {name:9} {found:.12g}  {value:.12g}  relative difference {abs(found - value) / abs(value):.1e}")


RIVALS = {"prdc": 5, "torch-fidelity": 3, "clean-fid": 3}
"""Whom the metrics are measured against, and at which k for precision and recall."""


class Seconds(list[float]):
    """Fastest and slowest."""

    def __str__(self) -> str:
        return f"{self[0]:.2f} to {self[1]:.2f}"


def _measured(name: str, n: int, dim: int, repeats: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "contender", name, str(n), str(dim), str(repeats)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return {**found, **{key: Seconds(found[key]) for key in ("first", "later") if key in found}}


@main.command(hidden=True)
@click.argument("name")
@click.argument("n", type=int)
@click.argument("dim", type=int)
@click.argument("repeats", type=int)
def contender(name: str, n: int, dim: int, repeats: int) -> None:
    """One of the measurements of `metrics`, as JSON."""
    import resource

    real, made = (torch.randn((n, dim), generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in (0, 1))
    measure = _rival(name, real, made) if name in RIVALS else _ours(name.removeprefix("ours-"), real, made)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {}
    for _ in range(repeats):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # clean-fid's call of SciPy is deprecated
            for key, step in measure().items():
                began = time.perf_counter()
                found |= step()
                seconds.setdefault(key, []).append(time.perf_counter() - began)
    found = {key: float(value) for key, value in found.items()}
    parts = {key: min(took) for key, took in seconds.items() if key not in ("first", "later")}
    ends = {key: [min(took), max(took)] for key, took in seconds.items() if key in ("first", "later")}
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024  # of KiB, as Linux counts
    click.echo(json.dumps({"values": found, "parts": parts, "peak": peak, **ends}))


Steps = dict[str, Callable[[], dict[str, Any]]]


def _ours(against: str, real: torch.Tensor, made: torch.Tensor) -> Callable[[], Steps]:
    """What a rival measures, by our metrics, or all of them; each time for a reference of which nothing is known yet."""
    from imgcollapse.metrics import METRICS, Evidence, FeatureSet
    from imgcollapse.metrics.evidence import confusion_of

    chosen = {
        "prdc": ["neighbourhood"],
        "torch-fidelity": ["frechet_distance", "kernel_distance", "neighbourhood"],
        "clean-fid": ["frechet_distance", "kernel_distance"],
        "all": [name for name, metric in METRICS.items() if metric.default],
    }[against]
    n, classes = len(real), 10
    labels = torch.arange(n) % classes
    shares = torch.full((classes,), 1 / classes, dtype=torch.float64)

    def steps() -> Steps:
        train, held_out, learned = (
            FeatureSet(made.flip(1), labels, labels),
            FeatureSet(real, labels, labels),
            FeatureSet(real.flip(1), labels),
        )
        generations = [
            Evidence(
                train,
                held_out,
                FeatureSet(made, labels),
                real_shares=shares,
                confusion=confusion_of(labels, labels, classes),
                learned=learned,
                copies=torch.zeros(n, dtype=torch.bool),
                learned_copies=torch.zeros(n, dtype=torch.bool),
                k_precision=RIVALS.get(against, 3),
            )
            for _ in range(2)
        ]

        def judge(evidence: Evidence) -> dict[str, float]:
            return {key: value for name in chosen for key, value in METRICS[name].measure(evidence).items()}

        found: Steps = {"first": lambda: judge(generations[0]), "later": lambda: judge(generations[1])}
        if against != "all":
            return found
        third = dataclasses.replace(generations[1], generated=FeatureSet(made, labels), learned=FeatureSet(real.flip(1), labels))
        return found | {name: functools.partial(METRICS[name].measure, third) for name in chosen}

    return steps


def _rival(name: str, real: torch.Tensor, made: torch.Tensor) -> Callable[[], Steps]:
    """All that another package measures of features: its own functions, called as its own command does, with all N pictures at once."""
    import numpy as np

    x, y = real.numpy(), made.numpy()

    def prdc() -> dict[str, Any]:
        from prdc import compute_prdc

        return compute_prdc(x, y, nearest_k=RIVALS["prdc"])

    def torch_fidelity() -> dict[str, Any]:
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
        from torch_fidelity.metric_kid import kernel_poly, mmd2
        from torch_fidelity.metric_prc import prc_features_to_metric

        fid = fid_statistics_to_metric(fid_features_to_statistics(real), fid_features_to_statistics(made), verbose=False)
        kid = mmd2(kernel_poly(x, x), kernel_poly(x, y), kernel_poly(y, y))
        options = {"prc_neighborhood": RIVALS["torch-fidelity"], "prc_batch_size": 10_000, "save_cpu_ram": False, "verbose": False}
        prc = prc_features_to_metric(made, real, **options)
        return {"fd": fid["frechet_inception_distance"], "kid": kid, "precision": prc["precision"], "recall": prc["recall"]}

    def clean_fid() -> dict[str, Any]:
        from cleanfid.fid import frechet_distance, kernel_distance

        fd = frechet_distance(x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))
        return {"fd": fd, "kid": kernel_distance(x, y, num_subsets=1, max_subset_size=len(x))}

    measure = {"prdc": prdc, "torch-fidelity": torch_fidelity, "clean-fid": clean_fid}[name]
    return lambda: {"first": measure}


@main.command()
@click.option("--repeats", default=3, show_default=True, help="Measurements of each; the fastest is printed.")
def images(repeats: int) -> None:
    """What is done with whole image sets, against the plain way; both must come to the same."""
    import numpy as np

    from imgcollapse.images import ImageSet, fingerprints
    from imgcollapse.regimes import origins
    from imgcollapse.store.npz import read_images, write_images

    def fastest(call: Callable[[], Any]) -> tuple[float, Any]:
        seconds = []
        for _ in range(repeats):
            began = time.perf_counter()
            found = call()
            seconds.append(time.perf_counter() - began)
        return min(seconds), found

    def compared(name: str, ours: Callable[[], Any], same: Callable[[Any, Any], bool] | None, plain: Callable[[], Any]) -> None:
        (fast, found), (slow, expected) = fastest(ours), fastest(plain)
        assert same is None or same(found, expected), name
        click.echo(f"  {name:50} {fast:6.3f} s, plain {slow:6.3f} s: {slow / fast:.1f} times as fast")

    def of_pictures(n: int, shape: tuple[int, int, int], folder: Path) -> None:
        pixels = torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        rows, path = pixels.flatten(1).numpy(), folder / f"{n}.npz"
        write_images(path, ImageSet.of(pixels, torch.arange(n) % 10, born=0))
        click.echo(f"{n:,} pictures of {shape}")
        compared("fingerprints, against int64 sums", lambda: fingerprints(pixels), torch.equal, lambda: _plain_fingerprints(pixels))
        compared(
            "fingerprints, against blake2b over the rows",
            lambda: fingerprints(pixels),
            None,
            lambda: [hashlib.blake2b(row.data) for row in rows],
        )
        look, plain = lambda: int(read_images(path).pixels.max()), lambda: int(np.load(path)["pixels"].max())
        compared("reading, all pixels looked at, against np.load", look, int.__eq__, plain)

    def of_generations(gens: int) -> None:
        n, classes = 1000 * gens, tuple(map(str, range(25)))
        whole = ImageSet(torch.zeros(n, 1, 1, 2), torch.arange(n) % 25, torch.arange(n) // 1000 - 1)
        compared(
            f"origins of {gens:,} generations of 1,000 points", lambda: origins(whole, classes), dict.__eq__, lambda: _plain(whole, classes)
        )

    with tempfile.TemporaryDirectory() as folder:
        of_pictures(60_000, (1, 28, 28), Path(folder))
        of_pictures(50_000, (3, 32, 32), Path(folder))
    for gens in (100, 400):
        of_generations(gens)


def _plain_fingerprints(pixels: torch.Tensor) -> torch.Tensor:
    low, high = torch.iinfo(torch.int64).min, torch.iinfo(torch.int64).max
    flat = pixels.flatten(1)
    odd = torch.randint(low, high, (flat.shape[1],), generator=seeds.torch_generator(seeds.derive(0, "marks"))) | 1
    return torch.cat([(block.to(torch.int64) * odd).sum(1) for block in flat.split(max(1, 2**22 // flat.shape[1]))])


def _plain(images: Any, classes: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for born in images.born.unique().tolist():
        labels = images.labels[images.born == born]
        counts = {name: int((labels == c).sum()) for c, name in enumerate(classes)}
        name = "real" if born < 0 else f"generation {born}"
        found[name] = {"pictures": len(labels), "classes": {key: n for key, n in counts.items() if n}}
    return found


CHAINS: dict[str, list[str]] = {
    "judged every 20th, little kept": ["judge.every=20", "keep.samples=last", "keep.models=none"],
    "all judged, all kept": [],
}


@main.command()
@click.option("--gens", default=2000)
@click.option("--accumulated", default=100, help="Generations of the chain that learns from all samples so far.")
def chains(gens: int, accumulated: int) -> None:
    """A mixture of one component on 1,000 points over many generations; then `accumulate`, and the same command again, which resumes it."""
    toy = ["--dataset", "gaussian", "--no-judge-beside"]
    with tempfile.TemporaryDirectory() as place:
        for number, (name, assignments) in enumerate(CHAINS.items()):
            more = [word for one in ("model.components=1", *assignments) for word in ("--set", one)]
            said = _timed(Path(place) / str(number), *toy, "--model", "gmm", "--gens", str(gens), *more)
            click.echo(f"{gens} generations, {name}: {said}")
        more = [*toy, "--model", "bootstrap", "--regime", "accumulate", "--gens", str(accumulated)]
        for how in ("made", "resumed"):
            click.echo(f"{accumulated} generations of accumulate, {how}: {_timed(Path(place) / 'all', *more)}")


MEASURED = ("fd", "precision", "recall", "coverage")


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option("--dataset", default="mnist", show_default=True, help="Its kind, or all of it as JSON.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A CSV file; settings that it has are not tried again.")
@click.option("--learn", default=10_000, show_default=True, help="Real pictures that each learns from.")
@click.option("--n", default=5_000, show_default=True, help="Pictures that are drawn and judged.")
@click.option("--jobs", default=1, show_default=True, help="Settings that are tried at once.")
@click.option("--threads", default=1, show_default=True, help="Threads of each.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--precision", default="float32", show_default=True)
@click.option("--seeds", default=1, show_default=True, help="Trainings of each.")
def pareto(
    file: Path, dataset: str, out: Path, learn: int, n: int, jobs: int, threads: int, device: str, precision: str, seeds: int
) -> None:
    """Generation 0 by each of the models in FILE (YAML, a list of settings), a row each: operations against quality, real vs real beside.

    By the classifier's features (the shipped reference, where there is one); `random_fd` by those of random convolutions. GFLOP counts
    multiplications and additions; training is three forward passes.
    """
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    from imgcollapse.settings import read_file

    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines())) if out.exists() else []
    there = {(row["model"], row["seed"]) for row in rows}
    asked = [(json.dumps(model), seed) for model in read_file(file)["models"] for seed in range(seeds)]
    more = (dataset, learn, n, threads, device, precision)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool, out.open("a", encoding="utf-8", newline="") as table:
        running = [pool.submit(_tried, model, seed, *more) for model, seed in asked if (model, str(seed)) not in there]
        for done in as_completed(running):
            row = done.result()
            writer = csv.DictWriter(table, list(row), lineterminator="\n")
            if not table.tell():
                writer.writeheader()
            writer.writerow(row)
            table.flush()
            click.echo("  ".join(f"{key} {value}" for key, value in row.items()))


def _tried(options: str, seed: int, dataset: str, learn: int, n: int, threads: int, device: str, precision: str) -> dict[str, object]:
    torch.set_num_threads(threads)
    with devices.use(devices.Machine(device=device, precision=precision)):
        one = _generation_0(dataset, json.loads(options), learn, n, n, seed)
    scores = one.scores
    row: dict[str, object] = {"model": options, "seed": seed, "mflop": f"{one.mflop:.1f}", "steps": one.model.steps}
    row["training_tflop"] = f"{one.training_tflop:.2f}"
    row |= {"fit_s": f"{one.fit:.1f}", "sample_s": f"{one.sample:.1f}"}
    for name in MEASURED:
        value = scores["classifier"][name]
        row |= {name: f"{value.value:.3f}", f"{name}_real": f"{value.real.mean:.3f}" if value.real else ""}
    return {**row, "random_fd": f"{scores['random']['fd'].value:.3f}", "random_fd_real": f"{scores['random']['fd'].real.mean:.3f}"}


def _forward_mflop(fitted: DDPM) -> float:
    """Millions of multiplications and additions of the network for one picture."""
    from torch.utils.flop_counter import FlopCounterMode

    net = fitted._net.cpu()
    side, channels = net.config.sample_size, net.config.in_channels
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(torch.zeros(1, channels, side, side), torch.zeros(1, dtype=torch.int64), return_dict=False)
    return float(counter.get_total_flops() / 1e6)


def _timed(out: Path, *words: str) -> str:
    """Seconds of `imgcollapse run` with these words, in a process of its own, and what it left."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "imgcollapse", "run", *words, "--out", str(out)], check=True, capture_output=True)
    seconds, size = time.perf_counter() - began, sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return f"{seconds:.1f} s, page {(out / reports.PAGE).stat().st_size / 1e6:.2f} MB, folder {size / 1e6:.0f} MB"


@main.command()
@click.option("--gens", default=3, help="Generations of a run.")
@click.option("--seeds", default=2, help="Seeds of every arm.")
@click.option("--config", type=click.Path(path_type=Path), default=ROOT / "configs" / "retention.yaml", help="[default: retention.yaml]")
@click.option("--arms", default=3, help="How many arms of it.")
@click.option("--set", "settings", multiple=True, help="As of ablate: model.steps=100, where a network's own are too many for a benchmark.")
@click.option("--layout", "layouts", multiple=True, default=("1x2", "2x1"), show_default=True, help="JOBSxTHREADS; may be repeated.")
@click.option("--device", default="cpu", show_default=True, help="cuda: how busy the GPU is, is printed as well.")
def ablation(gens: int, seeds: int, config: Path, arms: int, settings: tuple[str, ...], layouts: tuple[str, ...], device: str) -> None:
    """An ablation with its null models from the command line as a user starts it; shortened, and every time with an empty folder."""
    import os

    from imgcollapse.settings import read_file
    from imgcollapse.settings.yaml12 import dump

    whole = read_file(config)
    whole["arms"] = dict(list(whole["arms"].items())[:arms])
    first = 0.0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / config.name
        file.write_text(dump(whole), encoding="utf-8")
        variables = {**os.environ, "IMGCOLLAPSE_DEVICE": device}
        for layout in layouts:
            jobs, threads = map(int, layout.split("x"))
            out = Path(folder) / layout
            command = ["ablate", str(file), "--out", str(out), "--jobs", str(jobs), "--threads", str(threads), "--json"]
            command += ["--gens", str(gens), "--seeds", str(seeds), *(word for one in settings for word in ("--set", one))]
            began = time.perf_counter()
            with _gpu_busy(device) as busy:
                done = subprocess.run(
                    [sys.executable, "-m", "imgcollapse", *command], env=variables, check=True, capture_output=True, text=True
                )
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


@main.command()
@click.option("--repeats", default=5, show_default=True, help="The fastest of so many is printed.")
def startup(repeats: int) -> None:
    """How long commands take that compute nothing, until their first line and to their end, each in a process of its own; and the report
    of a finished run, ten generations of a mixture on digits."""

    def fastest(*words: str) -> tuple[float, float]:
        """Seconds until the first line, and to the end."""
        took = []
        for _ in range(repeats):
            began = time.perf_counter()
            with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder) as process:
                assert process.stdout is not None
                process.stdout.readline()
                first = time.perf_counter() - began
                process.stdout.read()
            took.append((first, time.perf_counter() - began))
        return min(one[0] for one in took), min(one[1] for one in took)

    with tempfile.TemporaryDirectory() as folder:
        run(build(Study, {"model": "gmm"}), Path(folder) / "chain")
        _, plain = fastest("-c", "import click")
        click.echo(f"import click: {plain:.3f} s")
        named = {f"import {name}": ("-c", f"import {name}") for name in ("imgcollapse", "torch")}
        named |= {words: ("-m", "imgcollapse", *words.split()) for words in STARTED}
        for name, words in named.items():
            first, took = fastest(*words)
            shown = f" (first line: {first:.2f} s, {first / plain:.0f} times)" if first < 0.8 * took else ""
            click.echo(f"{name}: {took:.2f} s, {took / plain:.0f} times `import click`{shown}")


STARTED = (
    *("--help", "list", "list ddpm", "status chain", "status nowhere", "run --model gan", "run --set modle.steps=3", "run --gens many"),
    *("ablate --axis model.steps=10,many", "run --dry-run --model gmm", "ablate retention --dry-run", "doctor", "report chain"),
)


def _quality(name: str, values: Mapping[str, Value]) -> str:
    shown = worth_showing(5, values)
    reals = {key: "" if (real := values[key].real) is None else f" ({REAL} {ranged(real, 3)})" for key in shown}
    return f"{name} " + ", ".join(f"{key} {values[key].value:.3f}{reals[key]}" for key in shown)


if __name__ == "__main__":
    main()

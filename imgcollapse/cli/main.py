"""The command line. Every command is thin, and imports what is heavy only when it runs: `--help` must answer at once."""

import sys
from pathlib import Path
from typing import Any

import click

from imgcollapse import __version__
from imgcollapse.cli import one_line, options
from imgcollapse.cli.options import DATA_DIR, ENGINE, EXIT_CODES, JUDGE_BESIDE, PLUGIN, Number, Place, long_work, machine, names, setting


@click.group(cls=one_line.OneLine, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="imgcollapse")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Measures model collapse in image generators that are trained on their own pictures."""


@main.command(epilog=EXIT_CODES)
@setting("--dataset", "Real pictures: digits, mnist, cifar10, folder:PATH, zip:PATTERN, ... [digits]")
@setting("--model", f"What learns and draws: {names('models/__init__.py', 'MODELS')}. [ddpm]")
@setting("--regime", f"What a training set is made of: {names('regimes/__init__.py', 'REGIMES')}. [replace]")
@setting("--real-fraction", "Share of real pictures in every training set (regime retain). [0.1]", type=Number(float))
@setting("--pool", "Real pictures of regime retain: fixed (always the same), resample (drawn anew) or fresh (unseen). [resample]")
@setting("--gens", "Number of generations: models trained one after the other. [10]", type=Number())
@click.option("--until", metavar="SCORE<NUMBER", help="Stop once this holds, at --gens at the latest, e.g. 'recall<0.5', 'random:fd>20'.")
@setting("--samples", "Pictures a generation draws and learns from. [as many as there are real ones, at most 10,000]", type=Number())
@setting("--seed", "Seed of everything random. [0]", type=Number())
@setting("--out", "The run folder. [runs/NAME, the name made from the settings]", type=Place())
@setting("--config", "A YAML file of settings (a run's study.yaml is one), or a name of `imgcollapse list configs`.", type=Place())
@click.option("--set", "assignments", multiple=True, metavar="PATH=VALUE", help="Any setting, e.g. model.steps=500; may be repeated.")
@JUDGE_BESIDE
@machine
@long_work
@click.option("--dry-run", is_flag=True, help="Show the study, with every default, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def run(assignments: tuple[str, ...], dry_run: bool, as_json: bool, **given: Any) -> None:
    """Train a chain of generations and judge each of them.

    A setting is taken from its flag, else the environment, else the --config file, else the default. To resume, run the same command again.
    """
    from imgcollapse.machine import busy

    busy.wait_asleep_if_busy()  # before torch is imported
    from imgcollapse.cli import run

    run.run(given, assignments, dry_run=dry_run, as_json=as_json)


@main.command(epilog=EXIT_CODES)
@click.argument("file", required=False, type=Place())
@setting("--dataset", "One, or several with commas: these make an axis of the ablation, as with the next options.")
@setting("--model", "One or several, e.g. ddpm,vae.")
@setting("--regime", "One or several, e.g. replace,accumulate.")
@setting("--real-fraction", "One or several, e.g. 0,0.1,0.5,1 (regime retain).")
@setting("--pool", "One or several: fixed,resample,fresh (regime retain).")
@setting("--samples", "Pictures a generation draws and learns from; one or several.")
@setting("--gens", "Number of generations: models trained one after the other. [10]", type=Number())
@setting("--seeds", "How many (3: seeds 0, 1, 2), a list (0,7), or auto:0.1 (as many as it takes to know the endpoint to ±0.1). [3]")
@click.option("--axis", "axes", multiple=True, metavar="PATH=V,V", help="Any setting with its values; repeat it to cross several axes.")
@click.option("--set", "assignments", multiple=True, metavar="PATH=VALUE", help="Any setting, for all arms; may be repeated.")
@click.option("--nulls/--no-nulls", default=None, help="Also run null models (finite sampling alone) under every regime. [--nulls]")
@setting("--out", "The ablation's folder. [runs/NAME, the name made from file and base]", type=Place())
@setting("--jobs", "Runs executed at once; changes no result. [cores / threads; on a GPU 1]", type=Number(least=1))
@setting("--threads", "CPU threads per run; their number changes the last digits.", type=Number(least=1), default=1, show_default=True)
@ENGINE
@click.option("--engine-option", "engine_options", multiple=True, metavar="KEY=VALUE", help="An option of the engine; may be repeated.")
@options.INTERVAL
@click.option("--retry", is_flag=True, help="Also try runs again whose network diverged (its loss became NaN or infinite).")
@machine
@long_work
@click.option("--dry-run", is_flag=True, help="Show the studies, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def ablate(assignments: tuple[str, ...], axes: tuple[str, ...], dry_run: bool, as_json: bool, **given: Any) -> None:
    """Run a grid of studies, arms by seeds, and compare them.

    FILE is an ablation in YAML (question, base, arms or axes, seeds), or a name of `imgcollapse list configs`. To go on, or after
    adding arms or seeds, run the same command again: only what is missing is done.
    """
    from imgcollapse.cli import ablate

    ablate.ablate(given, assignments, axes, dry_run=dry_run, as_json=as_json)


@main.command()
@click.argument("run", type=Place())
def worker(run: Path) -> None:
    """Execute one run of an ablation: what every engine starts."""
    from imgcollapse.machine import busy

    busy.wait_asleep_if_busy()
    from imgcollapse.cli import status as command

    command.work(run)


@main.command()
@click.argument("folder", type=Place())
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(folder: Path, as_json: bool) -> None:
    """Show which runs of an ablation are done, and the time left.

    Also those that run or failed, and why. FOLDER may be a single run, too.
    """
    from imgcollapse.cli import status as command

    command.status(folder, as_json)


@main.command()
@click.argument("run", type=Place())
@click.option("--gen", "generation", type=Number(), help="The generation. [the last that is finished]")
@click.option("--out", help="Where the folder goes. [RUN/card/gen_NNN]", type=Place())
@click.option("--export", type=click.Choice(["imagefolder", "npz"]), help="How samples are written. [imagefolder; for points npz]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def card(run: Path, generation: int | None, out: Path | None, export: Any, as_json: bool) -> None:
    """Package the weights and samples of one generation for sharing. Adds a model card and a data-set card (Hugging Face)."""
    from imgcollapse.cli import card

    card.card(run, generation, out, export, as_json)


@main.command(epilog=EXIT_CODES)
@click.argument("places", metavar="RUN_OR_ABLATION...", nargs=-1, required=True, type=Place())
@click.option("--set", "assignments", multiple=True, metavar="PATH=VALUE", help="A setting of the judge, e.g. judge.k=3; may be repeated.")
@machine
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def judge(places: tuple[Path, ...], assignments: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Judge runs again, by other extractors, metrics, N or k.

    From the samples and weights that they have kept: nothing is trained. What is not named stays as in the run's own study. The page and
    the tables show the scores of all judges side by side.
    """
    from imgcollapse.machine import busy

    busy.wait_asleep_if_busy()
    from imgcollapse.cli import judge

    judge.judge(places, given, assignments, as_json=as_json)


@main.command(epilog=EXIT_CODES)
@click.argument("paths", metavar="SAMPLES...", nargs=-1, required=True, type=Place())
@click.option("--against", required=True, metavar="DATASET", help="Real pictures: digits, mnist, cifar10, folder:PATH, zip:PATTERN, ...")
@click.option("--n", type=Number(), help="N, the pictures compared. [as many as there are, at most half of those held out, and 10,000]")
@click.option("--learned-from", metavar="SAMPLES", type=Place(), help="The training set of the model that drew them, to find copies.")
@click.option("--seed", type=Number(), help="Seed of a toy data set. [0]")
@click.option("--set", "assignments", multiple=True, metavar="PATH=VALUE", help="Any setting, e.g. judge.k=5, dataset.subset=5000.")
@click.option("--out", type=Place(), help="The file of scores. [scores/NAME.json, the name made from all of this]")
@machine
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def score(paths: tuple[Path, ...], assignments: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Compare pictures of any program with real ones.

    Prints a table of all scores beside real vs real. SAMPLES: a folder of pictures, a .zip, an .npz (arr_0, uint8 [N, H, W, C]), a run or
    one of its generations; several stand side by side.
    """
    from imgcollapse.cli import score

    score.score(paths, given, assignments, as_json=as_json)


@main.command()
@click.argument("run", type=Place())
@click.option("--gen", "generation", type=Number(), help="The generation. [the last that is finished]")
@click.option("--to", required=True, type=click.Choice(["folder", "zip", "npz", "imagefolder"]), help="How samples are written.")
@click.option("--out", type=Place(), help="Where they go. [RUN/export/gen_NNN...]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def export(run: Path, generation: int | None, to: str, out: Path | None, as_json: bool) -> None:
    """Write the samples of one generation for other programs. As PNG files, a .zip for StyleGAN, or an .npz like guided-diffusion's."""
    from imgcollapse.cli import export

    export.export(run, generation, to, out, as_json)


@main.command()
@click.argument("places", metavar="RUN_OR_ABLATION...", nargs=-1, required=True, type=Place())
@click.option("-o", "--out", "page", type=click.Path(), help="The page. [report.html in the folder; for several, in the current one]")
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@click.option("--watch", is_flag=True, help="Write the page again whenever a generation is finished, until the runs end.")
@click.option(
    "--budget",
    type=Number(float, least=0),
    default=25,
    show_default=True,
    metavar="MB",
    help="Largest size of the page; pictures that do not fit go into a folder beside it.",
)
@options.INTERVAL
@click.option("--latex", is_flag=True, help="Write tables for a paper instead (LaTeX, booktabs). [report.tex, at the same place]")
@click.option("--metrics", metavar="SCORE,SCORE", help="Scores in the tables; without --latex these are printed. [the most prominent]")
@click.option("--gens", metavar="N,N", help="Generations in the tables: numbers, last or all. [one arm: at most 30; several: last]")
@click.option("--arms", metavar="NAME,NAME", multiple=True, help="Arms in the tables; may be repeated. [all, and a null model of each]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def report(places: tuple[Path, ...], watch: bool, show: bool, as_json: bool, **given: Any) -> None:
    """Write one self-contained HTML page about runs and ablations. PAGE_files beside it gets collapse.gif, figures and report.md."""
    from imgcollapse.cli import report

    report.make(places, given, watch=watch, show=show, as_json=as_json)


@main.command(epilog=EXIT_CODES)
@click.argument("folder", metavar="RUN_OR_ABLATION", type=Place())
@click.option(
    "--models", default="all", show_default=True, metavar="RULE", help="Weights that stay: all, last, none, or K: every K-th and the last."
)
@click.option("--samples", default="all", show_default=True, metavar="RULE", help="Samples that stay: all, last, or K.")
@click.option("--dry-run", is_flag=True, help="Show what would go and how much room that makes, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def prune(folder: Path, models: str, samples: str, dry_run: bool, as_json: bool) -> None:
    """Remove weights and samples that finished runs no longer need. Such runs can still be extended and reported."""
    from imgcollapse.cli import prune

    prune.prune(folder, models, samples, dry_run=dry_run, as_json=as_json)


@main.command("list")
@click.argument("name", required=False)
@PLUGIN
def list_(name: str | None, plugins: tuple[str, ...]) -> None:
    """List models, metrics and other parts, or explain one of them.

    Parts are models, data sets, regimes, gates, corrections, extractors, metrics, engines and trackers. NAME is one of them, a
    group (models, configs ...), a score, or init, ensemble, judge or keep.
    """
    from imgcollapse.cli import about

    about.list_tables(name, plugins)


@main.command()
@DATA_DIR
@options.weights
def doctor(**given: Path | None) -> None:
    """Check the installation: packages, device, precision, data. Says how to mend what is wrong."""
    from imgcollapse.cli import about

    sys.exit(about.doctor(given))

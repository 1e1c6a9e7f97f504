"""The command line. Every command is thin, and imports what is heavy only when it runs: `--help` must answer at once."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from imgcollapse import __version__

EXIT_CODES = """\b
Exit codes: 0 done; 1 unexpected error; 2 settings that cannot be used; 3 data missing or damaged;
4 the run folder is in use by another process; 5 the run folder holds something else;
6 a network's loss was no finite number; 130 and 143 stopped by SIGINT and SIGTERM (what is finished is kept)."""


def setting(flag: str, help: str, **more: Any) -> Callable[[Any], Any]:
    """An option that can be given in the environment as well."""
    variable = "IMGCOLLAPSE_" + flag.removeprefix("--").replace("-", "_").upper()
    return click.option(flag, help=help, envvar=variable, show_envvar=True, **more)


class OneLine(click.Group):
    """Turns the library's errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; a traceback is shown only with --debug."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            from imgcollapse.errors import Problem

            known = isinstance(error, Problem)
            reason = " ".join(str(error).split()) or type(error).__name__
            hint = "" if known else f" ({type(error).__name__}; `imgcollapse --debug ...` shows where)"
            click.echo(f"imgcollapse: {reason}{hint}", err=True)
            ctx.exit(error.exit_code if isinstance(error, Problem) else 1)


@click.group(cls=OneLine, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="imgcollapse")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Measures model collapse in image generators that are trained on their own pictures."""


@main.command(epilog=EXIT_CODES)
@setting("--dataset", "Real pictures: digits, mnist, cifar10, folder:PATH, zip:PATTERN, ... [digits]")
@setting("--model", "What learns and draws: ddpm, vae, gmm, gaussian, bootstrap. [ddpm]")
@setting("--regime", "Of what a training set is made: replace, retain, accumulate. [replace]")
@setting("--real-fraction", "Share of real pictures in every training set (regime retain).", type=float)
@setting("--pool", "Where they come from: fixed, resample, fresh (regime retain).")
@setting("--gens", "Number of models trained one after the other. [10]", type=int)
@setting("--samples", "Pictures a generation draws and learns from. [as many as there are real ones]", type=int)
@setting("--seed", "Of everything random. [0]", type=int)
@setting("--out", "The run folder. [runs/NAME, the name made from the settings]", type=click.Path(path_type=Path))
@setting("--config", "A YAML file of settings (a run's study.yaml is one).", type=click.Path(path_type=Path))
@click.option("--set", "assignments", multiple=True, metavar="PATH=VALUE", help="Any setting, e.g. model.steps=500; may be repeated.")
@setting("--device", "auto, cpu, cuda, cuda:N, mps.", default="auto", show_default=True)
@setting("--precision", "auto (bfloat16 where it is done in hardware), float32, bfloat16.", default="auto", show_default=True)
@click.option(
    "--data-dir",
    envvar="IMGCOLLAPSE_DATA",
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="Where data sets and classifiers are kept. [~/.cache/imgcollapse]",
)
@click.option("--dry-run", is_flag=True, help="Show the study, with every default, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def run(assignments: tuple[str, ...], dry_run: bool, as_json: bool, **given: Any) -> None:
    """Train a chain of generations and judge each of them.

    A setting is taken from its flag, else the environment, else the --config file, else the default. To resume, run the same command again.
    """
    from imgcollapse import busy

    busy.wait_asleep_if_busy()  # before torch is imported
    from imgcollapse import commands

    commands.run(given, assignments, dry_run=dry_run, as_json=as_json)


@main.command("list")
@click.argument("name", required=False)
def list_(name: str | None) -> None:
    """Models, data sets, regimes, extractors and metrics; with a NAME, its options."""
    from imgcollapse import commands

    commands.list_tables(name)


@main.command()
@click.option(
    "--data-dir", envvar="IMGCOLLAPSE_DATA", show_envvar=True, type=click.Path(path_type=Path), help="The data folder to look at."
)
def doctor(data_dir: Path | None) -> None:
    """What is installed, which device and precision will be used, which data are there, and what to do about what is wrong."""
    from imgcollapse import commands

    sys.exit(commands.doctor(data_dir))

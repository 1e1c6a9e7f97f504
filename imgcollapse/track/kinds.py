"""Kinds of trackers, each by accelerate's class for it. To add one, write a class that is a `Log` and add its line to the table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from PIL import Image

FOLDER = "track"  # in a run's folder: what trackers keep there, and what they have been told
PROJECT = "imgcollapse"  # under which wandb and trackio show all runs


@dataclass
class Logged:
    """What a tracker has been told of a run, kept in `track/KIND.json`: generations 0 to `generations` - 1, under the name `id`."""

    generations: int
    id: str


class Log(Protocol):
    """What one tracker keeps of one run, open for more: made anew where it has been told nothing yet, else taken up again.

    needs:    the package that must be installed for it, by an extra of its kind's name; None: none
    alone:    whether a process can have only one open at a time
    run:      the run's folder
    settings: of the study, by their paths
    """

    needs: ClassVar[str | None]
    alone: ClassVar[bool]

    def __init__(self, run: Path, settings: dict[str, Any], logged: Logged) -> None: ...

    def write(self, generation: int, values: dict[str, float], grid: Path) -> None:
        """Adds a generation: its numbers, and the file of its grid."""

    def close(self) -> None:
        """Ends it for now, with nothing lost."""


class TensorBoard:
    """TensorBoard's files, in `track/` of the run's folder: `tensorboard --logdir RUN`, or a folder of runs."""

    needs: ClassVar[str | None] = "tensorboard"
    alone: ClassVar[bool] = False

    def __init__(self, run: Path, settings: dict[str, Any], logged: Logged) -> None:
        # `purge_step`: what a killed process wrote of the next generation without noting it is not shown twice
        from accelerate.tracking import TensorBoardTracker

        self.tracker = TensorBoardTracker(FOLDER, run, purge_step=logged.generations)
        self.tracker.start()
        if not logged.generations:
            # not accelerate's store_init_configuration, which makes of the settings a run of their own, without scalars. Noted as the start
            # of a session in this run, TensorBoard puts settings and last scalars of all runs into one table, whatever settings arms have.
            from torch.utils.tensorboard.summary import hparams

            _, start, _ = hparams(settings, {})
            self.tracker.tracker.file_writer.add_summary(start)

    def write(self, generation: int, values: dict[str, float], grid: Path) -> None:
        with Image.open(grid) as picture:
            image_1HWC = np.asarray(picture.convert("RGB"))[None]
        self.tracker.log_images({"grid": image_1HWC}, step=generation, dataformats="NHWC")
        self.tracker.log(values, step=generation)  # the last, for it also flushes

    def close(self) -> None:
        self.tracker.finish()


class WandB:
    """Weights & Biases: a run in the project `imgcollapse`, named as the run's folder."""

    needs: ClassVar[str | None] = "wandb"
    alone: ClassVar[bool] = False

    def __init__(self, run: Path, settings: dict[str, Any], logged: Logged) -> None:
        about = {"name": run.absolute().name, "id": logged.id, "config": settings, "dir": str(run / FOLDER)}
        # its copy of the terminal's output would take the progress bars apart
        from accelerate.tracking import WandBTracker

        self.tracker = WandBTracker(PROJECT, **about, resume="allow", reinit="create_new", settings={"console": "off"})
        self.tracker.start()

    def write(self, generation: int, values: dict[str, float], grid: Path) -> None:
        with Image.open(grid) as picture:
            self.tracker.log_images({"grid": [picture]}, step=generation)
        self.tracker.log(values, step=generation)

    def close(self) -> None:
        self.tracker.finish()


class Trackio:
    """Trackio: a run in the project `imgcollapse`, named as the run's folder, in Trackio's own folder (`TRACKIO_DIR`) or Space."""

    needs: ClassVar[str | None] = "trackio"
    alone: ClassVar[bool] = True

    def __init__(self, run: Path, settings: dict[str, Any], logged: Logged) -> None:
        about = {"name": run.absolute().name, "config": settings, "resume": "allow" if logged.generations else "never"}
        from accelerate.tracking import TrackioTracker

        self.tracker = TrackioTracker(PROJECT, **about)
        self.tracker.start()

    def write(self, generation: int, values: dict[str, float], grid: Path) -> None:
        import trackio

        self.tracker.log({**values, "grid": trackio.Image(str(grid))}, step=generation)

    def close(self) -> None:
        self.tracker.finish()


TRACKERS: dict[str, type[Log]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "trackio": Trackio,
}

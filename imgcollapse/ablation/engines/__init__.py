"""Engines: ways to carry out many run folders. To add one, write a function that is an `Engine` and add its line to the table."""

from imgcollapse.ablation.engines.crew import Crew, Engine
from imgcollapse.ablation.engines.local import local
from imgcollapse.ablation.engines.ray import ray
from imgcollapse.ablation.engines.slurm import slurm

ENGINES: dict[str, Engine] = {
    "local": local,
    "slurm": slurm,
    "ray": ray,
}

__all__ = ["ENGINES", "Crew", "Engine"]

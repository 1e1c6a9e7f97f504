"""Engines: ways to carry out many run folders. To add one, write a function that is a `CarryOut` and add its line to the table."""

from imgcollapse.ablation.engines.crew import Crew, Engine
from imgcollapse.ablation.engines.local import local
from imgcollapse.ablation.engines.ray import RayOptions, ray
from imgcollapse.ablation.engines.slurm import SlurmOptions, slurm

ENGINES: dict[str, Engine] = {
    "local": Engine(local, here=True),
    "slurm": Engine(slurm, SlurmOptions),
    "ray": Engine(ray, RayOptions),
}

__all__ = ["ENGINES", "Crew", "Engine"]

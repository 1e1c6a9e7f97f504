"""Engines: ways to execute many run folders. To add one, write a function that is an `Execute` and add its line to the table."""

from imgcollapse.ablation.engines.configuration import Engine, EngineConfiguration
from imgcollapse.ablation.engines.local import local
from imgcollapse.ablation.engines.ray import RayOptions, ray
from imgcollapse.ablation.engines.slurm import SlurmOptions, slurm

ENGINES: dict[str, Engine] = {
    "local": Engine(local, here=True),
    "slurm": Engine(slurm, SlurmOptions),
    "ray": Engine(ray, RayOptions),
}

__all__ = ["ENGINES", "Engine", "EngineConfiguration"]

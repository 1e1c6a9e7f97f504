"""Imported once by the server that forks the local engine's processes: all that is slow to import, starts no threads and wakes no GPU."""

import warnings

from imgcollapse.ablation import worker  # noqa: F401
from imgcollapse.extractors import classifier_network  # noqa: F401
from imgcollapse.machine import torchvision_guard  # noqa: F401

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import DDPMPipeline, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel  # noqa: F401
    from sklearn import mixture  # noqa: F401

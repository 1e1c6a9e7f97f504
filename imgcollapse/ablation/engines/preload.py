"""Imported once by the server that forks the local engine's processes: all that is slow to import, starts no threads and wakes no GPU."""

import os
import warnings

# where libraries ask at their import whether there is a GPU, the driver would be woken, and no forked process could use the GPU any more
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"

from imgcollapse.ablation import worker  # noqa: F401
from imgcollapse.machine import torchvision_guard  # noqa: F401

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import DDPMPipeline, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel  # noqa: F401
    from sklearn import mixture  # noqa: F401

"""Denoising diffusion (Ho et al. 2020) on diffusers' `UNet2DModel` and schedulers."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, PrivateAttr

from imgcollapse import progress, seeds
from imgcollapse.errors import DataProblem
from imgcollapse.heavy import Tensor, functional, nn, torch
from imgcollapse.images import UNLABELLED, ImageSet, ImageStream, crop, from_signed, pad, to_signed
from imgcollapse.machine import checkpoints, devices, processes
from imgcollapse.models import folders, guidance
from imgcollapse.models.diffusion import by_size, denoised, refuse_stop, trained_levels
from imgcollapse.models.network import away_from, count_classes, put, start_from, weights_of
from imgcollapse.models.sampling import DiffusionSampling
from imgcollapse.models.weights import read_about, write_about
from imgcollapse.training import DECAY, BatchRandomness, Chosen, Loss, Training, fit_network, source_of

AUXILIARY = "auxiliary"  # in a model's folder: the network that it draws away from
BLOCK = 512  # pictures whose random numbers come from one seed
SCHEDULES = {"cosine": "squaredcos_cap_v2", "linear": "linear"}


class DDPM(Training):
    """Denoising diffusion: a UNet that learns to remove noise, and a sampler that removes it step by step."""

    kind: Literal["ddpm"] = "ddpm"
    steps: int = Field(0, ge=0, description="optimisation steps; 0: by picture size")
    batch: int = Field(0, ge=0, description="pictures per step; 0: by picture size")
    learning_rate: float = Field(0.0, ge=0, description="the peak learning rate; 0: by picture size")
    optimiser: Chosen = Field("auto", description="adamw, or muon (see imgcollapse.training.muon); auto: by picture size")
    decay: Literal["cosine", "linear", "constant"] = Field("linear", description=DECAY)
    widths: tuple[PositiveInt, ...] = Field((), description="channels at each resolution, the highest first; []: by picture size")
    layers: PositiveInt = Field(1, description="residual blocks at each resolution")
    patch: Literal[0, 1, 2, 4] = Field(
        0, description="patch size in pixels: the network sees patches of 2 x 2 or 4 x 4 as one position; 1: none; 0: by picture size"
    )
    attention: bool | None = Field(None, description="whether there is self-attention at the lowest resolution; none: by picture size")
    class_conditional: bool = Field(False, description="condition on the class; samples have the class shares of the training set")
    condition_dropout: float = Field(0.0, ge=0, lt=1, description="share of pictures trained without their class, for guidance: e.g. 0.1")
    prediction: Literal["epsilon", "v"] = Field("v", description="what is predicted: epsilon (the noise), or v (Salimans & Ho 2022)")
    schedule: Literal["cosine", "linear"] = Field(
        "cosine", description="noise schedule: cosine (Nichol & Dhariwal 2021), or linear (Ho et al. 2020)"
    )
    timesteps: PositiveInt = Field(1000, ge=2, description="T, the number of noise levels")
    log_snr: tuple[float, PositiveFloat] | None = Field(
        None, description="mean and standard deviation of the log signal-to-noise ratio in training; none: by picture size"
    )
    sampling: DiffusionSampling = Field(DiffusionSampling(), description="how pictures are drawn; it decides nothing of what is learned")

    LATER: ClassVar = ("mirror", "condition_dropout")
    MOVED: ClassVar = {"sampler": "sampling.sampler", "sampler_steps": "sampling.steps"}
    _net: Any = PrivateAttr(None)
    _auxiliary: tuple[Any, float] | None = PrivateAttr(None)  # the network that it draws away from, and with what weight
    _shape: tuple[int, int, int] = PrivateAttr((0, 0, 0))
    _classes: int = PrivateAttr(0)
    _shares: Tensor | None = PrivateAttr(None)

    def for_world(self, shape: tuple[int, int, int], classes: int, are_points: bool = False) -> Self:
        """The same, with what is left to the picture size chosen for (C, H, W), and told of that many classes.

        Raises DataProblem for points, SettingsProblem for an early stop before there is as little noise as the sampler begins with, and
        for guidance without what it is made of.
        """
        if are_points:
            raise DataProblem("model 'ddpm' learns pictures; for a world of points use gaussian, gmm or bootstrap")
        guidance.refuse(self.sampling.guidance, self.class_conditional, self.condition_dropout)
        resolved = self.model_copy(update=by_size(self, max(shape[1:])))
        resolved._classes = classes
        if self.sampling.stop:
            refuse_stop(self.sampling.stop, resolved._alphas_cumprod())
        return resolved

    def padded(self, shape: tuple[int, int, int]) -> int:
        """The side of the square that pictures of (C, H, W) are padded to, so that every patch and halving is exact, after `for_world`."""
        multiple = self.patch << len(self.widths) - 1
        return -(-max(shape[1:]) // multiple) * multiple

    def fit(self, images: ImageSet | ImageStream, seed: int, start: Self | None = None) -> Self:
        """A fitted copy. Where `for_world` was not asked, there are as many classes as labels of a set go.

        Raises DataProblem for points, for unlabelled pictures when class-conditional, and for a `start` of another architecture.
        """
        classes = self._classes or (int(images.labels.max()) + 1 if isinstance(images, ImageSet) else 0)
        chosen = self.for_world(images.shape, classes, images.are_points)
        seen = torch.zeros(classes, dtype=torch.int64)  # pictures of each class
        source = source_of(images, chosen._learned_of, lambda parts: count_classes(parts, seen))
        with seeds.global_torch_seed(seeds.derive(seed, "weights")):
            net = chosen._network(images.shape)
        start_from(net, start)
        loss = chosen._loss(net.config.sample_size)
        net = fit_network(net, loss, source, chosen, seeds.derive(seed, "fit"), what="ddpm", counted={"seen": seen})
        return chosen._fitted(net, images.shape, seen.double() / int(seen.sum()) if self.class_conditional else None)

    def _learned_of(self, pictures: ImageSet) -> tuple[Tensor, ...]:
        """Of a set, what the loss takes."""
        if not self.class_conditional:
            return (pictures.pixels,)
        if bool((pictures.labels == UNLABELLED).any()):
            raise DataProblem("model.class_conditional: the training set has pictures without a class; set it to false")
        return pictures.pixels, pictures.labels

    def _loss(self, side: int) -> Loss:
        device = devices.current().torch_device()
        alphas_cumprod = self._alphas_cumprod().to(device)
        assert self.log_snr is not None, "ask for_world first"
        levels = trained_levels(alphas_cumprod, self.log_snr).to(device)

        def loss(network: "nn.Module", rows: Sequence[Tensor], randomness: BatchRandomness) -> Tensor:
            pixels = randomness.mirrored(rows[0]) if self.mirror else rows[0]
            clean = pad(to_signed(pixels), side, value=-1.0)
            t = torch.searchsorted(levels, randomness.stratified()).clamp(max=self.timesteps - 1)
            noise = randomness.randn(*clean.shape[1:])
            a, s = (share[t].sqrt().view(-1, 1, 1, 1) for share in (alphas_cumprod, 1 - alphas_cumprod))
            target = noise if self.prediction == "epsilon" else a * noise - s * clean
            conditions = [guidance.dropped(classes, self._classes, self.condition_dropout, randomness) for classes in rows[1:]]
            found = network(a * clean + s * noise, t, *conditions, return_dict=False)[0]
            return functional.mse_loss(found.float(), target)

        return loss

    def sample(self, n: int, seed: int) -> ImageSet:
        """n new pictures; the same seed starts from the same noise x_T, so that two generations can be compared picture by picture.

        All random numbers of a picture are a function of the seed and of the BLOCK of pictures that it is in, not of how many blocks a
        device draws at once.
        """
        assert self._net is not None, "fit or load the model first"
        here = devices.current()
        device, net = here.torch_device(), self._net.to(here.torch_device())
        generator = seeds.torch_generator(seeds.derive(seed, "labels"))
        labels = None if self._shares is None else torch.multinomial(self._shares, n, replacement=True, generator=generator)
        steps = self.timesteps if self.sampling.sampler == "ddpm" else self.sampling.steps
        blocks, scheduler = torch.arange(n).split(BLOCK), self._scheduler()
        drawing, mine = checkpoints.Drawing(n, seed), range(len(blocks))[processes.share()]
        # the noise that the ancestral sampler adds on the way comes from one generator a block
        at_once = 1 if self.sampling.sampler == "ddpm" else here.at_once()
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=here.mixed_precision() == "bf16"):
            groups = [mine[first : first + at_once] for first in range(0, len(mine), at_once)]
            groups = [some for some in groups if not drawing.blocks.keys() >= set(some)]
            for some in (groups[number] for number in progress.steps(len(groups), "draw")):
                x = torch.cat([self._start(len(blocks[block]), seeds.derive(seed, "latents", block)) for block in some]).to(device)
                noise = seeds.torch_generator(seeds.derive(seed, "noise", some[0]), device)
                conditions = [] if labels is None else [torch.cat([labels[blocks[block]] for block in some]).to(device)]
                x = denoised(x, partial(self._found, net, conditions), scheduler, steps, self.sampling.stop, noise)
                parts = crop(from_signed(x), self._shape).cpu().split([len(blocks[block]) for block in some])
                drawing.add(dict(zip(some, parts, strict=True)))
        return ImageSet.of(processes.put_together(drawing.blocks), labels)

    def _found(self, net: "nn.Module", conditions: Sequence[Tensor], x: Tensor, t: Tensor) -> Tensor:
        """float32, as x: the prediction at x_t, away from that of an auxiliary network where there is one: (1 + w) v - w v_auxiliary.

        That extrapolates the score likewise (Alemohammad et al. 2024, SIMS): given x_t, score, noise and v are affine in each other.
        """
        found = self._predict(net, x, t, conditions)
        if self._auxiliary is None:
            return found
        other, weight = self._auxiliary
        return (1 + weight) * found - weight * self._predict(other.to(x.device), x, t, conditions)

    def _predict(self, net: "nn.Module", x: Tensor, t: Tensor, conditions: Sequence[Tensor]) -> Tensor:
        """float32, as x: what one network predicts at x_t, guided; `conditions`: int64 [N] classes, or nothing."""
        return guidance.guided(net, x, t, conditions, self.sampling.guidance, null=self._classes)

    def _start(self, n: int, seed: int) -> Tensor:
        """float32 [n, C, side, side] on the CPU: x_T of a block."""
        side = self._net.config.sample_size
        return self.sampling.temperature * torch.randn((n, self._shape[0], side, side), generator=seeds.torch_generator(seed))

    def save(self, folder: Path) -> None:
        """Writes the folder that `diffusers.DDPMPipeline.from_pretrained` opens; of a model with patches, given its network beside it (see
        `PatchedUNet`). What lies in it of a network that it draws away from, that pipeline leaves alone."""
        from imgcollapse.models.ddpm_network import save_pipeline

        save_pipeline(self._net, self._scheduler("ddpm"), folder)
        state: dict[str, Any] = {"shape": self._shape, "shares": None if self._shares is None else self._shares.tolist()}
        if self._auxiliary is not None:
            self._auxiliary[0].save_pretrained(folder / AUXILIARY)
            state[AUXILIARY] = self._auxiliary[1]
        write_about(folder, self, **state)

    def load(self, folder: Path) -> Self:
        """A fitted copy from a saved folder."""
        from imgcollapse.models.ddpm_network import opened

        about = read_about(folder)
        state, patch = about["state"], about["options"].get("patch", 1)
        shares = None if state["shares"] is None else torch.tensor(state["shares"], dtype=torch.float64)
        fitted = self._fitted(opened(folder / "unet", patch), tuple(state["shape"]), shares)
        if AUXILIARY in state:
            fitted._auxiliary = opened(folder / AUXILIARY, patch), state[AUXILIARY]
        return fitted

    def weights(self) -> dict[str, Tensor]:
        """Copies of the fitted network's weights, by name, on the CPU."""
        return weights_of(self._net)

    def with_weights(self, weights: Mapping[str, Tensor]) -> Self:
        """A fitted copy with these weights in place of its own. Raises DataProblem for those of another architecture."""
        net = deepcopy(self._net)
        put(net, weights)
        return self._fitted(net, self._shape, self._shares)

    def extrapolated(self, other: Self, weight: float, images: ImageSet | ImageStream, seed: int) -> Self:
        """A fitted copy with the weights (1 + w) theta - w theta_other; the class shares stay as they are."""
        return self._fitted(away_from(self._net, other._net, weight), self._shape, self._shares)

    def steered(self, other: Self, weight: float) -> Self:
        """A fitted copy that draws by the score (1 + w) s - w s_other: two evaluations a step."""
        steered = self._fitted(self._net, self._shape, self._shares)
        steered._auxiliary = other._net, weight
        return steered

    def begun(self, folder: Path, shape: tuple[int, int, int]) -> Self:
        """A copy, not trained, with the weights of a pipeline's folder for pictures of (C, H, W). Raises DataProblem for any other."""
        folders.refuse_other_model(folder, {"kind": self.kind}, needed=False)
        folders.refuse_other_pipeline(folder, self._scheduler("ddpm").config)
        return self._fitted(folders.read(folder / "unet", self._network(shape)), shape, None)

    def _fitted(self, net: "nn.Module", shape: tuple[int, int, int], shares: Tensor | None) -> Self:
        fitted = self.model_copy()
        fitted._net, fitted._shape, fitted._shares, fitted._auxiliary = net, shape, shares, None
        fitted._classes = self._classes if shares is None else len(shares)
        return fitted

    def _network(self, shape: tuple[int, int, int]) -> Any:
        from imgcollapse.models.ddpm_network import unet

        classes = self._classes if self.class_conditional else 0
        assert classes or not self.class_conditional, "ask for_world first: a stream does not say how many classes there are"
        known = classes + bool(self.condition_dropout)  # the last stands for no class
        return unet(shape[0], self.padded(shape), self.widths, self.layers, bool(self.attention), known, self.patch)

    def _scheduler(self, sampler: Literal["ddpm", "ddim", "dpm++"] | None = None) -> Any:
        from imgcollapse.models.ddpm_network import scheduler

        return scheduler(sampler or self.sampling.sampler, self.timesteps, SCHEDULES[self.schedule], self.prediction)

    def _alphas_cumprod(self) -> Tensor:
        """float32 [T]: the share of signal variance at each level, written with a bar over alpha in the papers."""
        return self._scheduler("ddpm").alphas_cumprod

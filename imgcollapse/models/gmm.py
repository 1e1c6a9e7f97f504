"""A mixture of Gaussians (scikit-learn), on pictures after a principal component analysis."""

import math
import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt, PrivateAttr, model_validator

from imgcollapse import progress, seeds
from imgcollapse.errors import DataProblem
from imgcollapse.heavy import Tensor, torch
from imgcollapse.images import ImageSet, ImageStream, from_unit, to_unit
from imgcollapse.models.likelihood import LEVEL, ROUNDING, dequantised
from imgcollapse.models.network import set_only
from imgcollapse.models.sampling import Tempered, densest
from imgcollapse.models.weights import read_about, read_tensors, write_about, write_tensors
from imgcollapse.settings import Settings


class GMM(Settings):
    """A Gaussian mixture fitted by expectation maximisation; pictures are reduced by a PCA first."""

    kind: Literal["gmm"] = "gmm"
    components: PositiveInt = Field(50, description="number of Gaussians")
    covariance: Literal["full", "tied", "diag", "spherical"] = Field(
        "full", description="shape of the covariances, as in scikit-learn: full, tied, diag or spherical"
    )
    pca: PositiveInt = Field(24, description="principal components that pictures are reduced to; points are not reduced")
    regularisation: PositiveFloat = Field(1e-3, description="added to every variance, as a share of the mean variance per kept component")
    iterations: PositiveInt = Field(100, description="greatest number of steps of expectation maximisation")
    sampling: Tempered = Field(Tempered(), description="how draws are made; it decides nothing of what is learned")

    LATER: ClassVar = ("sampling",)
    _mixture: Any = PrivateAttr(None)
    _centre: Tensor = PrivateAttr()
    _axes: Tensor = PrivateAttr()
    _left_out: Tensor | None = PrivateAttr(None)
    _shape: tuple[int, int, int] = PrivateAttr((0, 0, 0))
    _points: bool = PrivateAttr(False)

    @model_validator(mode="before")
    @classmethod
    def _of_older_versions(cls, values: Any) -> Any:
        """Studies and models that were kept when the temperature was an option of the model itself."""
        if isinstance(values, dict) and "temperature" in values and "sampling" not in values:
            kept = {name: value for name, value in values.items() if name != "temperature"}
            return {**kept, "sampling": {"temperature": values["temperature"]}}
        return values

    def for_world(self, shape: tuple[int, int, int], classes: int, are_points: bool = False) -> Self:
        """Itself: nothing follows the world."""
        return self

    def fit(self, images: ImageSet | ImageStream, seed: int, start: Self | None = None) -> Self:
        """A fitted copy. Raises DataProblem for fewer pictures than components, SettingsProblem for a stream or a start."""
        from sklearn.exceptions import ConvergenceWarning

        images = set_only(self, images, start)
        if len(images) < max(2, self.components):
            raise DataProblem(f"model.components: {self.components} Gaussians need as many pictures, there are {len(images)}; set fewer")
        values = to_unit(images.pixels).flatten(1).double()  # [N, D]
        centre = values.mean(0)
        axes, left_out = torch.eye(values.shape[1], dtype=torch.float64), None
        if not images.are_points:
            kept = min(self.pca, values.shape[1], len(images) - 1)
            moments = (values - centre).T @ (values - centre)
            found = torch.linalg.eigh(moments)
            axes = found.eigenvectors[:, -kept:].flip(1)
            left_out = found.eigenvalues[:-kept].clamp(min=0).mean() / len(images) if kept < values.shape[1] else None
        reduced = ((values - centre) @ axes).numpy()
        mixture = self._blank(
            random_state=seeds.derive(seed, "em") % 2**32, floor=self.regularisation * max(float(reduced.var(0).mean()), 1e-12)
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            mixture.fit(reduced)
        if any(issubclass(one.category, ConvergenceWarning) for one in caught):
            progress.say(f"gmm: not converged after {self.iterations} iterations; the fit is used as it is (raise model.iterations)")
        return self._fitted(mixture, centre, axes, left_out, images.shape, images.are_points)

    def sample(self, n: int, seed: int) -> ImageSet:
        """n draws; of pictures, back from the principal components and rounded to 0..255. Unlabelled.

        Where `sampling.keep` is less than 1 and there are several Gaussians, candidates are drawn until n have at least the density that
        the share `keep` of draws has, among the principal components, with the temperature. That density is estimated from LOOKED_AT other
        draws, the same for every seed: the share is met to sqrt(keep (1 - keep) / LOOKED_AT), 0.4 % at most. Of one Gaussian it is exact.
        """
        generator = seeds.numpy_generator(seed)
        keep = self.sampling.keep
        if keep == 1 or self.components == 1:
            draws = self._draws(n, generator, keep)
        else:
            looked_at = self._draws(LOOKED_AT, seeds.numpy_generator(seeds.derive(0, "threshold")))
            threshold, parts, left = np.quantile(self._own_density(looked_at), 1 - keep), [], n
            while left > 0:
                some = self._draws(min(LOOKED_AT, math.ceil(left / keep)), generator)
                parts.append(some[self._own_density(some) >= threshold][:left])
                left -= len(parts[-1])
            draws = np.concatenate(parts) if parts else self._draws(0, generator)
        values = (self._centre + torch.from_numpy(draws) @ self._axes.T).view(n, *self._shape)
        return ImageSet.of(values.float() if self._points else from_unit(values))

    def _draws(self, n: int, generator: np.random.Generator, keep: float = 1.0) -> NDArray[np.float64]:
        """[n, D]: draws among the principal components, with the temperature; of each Gaussian the densest `keep`."""
        chosen = generator.choice(len(self._mixture.weights_), n, p=self._mixture.weights_)
        noise = densest(torch.from_numpy(generator.standard_normal((n, self._axes.shape[1]))), keep).numpy()
        draws = np.empty_like(noise)
        for component in np.unique(chosen):  # a loop over Gaussians, not over pictures
            rows = chosen == component
            root = np.linalg.cholesky(self._full_covariance(component))
            draws[rows] = self._mixture.means_[component] + self.sampling.temperature * noise[rows] @ root.T
        return draws

    def _own_density(self, draws: NDArray[np.float64]) -> NDArray[np.float64]:
        """[N]: log density of draws, with the temperature."""
        found: NDArray[np.float64] = self._log_density(torch.from_numpy(draws), 0.0, self.sampling.temperature).numpy()
        return found

    def log_likelihood(self, images: ImageSet, seed: int, draws: int) -> Tensor:
        """float64 [N], in nats: log density of each point, or of each picture a lower bound of its log probability (`models.likelihood`).

        Of a picture that is not its principal components alone: the directions that the PCA leaves out have the mean of their variances
        in the training set (probabilistic PCA, Tipping & Bishop 1999, equation 8), which draws have not, and all directions have the
        variance of rounding. So it is of whole pictures, and finite. Draws are not needed. Raises DataProblem for a model that an older
        version saved, which did not keep the variance of what it leaves out.
        """
        if self._points:
            return self._log_density((images.pixels.flatten(1).double() - self._centre) @ self._axes, 0.0)
        values = dequantised(images, seed) - self._centre
        reduced, levels = values @ self._axes, values.shape[1] * math.log(LEVEL)
        found = self._log_density(reduced, ROUNDING**2) + levels
        if rest := values.shape[1] - reduced.shape[1]:
            if self._left_out is None:
                raise DataProblem("an older version saved this gmm without the variance that its PCA leaves out; make the run again")
            variance = float(self._left_out) + ROUNDING**2
            apart = (values - reduced @ self._axes.T).square().sum(1)
            found -= 0.5 * (apart / variance + rest * math.log(2 * math.pi * variance))
        return found

    def save(self, folder: Path) -> None:
        """Writes the model's folder."""
        write_about(folder, self, shape=self._shape, points=self._points)
        learned = {name: torch.from_numpy(np.asarray(getattr(self._mixture, name + "_"))) for name in LEARNED}
        rest = {} if self._left_out is None else {"left_out": self._left_out}
        write_tensors(folder, {"centre": self._centre, "axes": self._axes, **rest, **learned})

    def load(self, folder: Path) -> Self:
        """A fitted copy from a saved folder."""
        tensors, state = read_tensors(folder), read_about(folder)["state"]
        mixture = self._blank()
        for name in LEARNED:
            setattr(mixture, name + "_", tensors[name].numpy())
        shape, points = tuple(state["shape"]), bool(state["points"])
        return self._fitted(mixture, tensors["centre"], tensors["axes"], tensors.get("left_out"), shape, points)

    def _blank(self, random_state: int = 0, floor: float = 1e-6) -> Any:
        from sklearn.mixture import GaussianMixture

        return GaussianMixture(
            self.components, covariance_type=self.covariance, reg_covar=floor, max_iter=self.iterations, random_state=random_state
        )

    def _full_covariance(self, component: int) -> Any:
        covariances, dim = self._mixture.covariances_, self._axes.shape[1]
        match self.covariance:
            case "full":
                return covariances[component]
            case "tied":
                return covariances
            case "diag":
                return np.diag(covariances[component])
            case "spherical":
                return covariances[component] * np.eye(dim)

    def _log_density(self, values: Tensor, more: float, temperature: float = 1.0) -> Tensor:
        """float64 [N]: log density of the mixture at [N, D], with temperature times the standard deviations, and so much more variance in
        every direction."""
        terms = []
        for component, (weight, mean) in enumerate(zip(self._mixture.weights_, self._mixture.means_, strict=True)):
            own = temperature**2 * torch.from_numpy(self._full_covariance(component))
            covariance = own + more * torch.eye(values.shape[1], dtype=torch.float64)
            scale = torch.linalg.cholesky(covariance)
            normal = torch.distributions.MultivariateNormal(torch.from_numpy(mean), scale_tril=scale, validate_args=False)
            terms.append(normal.log_prob(values) + math.log(weight))
        return torch.stack(terms).logsumexp(0)

    def _fitted(
        self, mixture: Any, centre: Tensor, axes: Tensor, left_out: Tensor | None, shape: tuple[int, int, int], points: bool
    ) -> Self:
        fitted = self.model_copy()
        fitted._mixture, fitted._centre, fitted._axes, fitted._left_out = mixture, centre, axes, left_out
        fitted._shape, fitted._points = shape, points
        return fitted


LOOKED_AT = 16_384  # draws that tell the density that a share of them has, and candidates at a time, at most
LEARNED = ("weights", "means", "covariances", "precisions_cholesky")

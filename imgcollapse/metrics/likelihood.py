"""How probable held-out pictures are to a generation's model, and how probable its samples are to the model of generation 0."""

import math

from imgcollapse.heavy import Tensor, torch
from imgcollapse.metrics.evidence import Evidence
from imgcollapse.metrics.score import POSITIVE, UNIT, Score

RARE, RAREST = 0.05, 0.01  # shares of the real held-out pictures that lie in a tail
ACTIVE = 0.01  # variance over pictures from which a latent number tells them apart (Burda et al. 2016, section 5.2)

BITS = (
    "Minus the mean base-2 logarithm of a picture's probability among all 8-bit pictures of its size, divided by its number of values "
    "(pixels times channels); for a point, of the probability density, so that it may be negative. {of} Exact for the model gaussian and "
    "for points; for pictures an upper bound for gmm (uniform dequantisation, Theis et al. 2016) and vae (importance-weighted, Burda et "
    "al. 2016)."
)
TAIL = (
    "The share of samples {which} than {share} of N real held-out pictures, all under the model of generation 0. For real pictures it is "
    "{real} by construction. After the histograms of Shumailov et al. 2024 (perplexity of each generation's data under the first model)."
)


def _tail(title: str, which: str, share: str, real: str) -> Score:
    meaning = f"share of samples {which} under generation 0's model than {share} of real pictures; lower is better"
    definition, short = TAIL.format(which=which, share=share, real=real), title.removesuffix(" samples")
    return Score(title, meaning, "lower", "linear", 3, definition, short=short, bounds=UNIT, from_zero=True)


LIKELIHOOD: dict[str, Score] = {
    "bits_per_dim": Score(
        "bits per dimension",
        "of held-out real pictures under the generation's own model; lower is better",
        "lower",
        "linear",
        3,
        BITS.format(of="Of N held-out pictures, under the model of this generation: what it has forgotten becomes improbable."),
        short="bits/dim",
    ),
    "active_latents": Score(
        "active latents",
        "latent dimensions that the generation's own model uses for real pictures; higher is better, up to all it has",
        "higher",
        "linear",
        0,
        "In how many of a vae's latent dimensions the encoder's mean has a variance above 0.01 over N held-out pictures: the others have "
        "collapsed onto the prior, and the decoder ignores them (Burda et al. 2016, section 5.2).",
        bounds=POSITIVE,
        of="latents",
        from_zero=True,
    ),
    "reconstruction_error": Score(
        "reconstruction error",
        "of held-out real pictures by the generation's own model; lower is better",
        "lower",
        "linear",
        4,
        "Mean squared error, with pixels in 0..1, of N held-out pictures as a vae's decoder reconstructs them from the encoder's means.",
        short="recon. error",
        bounds=POSITIVE,
        from_zero=True,
    ),
    "bits_per_dim_of_samples": Score(
        "bits per dimension of samples",
        "of the samples under generation 0's model; lower is better, down to the value of real pictures",
        "lower",
        "linear",
        3,
        BITS.format(
            of="Of N samples of this generation, under the model of generation 0: below the value of real pictures they are too typical."
        ),
        short="samples' bits/dim",
    ),
    "unlikely": _tail("unlikely samples", "less likely", "95 %", "5 %"),
    "very_unlikely": _tail("very unlikely samples", "less likely", "99 %", "1 %"),
    "too_likely": _tail("too likely samples", "more likely", "95 %", "5 %"),
}


def likelihood(evidence: Evidence) -> dict[str, float]:
    """Log-likelihoods L_g(x) of a picture x, in nats, under the model of generation g; a picture has D values.

        bits_per_dim             - mean over N held-out x of L_g(x) / (D ln 2)
        active_latents           number of latent numbers whose encoder's mean has a variance over held-out x above 0.01 (vae only)
        reconstruction_error     mean over held-out x of the mean squared error of the decoded encoder's mean, pixels in 0..1 (vae only)
        bits_per_dim_of_samples  - mean over N samples s of generation g of L_0(s) / (D ln 2)
        unlikely, very_unlikely  share of s with L_0(s) below the 5 %, the 1 % quantile of L_0 of N held-out pictures: 0 to 1
        too_likely               share of s with L_0(s) above the 95 % quantile: 0 to 1

    Lower is better, except for active_latents; bits_per_dim_of_samples only down to the value of real pictures. Under a model that knows
    nothing all pictures have 8 bits per dimension; one that is confidently wrong gives more. Left out where a model is no longer kept, or
    has no likelihoods. Those of samples show what a chain makes improbable, or too typical, for the model that it began with: the tails
    of Shumailov et al. 2024.
    In their real-vs-real values held-out pictures stand for samples, and the model of generation 0 for that of generation g.
    Bias: none in the samples' means; the quantiles are of N pictures, so a share of 1 % is coarse below N = 1,000. bits_per_dim is a mean
    over what may be far out: a model that has lost all width in a coordinate pays without limit for a picture that differs there.
    Cost: O(N log N), beside the models' own: O(N) passes, times the draws of a latent code where they need them.
    """
    if evidence.likelihoods is None:
        return {}
    own_N, real_N, made_N = evidence.likelihoods.held_out, evidence.likelihoods.first_of_held_out, evidence.likelihoods.first_of_samples
    a_bit = evidence.likelihoods.dimensions * math.log(2)
    found = {} if own_N is None else {"bits_per_dim": -float(own_N.mean()) / a_bit}
    if evidence.likelihoods.codes is not None:
        mean_NL, error_N = evidence.likelihoods.codes
        found |= {"active_latents": float((mean_NL.var(0) > ACTIVE).sum()), "reconstruction_error": float(error_N.mean())}
    if real_N is None or made_N is None:
        return found
    low, lowest, high = (float(real_N.quantile(share)) for share in (RARE, RAREST, 1 - RARE))
    return found | {
        "bits_per_dim_of_samples": -float(made_N.mean()) / a_bit,
        "unlikely": _share(made_N < low),
        "very_unlikely": _share(made_N < lowest),
        "too_likely": _share(made_N > high),
    }


def _share(those_N: Tensor) -> float:
    return float(those_N.to(torch.float64).mean())

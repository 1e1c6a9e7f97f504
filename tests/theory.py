"""Finite-sample theory of chains of generations, with its derivations. n: pictures that generation 0 sees and that every model draws.

First `replace` in closed form, then the moments under every regime, the distribution of a class's count, and chains by doing it.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Moments = list[tuple[float, float]]  # E[var] and E[mean^2] of the models of generations 0, 1, 2 ...
Triple = tuple[float, float, float]
Row = int | tuple[int, int]  # of a training set: a real picture's number, or (g, j) for the j-th draw of generation g's model
EnsembleRow = int | tuple[int, int, int]  # the same of several chains: (g, c, j) for the j-th draw of chain c's model of generation g
Distribution = Values  # probabilities of the counts 0, 1, 2 ...


def gaussian_variance(n: int, fits: int, ddof: int = 0) -> float:
    """E[var_t], the expected variance of the model after t fits, the real distribution being N(0, 1).

    Given the model N(m, v), the maximum-likelihood variance of n draws has expectation v (1 - 1/n), the unbiased one (ddof 1) v. By the
    tower rule, t fits give (1 - 1/n)^t, or 1. (Shumailov et al. 2024, section on the 1-D Gaussian; Alemohammad et al. 2024.)
    """
    return (1 - 1 / n) ** fits if ddof == 0 else 1.0


def gaussian_mean_variance(n: int, fits: int, ddof: int = 0) -> float:
    """Var(mean_t), the variance of the model's mean after t fits.

    The mean of n draws of N(m, v) is m plus a step of variance v / n, and the steps are uncorrelated, so the variance is the sum of
    E[var_s] / n over s = 0 .. t - 1 with var_0 = 1: a geometric series, 1 - (1 - 1/n)^t; for ddof 1 simply t / n.
    """
    return 1 - (1 - 1 / n) ** fits if ddof == 0 else fits / n


def gaussian_log_variance(n: int, fits: int) -> tuple[float, float]:
    """Mean and variance of log(var_t) for the maximum-likelihood fit.

    var_{t+1} = var_t chi2_{n-1} / n with independent chi-squares: a random walk of the logarithm. E[log chi2_k] = psi(k/2) + log 2 and
    Var[log chi2_k] = psi'(k/2).
    """
    from scipy.special import polygamma, psi

    return fits * (float(psi((n - 1) / 2)) + math.log(2 / n)), fits * float(polygamma(1, (n - 1) / 2))


def gaussian_bits_of_real(n: int, fits: int) -> float:
    """Expected bits per coordinate of fresh real points, N(0, 1), under the maximum-likelihood model after t fits.

    Minus log2 of a normal density is log2(2 pi v)/2 + (x - m)^2 / (2 v ln 2), and E[(x - m)^2 / v] = E[1/v] + E[m^2 / v]. As var_t is
    var_{t-1} chi2_{n-1} / n and E[1/chi2_k] = 1/(k - 2), E[1/v_t] = (n / (n - 3))^t. The mean steps by a variance of v_{t-1} / n,
    independent of that chi-square: E[m_t^2 / v_t] = (E[m_{t-1}^2 / v_{t-1}] + 1/n) n / (n - 3), from 0.
    """
    grown, inverse, drift = n / (n - 3), 1.0, 0.0
    for _ in range(fits):
        inverse, drift = inverse * grown, (drift + 1 / n) * grown
    return 0.5 * math.log2(2 * math.pi) + (gaussian_log_variance(n, fits)[0] + inverse + drift) / (2 * math.log(2))


def gaussian_bits_of_samples(n: int) -> float:
    """Expected bits per coordinate of the samples of any generation under the maximum-likelihood model of generation 0.

    Given that model, N(m, v), later ones have E[var] = v (1 - 1/n)^g and E[(mean - m)^2] = v (1 - (1 - 1/n)^g), as `gaussian_variance` and
    `gaussian_mean_variance` say: what samples lose in width their drift gives back, and E[(s - m)^2 / v] = 1 for ever.
    """
    return 0.5 * math.log2(2 * math.pi) + (gaussian_log_variance(n, 1)[0] + 1) / (2 * math.log(2))


def distinct_originals(n: int, fits: int) -> float:
    """Expected share of the n real pictures that still have a copy among n draws after t generations of bootstrap.

    Kingman's coalescent run forward: each of the n pictures of a generation has on average one copy in the next, binomially distributed, so
    for large n the lines of descent are a branching process with Poisson(1) offspring. The share extinct by t is q_t = exp(q_{t-1} - 1),
    q_0 = 0; what is left is 1 - q_t: 63.2, 46.9, 37.4, 31.2, 26.8 % at t = 1 .. 5.
    """
    extinct = 0.0
    for _ in range(fits):
        extinct = (1 - (1 - extinct) / n) ** n
    return 1 - extinct


def diagonal_frechet(mean_1: list[float], var_1: list[float], mean_2: list[float], var_2: list[float]) -> float:
    """|m1 - m2|^2 + sum (sqrt v1 - sqrt v2)^2, the Fréchet distance of two Gaussians with diagonal covariances."""
    moved = sum((a - b) ** 2 for a, b in zip(mean_1, mean_2, strict=True))
    return moved + sum((math.sqrt(a) - math.sqrt(b)) ** 2 for a, b in zip(var_1, var_2, strict=True))


def expected_frechet(n: int, fits: int, dim: int) -> float:
    """E[FD] per study between N(0, I_dim) and the model after t maximum-likelihood fits, both known exactly.

    Per coordinate E[m_t^2] + 1 + E[v_t] - 2 E[sqrt v_t]. The first two are `gaussian_mean_variance` and `gaussian_variance`;
    sqrt v_t is a product of t independent chi_{n-1} / sqrt n, each of expectation sqrt(2/n) Gamma(n/2) / Gamma((n-1)/2).
    """
    root = math.sqrt(2 / n) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))
    return dim * (gaussian_mean_variance(n, fits) + 1 + gaussian_variance(n, fits) - 2 * root**fits)


def moments(regime: str, n: int, k: int, gens: int, ddof: int = 0) -> Moments:
    """E[var] and E[mean^2] of the Gaussian models of `gens` generations, the real distribution being N(0, 1).

    regime: replace, accumulate, accumulate-subsample, teacher, augment with k samples beside the n real pictures, or a pool of `retain`
            with k real pictures in every training set: fixed, resample, fresh.
    """
    match regime:
        case "accumulate":
            return accumulated_moments(n, gens, ddof)
        case "accumulate-subsample":
            return subsampled_moments(n, gens, ddof)
        case "augment":
            return augmented_moments(n, k, gens, ddof)
        case "teacher":
            first, *others = retained_moments("fresh", n, 0, min(gens, 2), ddof)
            return [first, *others * (gens - 1)]  # every later generation is a first one
    return retained_moments("fresh" if regime == "replace" else regime, n, 0 if regime == "replace" else k, gens, ddof)


def retained_moments(pool: str, n: int, k: int, gens: int, ddof: int = 0) -> Moments:
    """E[var] and E[mean^2] under `retain`, over all that is random: a linear recursion of second moments, exact for every n.

    A training set has n rows: k real ones of mean R, and n - k samples y = m + sqrt(v) z of the model before. With r = k/n, s = 1 - r,
    M = E[m^2], V = E[v], C = E[R m], and a prime for the next model, m' = r R + s mean(y) and E[y^2] = M + V, so that

        M' = r/n + 2 r s C + s^2 M + s V/n      real with real (r^2 E[R^2] = r^2/k), real with samples, samples (s^2 V/(n-k) = s V/n)
        A' = r + s (M + V)                      the mean square of a row
        V' = (A' - M') n / (n - ddof)           from M = 1/n, A = 1

    The pools differ in C alone, how far the model already leans towards the real rows it meets (z is independent of R: E[R y] = E[R m]):

        fresh:     C = 0, since no model has seen them.
        resample:  C = 1/n. The k rows are drawn without regard to the model, so given the n seen ones, of mean X, E[R] = X and C = E[X m];
                   E[X m'] = r E[X^2] + s E[X m] = r/n + s C, which stays at its start E[X^2] = 1/n.
        fixed:     C' = r E[R^2] + s C = 1/n + s C, from 1/n (R is made of k of the n rows of generation 0); so C_t = (1 - s^(t+1)) / k.

    For ddof 0 every row has the second moment 1 for ever, V = 1 - M, and M' = (1 + 2 r s n C)/n + (s^2 - s/n) M ends at

        M = (1 + 2 s u) / (k (1 + s) + s),  u = 0, r, 1 for fresh, resample, fixed.

    With few real pictures among many, the variance kept for ever is 2k/(2k + 1), or for `fixed` (2k - 2)/(2k + 1): it depends on their
    number, not on their share, and a single picture kept for ever saves nothing (then M = 1 exactly). k = 0 is `replace`.
    """
    r, s = k / n, 1 - k / n
    mean, var = 1 / n, (1 - 1 / n) * n / (n - ddof)
    with_real = {"fixed": 1 / n, "resample": 1 / n, "fresh": 0.0}[pool]
    found = [(var, mean)]
    for _ in range(gens - 1):
        square = r + s * (mean + var)
        mean = r / n + 2 * r * s * with_real + s**2 * mean + s * var / n
        var = (square - mean) * n / (n - ddof)
        with_real = 1 / n + s * with_real if pool == "fixed" else with_real
        found.append((var, mean))
    return found


def moments_given(
    learned: Sequence[Sequence[Row]],
    ddof: int = 0,
    temperature: float = 1.0,
    products: Values | None = None,
    copies: Sequence[tuple[Sequence[int], float]] = (),
) -> Moments:
    """The same under any regime, given which rows each generation learned from; draws have temperature times the standard deviation.

    All coordinates of a run share the rows that were chosen, and how these overlap from one generation to the next moves the expectation by
    more than the error of 20,000 coordinates. Given the rows, all that is needed are the second moments K of all rows with each other: 1
    for a real picture with itself, 0 for two of them, unless `products` says them, of the real rows in the order of their numbers. For the
    N rows L of a training set, with m = mean of x_l over L,

        E[m x_i] = mean of K[l, i],  M = E[m^2] = mean of K[l, l'],  V = (mean of K[l, l] - M) N / (N - ddof)

    and a draw y = m + T sqrt(v) z has E[y x_i] = E[m x_i], E[y y'] = M with another, and E[y^2] = M + T^2 V. Draws truncated by density
    have the mean m and the variance f v, and do not correlate, so that T^2 f stands for T^2 (`truncated_variance`).

    copies: of each generation, of which row of its training set each draw is a copy, and the standard deviation h of what is added to it
            (the models bootstrap and smooth): E[y x_i] = K[l, i], E[y y'] = K[l, l'], and h^2 more with itself.
    """
    real = {row for one in learned for row in one if isinstance(row, int)}
    number: dict[Row, int] = {row: i for i, row in enumerate(sorted(real))}
    later = sorted({row for one in learned for row in one if not isinstance(row, int)})
    products = np.eye(len(number)) if products is None else products[np.ix_(sorted(real), sorted(real))]
    found = []
    for g, one in enumerate(learned):
        assert len(set(one)) == len(one), "no picture is there twice"
        here = [number[row] for row in one]
        with_all = products[here].mean(0)
        mean = with_all[here].mean()
        var = (products[here, here].mean() - mean) * len(here) / (len(here) - ddof)
        found.append((float(var), float(mean)))
        drawn = [row for row in later if row[0] == g]
        old, new = len(products), len(drawn)
        if copies:
            rows, h = [here[copies[g][0][row[1]]] for row in drawn], copies[g][1]
            beside, among = products[:, rows], products[np.ix_(rows, rows)] + h**2 * np.eye(new)
        else:
            beside = np.tile(with_all[:, None], new)
            among = np.full((new, new), mean) + temperature**2 * var * np.eye(new)
        products = np.block([[products, beside], [beside.T, among]])
        number |= {row: old + j for j, row in enumerate(drawn)}
    return found


def truncated_variance(keep: float, dim: int) -> float:
    """The variance of each coordinate of a standard normal draw in `dim` dimensions, of which the share `keep` of greatest density is kept.

    The squared length r^2 has the chi-square distribution F_D, and what is kept lies within c, F_D(c^2) = keep. The density of chi-square
    satisfies r^2 f_D(r^2) = D f_{D+2}(r^2), so E[r^2; r <= c] = D F_{D+2}(c^2), and each coordinate has F_{D+2}(c^2) / F_D(c^2) (Tallis
    1963). For D = 1 that is 1 - 2 c phi(c) / keep, keep = 2 Phi(c) - 1.
    """
    from scipy.stats import chi2

    return float(chi2.cdf(chi2.ppf(keep, dim), dim + 2) / keep)


def shifted_moments(n: int, k: int, shift: float, variance: float, gens: int, ddof: int = 0, first: float = 1.0) -> list[Triple]:
    """E[mean], E[var] and E[mean^2] under `retain` with a biased pool of pictures that no generation has seen: exact for every n.

    Generation 0 learns from n rows of mean 0 and variance `first`; from then on k real rows of mean `shift` and of `variance`, all
    independent, stand among n - k samples. With r = k/n, s = 1 - r, B = E[m], M = E[m^2], V = E[v]:

        B' = r shift + s B,  so  B_g = shift (1 - s^g): it goes to the biased mean at the rate of the real fraction
        M' = r^2 (shift^2 + variance/k) + 2 r s shift B + s^2 (M + V/(n - k))
        A' = r (shift^2 + variance) + s (M + V),  V' = (A' - M') n / (n - ddof)

    For large n V' = r variance + s V + r s (shift - B)^2, the variance within both parts and between them, which ends at `variance`.
    """
    r, s = k / n, 1 - k / n
    drift, square, var = 0.0, first / n, first * (1 - 1 / n) * n / (n - ddof)
    found = [(drift, var, square)]
    for _ in range(gens - 1):
        mean_square = r * (shift**2 + variance) + s * (square + var)
        spread = (variance * r + s * var) / n  # of the mean: r^2 variance / k + s^2 V / (n - k)
        square = r**2 * shift**2 + 2 * r * s * shift * drift + s**2 * square + spread
        drift = r * shift + s * drift
        var = (mean_square - square) * n / (n - ddof)
        found.append((drift, var, square))
    return found


def smoothed_moments(pool: str, n: int, k: int, gens: int, h: float) -> Moments:
    """E[var] and E[mean^2] of the training sets of a `smooth` chain that adds noise of standard deviation h to every draw.

    A draw has, given the training set, its mean and its variance V + h^2 (ddof 0), so that V + h^2 stands for V wherever a sample enters
    the recursions of `retained_moments` (of `replace`: k = 0). For large n, the variance of what a model draws, v = V + h^2, is
    v' = r + s v + h^2, which ends at 1 + h^2 / r; with k = 0 it grows for ever, by h^2 a generation.
    """
    r, s = k / n, 1 - k / n
    mean, var = 1 / n, 1 - 1 / n
    with_real = {"fixed": 1 / n, "resample": 1 / n, "fresh": 0.0}[pool]
    found = [(var, mean)]
    for _ in range(gens - 1):
        square = r + s * (mean + var + h**2)
        mean = r / n + 2 * r * s * with_real + s**2 * mean + s * (var + h**2) / n
        var = square - mean
        with_real = 1 / n + s * with_real if pool == "fixed" else with_real
        found.append((var, mean))
    return found


def curated(n: int, candidates: int) -> tuple[float, float]:
    """What keeping the n greatest of so many draws of N(m, v) does to the fit: E[(m' - m) / sqrt v] and E[v' / v], for ddof 0.

    Given the (candidates - n)-th smallest standardised draw t, the n above it are independent draws of N(0, 1) beyond t, of mean
    L = phi(t) / (1 - Phi(t)) and variance 1 + t L - L^2. So the two are the expectations of L and of (1 + t L - L^2)(1 - 1/n) over t,
    Phi(t) ~ Beta(candidates - n, n + 1) (David & Nagaraja 2003, section 2.5). Exact for every n, whatever m and v are, so that
    E[v_g] = (1 - 1/n) E[v'/v]^g.
    """
    from scipy.integrate import quad
    from scipy.stats import beta, norm

    below = beta(candidates - n, n + 1)

    def over(of: Callable[[float, float], float]) -> float:
        def at(p: float) -> float:
            t = norm.ppf(below.ppf(p))
            return of(t, norm.pdf(t) / norm.sf(t))

        return float(quad(at, 0, 1, epsabs=1e-9, limit=200)[0])

    return over(lambda t, mills: mills), (1 - 1 / n) * over(lambda t, mills: 1 + t * mills - mills**2)


def preferred(c: int, of: int, k: int) -> float:
    """The expected share of the better liked of two classes among one chosen from each k pictures, of which c of `of` are of it.

    By Bradley-Terry with ratings over their standard deviation, which for two values apart by d is d sqrt(c (of - c) / (of (of - 1))): the
    class is weighed e^D, D = sqrt(of (of - 1) / (c (of - c))). A group holds j of it with the hypergeometric probability, and it is chosen
    with j e^D / (j e^D + k - j). For many pictures j is binomial, p' = p H_K(p) (Ferbach et al. 2024), and for many choices
    p' = p e^D / (p e^D + 1 - p).
    """
    from scipy.stats import hypergeom

    if c in (0, of):
        return c / of
    liked, j = math.exp(math.sqrt(of * (of - 1) / (c * (of - c)))), np.arange(k + 1)
    return float(hypergeom.pmf(j, of, c, k) @ (j * liked / (j * liked + k - j)))


def ensemble_moments(mix: str, n: int, chains: int, gens: int, ddof: int = 0) -> list[tuple[float, float, float]]:
    """E[var], E[mean^2] and E[mean mean'] of two chains, of K chains of Gaussians under `replace`, by generation; n a multiple of K.

    All chains fit the same n real pictures, so at first the means m and m' of two are one: C = E[m m'] = M = E[m^2] = 1/n. A draw of a
    model is y = m + sqrt(v) z, so rows of one model have E[y^2] = M + V and E[y y'] = M with another, rows of two models C.

        own:  M' = M + V/n, C' = C, each chain by itself.
        ring: the same: a chain's rows are of one model, whosesoever it is, and all are alike. What differs is whose lineage stands where.
        all:  n/K rows of each model. With the n rows' mean square M + V, their mean, and the means of two chains, which choose their rows
              of a model's n without regard to each other (each mean is unbiased for that of all n, whose square has E = M + V/n),

                  M' = (M + (K - 1) C)/K + V/n,  C' = (M + (K - 1) C)/K + V/(n K)

    In each, V' = (M + V - M') n/(n - ddof): the variance within the sets and that between their means,

        V' = (1 - 1/n) V + (1 - 1/K) D  for ddof 0,  D = M - C, which is (1 - 1/K) V/n one generation later, and 0 at first.

    So V falls by 1 - (2/K - 1/K^2)/n a generation, in the long run and for large n: K = 1 is the chain alone, and with many chains it
    lasts K/2 times as long. M + V stays 1: what is not lost as variance within a model has become distance between the models' means
    and the real one.
    """
    mean, cross = 1 / n, 1 / n
    var = (1 - 1 / n) * n / (n - ddof)
    found = [(var, mean, cross)]
    for _ in range(gens - 1):
        both = (mean + (chains - 1) * cross) / chains if mix == "all" else mean
        square, mean = mean + var, both + var / n
        cross = both + var / (n * chains) if mix == "all" else cross
        var = (square - mean) * n / (n - ddof)
        found.append((var, mean, cross))
    return found


def ensemble_moments_given(learned: Sequence[Sequence[Sequence[EnsembleRow]]], ddof: int = 0) -> list[NDArray[np.float64]]:
    """The same given which rows each chain of each generation learned from: of a generation [K, K], E[m_c m_d], and in a last row E[var_c].

    As `moments_given`, for several models of a generation: y of chain c and y' of chain d have E[y y'] = E[m_c m_d], the mean of the second
    moments of all rows of the one's training set with all of the other's.
    """
    names = {row for generation in learned for one in generation for row in one}
    number: dict[EnsembleRow, int] = {row: i for i, row in enumerate(sorted(row for row in names if isinstance(row, int)))}
    products, found = np.eye(len(number)), []
    for g, generation in enumerate(learned):
        here = [[number[row] for row in one] for one in generation]
        with_all = np.array([products[rows].mean(0) for rows in here])  # E[m_c x_i]
        means = np.array([[with_all[c][rows].mean() for rows in here] for c in range(len(here))])
        var = [(products[rows, rows].mean() - means[c, c]) * len(rows) / (len(rows) - ddof) for c, rows in enumerate(here)]
        found.append(np.vstack([means, var]))
        drawn = sorted(row for row in names if not isinstance(row, int) and row[0] == g)
        of = [row[1] for row in drawn]
        new = means[np.ix_(of, of)] + np.diag([var[c] for c in of])
        products = np.block([[products, with_all[of].T], [with_all[of], new]])
        number |= {row: len(number) + j for j, row in enumerate(drawn)}
    return found


def augmented_moments(n: int, k: int, gens: int, ddof: int = 0) -> Moments:
    """E[var] and E[mean^2] under `augment`: from generation 1 on, N = n + k rows, the n real ones for ever, of mean R, and k samples.

    With r = n/N, s = k/N, and C = E[R m], which starts at E[R^2] = 1/n and stays there, for C' = r E[R^2] + s C:

        M' = (r^2 + 2 r s)/n + s^2 M + s^2 V/k,  A' = r + s (M + V),  V' = (A' - M') N / (N - ddof)

    For ddof 0, A = 1 for ever, and M ends at ((r^2 + 2 r s)/n + s^2/k) / (1 - s^2 + s^2/k).
    """
    rows = n + k
    r, s = n / rows, k / rows
    mean, var = 1 / n, (1 - 1 / n) * n / (n - ddof)
    found = [(var, mean)]
    for _ in range(gens - 1):
        square = r + s * (mean + var)
        mean = (r**2 + 2 * r * s) / n + s**2 * (mean + var / k)
        var = (square - mean) * rows / (rows - ddof)
        found.append((var, mean))
    return found


def subsampled_moments(n: int, gens: int, ddof: int = 0) -> Moments:
    """E[var] and E[mean^2] under `accumulate-subsample`: n of the N = n (g + 1) rows that there are, without replacement.

    Let the rows that there are have the mean u and the mean square Q, with U = E[u^2]. Given them, a training set has the mean u in
    expectation, with the variance (1 - n/N) N/(N - 1) (Q - u^2) / n of sampling from a finite population (Cochran 1977, theorem 2.2), so

        M = U + (1 - n/N) N/(N - 1) (E[Q] - U) / n,  V = (E[Q] - M) n / (n - ddof)

    The n samples, of mean m + d with Var(d) = V/n, join g + 1 = j blocks, and E[u m] = U:

        U' = (j^2 U + 2 j U + M + V/n) / (j + 1)^2,  E[Q'] = (j E[Q] + M + V) / (j + 1)

    from U = 1/n and E[Q] = 1, which stays 1 for ddof 0.
    """
    of_all, square, found = 1 / n, 1.0, []
    for j in range(1, gens + 1):
        rows = n * j
        mean = of_all if j == 1 else of_all + (1 - n / rows) * rows / (rows - 1) * (square - of_all) / n
        var = (square - mean) * n / (n - ddof)
        found.append((var, mean))
        of_all = (j * j * of_all + 2 * j * of_all + mean + var / n) / (j + 1) ** 2
        square = (j * square + mean + var) / (j + 1)
    return found


def accumulated_moments(n: int, gens: int, ddof: int = 0) -> Moments:
    """E[var] and E[mean^2] under `accumulate`: generation g learns from N = n (g + 1) rows, the real ones and all samples so far.

    The n samples of generation g - 1, of mean m + d with Var(d) = V/n, join n g rows of mean m. So with j = g + 1 blocks of n rows

        m' = m + d/j,  M' = M + V / (n j^2),  A' = ((j - 1) A + M + V) / j,  V' = (A' - M') N / (N - ddof)

    from M = 1/n, A = 1. For ddof 0, A = 1 for ever, V = 1 - M and V' = V (1 - 1/(n j^2)): V_g is the product of 1 - 1/(n j^2) over
    j = 1 .. g + 1, which by Euler's product for the sine never falls below sin(pi/sqrt n) / (pi/sqrt n), about 1 - 1.64/n.
    """
    mean, square, found = 1 / n, 1.0, []
    for j in range(1, gens + 1):
        var = (square - mean) * n * j / (n * j - ddof)
        found.append((var, mean))
        square = (j * square + mean + var) / (j + 1)
        mean += var / (n * (j + 1) ** 2)
    return found


def heterozygosity(regime: str, n: int, k: int, gens: int) -> list[float]:
    """E[H] of the training sets of a `bootstrap` chain by generation, H = 1 - sum p^2, where every real picture is a class of its own.

    p (1 - p) is the maximum-likelihood variance of a class's indicator, and H is the sum over the classes. A draw from the training set
    has, given the set, the set's mean and mean square, as has a draw of the Gaussian with ddof 0; nothing else entered the recursions
    above. So H follows V: for real pictures drawn from a world of heterozygosity H_w (1 where no two are alike), E[H_g] = H_w V_g. Under
    `replace` this is H_w (1 - 1/n)^(g+1), the decay of a haploid population (Wright 1931).

    Given the real set that generation 0 saw, with heterozygosity H_0 and in random order, E[H_g] = H_0 V_g / V_0 under every regime but
    fresh: E[H_g] is then a quadratic form of the seen indicators that is symmetric in them and zero where all are equal, hence a multiple
    of H_0, and the multiple is that of any other exchangeable rows.
    """
    return [var for var, _ in moments(regime, n, k, gens)]


def class_distributions(regime: str, n: int, k: int, gens: int, c: int, share: float = 0.0) -> list[Distribution]:
    """The distribution of a class's count in the training sets of a `bootstrap` chain by generation; generation 0 saw c of it among n.

    Each draw is of the class with probability z/N, z of N being its count in the training set, so (Wright 1931, Fisher 1930) the rows taken
    from the samples hold Binomial(n - k, z/n) of it; `replace`: k = 0. The real rows add J, independent of the samples given the past:
    Hypergeometric(n, c, k) anew for `resample`; the same J for ever for `fixed`, hence a mixture over J; Binomial(k, share) for `fresh`,
    share being the class's in the world. `accumulate`: z' = z + Binomial(n, z/N), N = n (g + 1), a Pólya urn fed in blocks; a training set
    of `accumulate-subsample` holds Hypergeometric(N, Z, n) of the Z that there are, to which the samples add Binomial(n, z/n). `augment`:
    c + Binomial(k, z/N) with N = n + k, or n at first. `teacher`: Binomial(n, c/n) from generation 1 on.
    """
    from scipy.stats import binom, hypergeom

    real = np.arange(k + 1)
    match regime:
        case "accumulate-subsample":
            return _subsampled(n, gens, c)
        case "augment":
            distributions = [np.eye(n + 1)[c]]
            for _ in range(gens - 1):
                before = distributions[-1]
                joined = before @ binom.pmf(real, k, np.arange(len(before))[:, None] / (len(before) - 1))
                distributions.append(np.concatenate([np.zeros(c), joined, np.zeros(n - c)]))
            return distributions
        case "teacher":
            return [np.eye(n + 1)[c], *[binom.pmf(np.arange(n + 1), n, c / n)] * (gens - 1)]
        case "accumulate":
            distribution, distributions = np.eye(n + 1)[c], []
            for _ in range(gens):
                distributions.append(distribution)
                counts = np.arange(len(distribution))
                joined = distribution[:, None] * binom.pmf(np.arange(n + 1), n, counts[:, None] / counts[-1])
                distribution = np.bincount((counts[:, None] + np.arange(n + 1)).flatten(), joined.flatten())
            return distributions
        case "replace":
            return _drift(n, gens, c, np.ones(1))
        case "fresh":
            return _drift(n, gens, c, binom.pmf(real, k, share))
        case "resample":
            return _drift(n, gens, c, hypergeom.pmf(real, n, c, k))
    among = real[: c + 1]  # no more than all c of them
    chains = [_drift(n, gens, c, np.eye(k + 1)[j]) for j in among]
    return list(np.einsum("j,jgz->gz", hypergeom.pmf(among, n, c, k), np.array(chains)))


def absence(distributions: Sequence[Distribution], n: int) -> list[float]:
    """The probability that a class has no picture among the n samples of each generation: E[(1 - z/N)^n].

    Of generation 0: (1 - c/n)^n. Under `replace` a class once absent is lost for ever; else real pictures or older samples bring it back.
    """
    return [float(distribution @ (1 - np.arange(len(distribution)) / (len(distribution) - 1)) ** n) for distribution in distributions]


def _drift(n: int, gens: int, c: int, real: Distribution) -> list[Distribution]:
    """Count distributions of a Wright-Fisher chain in which len(real) - 1 of n rows are real, their count drawn from `real`."""
    from scipy.stats import binom

    sampled = n + 1 - len(real)
    drawn = binom.pmf(np.arange(sampled + 1), sampled, np.arange(n + 1)[:, None] / n)  # [n + 1, sampled + 1]
    distributions = [np.eye(n + 1)[c]]
    for _ in range(gens - 1):
        distributions.append(np.convolve(real, distributions[-1] @ drawn))
    return distributions


def _subsampled(n: int, gens: int, c: int) -> list[Distribution]:
    """Count distributions of n rows chosen from n (g + 1), to which n draws from them are added in every generation."""
    from scipy.stats import binom, hypergeom

    counts = np.arange(n + 1)
    there, distributions = np.eye(n + 1)[c], []  # of all rows that there are
    for g in range(gens):
        chosen = hypergeom.pmf(counts, n * (g + 1), np.arange(len(there))[:, None], n)  # [of all, of those chosen]
        distributions.append(there @ chosen)
        drawn = there[:, None] * (chosen @ binom.pmf(counts, n, counts[:, None] / n))  # [of all, of those drawn]
        there = np.bincount((np.arange(len(there))[:, None] + counts).flatten(), drawn.flatten())
    return distributions


def simulated(
    regime: str, n: int, k: int, gens: int, rng: np.random.Generator, real: Callable[[int], Values], draw: Callable[[Values], Values]
) -> list[Values]:
    """The training sets of the generations by doing it, [replicates, rows] each, in numpy alone, every replicate with choices of its own.

    real(rows): [replicates, rows] that no one has seen. draw(training set): the n samples of the model that learned from it.
    """
    seen = real(n)
    learned, drawn = [seen], [draw(seen)]
    for _ in range(gens - 1):
        if regime == "accumulate":
            learned.append(np.hstack([seen, *drawn]))
        elif regime == "accumulate-subsample":
            there = np.hstack([seen, *drawn])
            learned.append(np.take_along_axis(there, rng.random(there.shape).argsort(1)[:, :n], 1))
        elif regime == "augment":
            learned.append(np.hstack([seen, drawn[-1][:, :k]]))
        elif regime == "teacher":
            learned.append(draw(seen))
        elif regime == "replace":
            learned.append(drawn[-1])
        else:
            kept = real(k) if regime == "fresh" else seen[:, :k]
            if regime == "resample":
                kept = np.take_along_axis(seen, rng.random(seen.shape).argsort(1)[:, :k], 1)
            learned.append(np.hstack([kept, drawn[-1][:, : n - k]]))
        drawn.append(draw(learned[-1]))
    return learned


# --- denoising of normal values, exactly


def ddim(signal: Sequence[float], *networks: tuple[float, float, float]) -> tuple[float, float]:
    """Mean and standard deviation of what DDIM (eta 0) draws from N(0, 1) in finitely many steps, by exact denoisers of normal values.

    signal:   a^2 of every level that it comes to, the last the one at which it ends: 1, or 1 - s^2 with an early stop at noise s
    networks: (share, m, d): shares add up to 1; one network (1, m, d), or w away from another: (1 + w, m, d), (-w, m', d')

    At x = a x_0 + s e the mean of x_0, where that is N(m, d^2), is m + a d^2 (x - a m) / (a^2 d^2 + s^2). All is affine: x' is k x + c.
    """
    mean, deviation = 0.0, 1.0
    for before, after in itertools.pairwise(signal):
        a, s, a_next, s_next = (math.sqrt(part) for part in (before, 1 - before, after, 1 - after))
        gains = [a * d**2 / (before * d**2 + 1 - before) for _, _, d in networks]
        gain = sum(share * k for (share, _, _), k in zip(networks, gains, strict=True))
        offset = sum(share * m * (1 - a * k) for (share, m, _), k in zip(networks, gains, strict=True))
        k, c = s_next / s + (a_next - s_next * a / s) * gain, (a_next - s_next * a / s) * offset
        mean, deviation = k * mean + c, abs(k) * deviation
    return mean, deviation


def noisy(mean: float, variance: float, stop: float) -> tuple[float, float]:
    """Mean and variance of sqrt(1 - s^2) x_0 + s e, which a perfect sampler draws that stops at noise s."""
    return math.sqrt(1 - stop**2) * mean, (1 - stop**2) * variance + stop**2


def stopped_early(
    mean: float,
    variance: float,
    stops: Sequence[float],
    real: float = 0.0,
    draw: Callable[[float, float, float], tuple[float, float]] = noisy,
) -> Moments:
    """Mean and variance of what generations 0, 1, 2 ... draw that stop at noise s_g, with perfect scores and endlessly many samples.

    Under `replace` (real = 0) mean_g = mean prod a_j and 1 - var_g = (1 - var) prod a_j^2 with a^2 = 1 - s^2: all goes to N(0, 1), noise,
    unless sum s_g^2 converges, as it does where s_g = s c^g. With a share f of real pictures among those learned from, the variance of the
    mixture is f var + (1 - f) var_(g-1) + f (1 - f) (mean - mean_(g-1))^2. (Khelifa, Turner & Venkataramanan 2026, where s_g^2 =
    1 - exp(-2 t_g).)
    """
    found: Moments = []
    learned = mean, variance
    for stop in stops:
        m, v = draw(*learned, stop)
        found.append((m, v))
        learned = real * mean + (1 - real) * m, real * variance + (1 - real) * v + real * (1 - real) * (mean - m) ** 2
    return found

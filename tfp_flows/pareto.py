"""The index k of the tail of importance weights, which says whether their mean can be trusted."""

import numpy as np

__all__ = ["pareto_k"]

LEAST_TAIL = 5  # weights that a tail can be told from
PRIOR_K, PRIOR_WEIGHTS = 0.5, 10  # what k is drawn to where the tail is of few weights, and of how many that is worth


def pareto_k(log_weight: np.ndarray) -> float:
    """Index k of the generalised Pareto law that the largest weights `exp(log_weight [N])` follow.

    The tail is of the `min(N / 5, 3 sqrt(N))` largest weights. Moments of the weights exist up to the order 1 / k:
    below 0.5 their variance is finite, and above 0.7 no average of practical size is near its mean. It is -inf for
    weights that are all the same, infinite where all but a few are zero, and NaN of too few to tell.

    Example:

    >>> import numpy as np
    >>> u = np.random.default_rng(0).uniform(size=100_000)
    >>> round(pareto_k(-0.6 * np.log(u)), 1)  # weights u^-0.6, whose tail has k = 0.6
    0.6

    Source: Vehtari et al., arXiv:1507.02646, after Zhang and Stephens, Technometrics 51 (2009), 316.
    """
    log_weight = np.sort(np.asarray(log_weight, np.float64))
    size = int(np.ceil(min(len(log_weight) / 5, 3 * np.sqrt(len(log_weight)))))
    if size < LEAST_TAIL:
        return np.nan
    if not np.isfinite(log_weight[-1]):
        return np.inf
    weights = np.exp(log_weight - log_weight[-1])
    excess = weights[-size:] - weights[-size - 1]
    if excess[-1] <= 0:
        return -np.inf
    excess = excess[excess > 0]
    return _shape(excess) if len(excess) >= LEAST_TAIL else np.inf


def _shape(excess: np.ndarray) -> float:
    """k of a generalised Pareto law: the posterior mean over a grid of its other parameter, theta = -k / scale."""
    n = len(excess)
    points = np.arange(1, 31 + int(np.sqrt(n))) - 0.5
    quartile = excess[max(0, int(n / 4 + 0.5) - 1)]
    theta = 1 / excess[-1] + (1 - np.sqrt((points[-1] + 0.5) / points)) / (3 * quartile)
    k = np.mean(np.log1p(-theta[:, None] * excess), axis=1)
    likelihood = n * (np.log(-theta / k) - k - 1)
    posterior = np.exp(likelihood - likelihood.max())
    best = np.mean(np.log1p(-np.sum(theta * posterior) / posterior.sum() * excess))
    return float((n * best + PRIOR_WEIGHTS * PRIOR_K) / (n + PRIOR_WEIGHTS))

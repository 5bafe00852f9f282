"""The integral of a density over all of its space, by draws that know nothing of the density's own formula.

    integral{ p(x) dx } = E{ p(x) / q(x) },   x ~ q          importance sampling

q is built from samples alone: heavy-tailed kernels around some of them, and a law with tails like a Cauchy's around
all of them. It lives in coordinates of its own: the logarithm of the distance from a column's end, or the logit
between two, on a circle the angle; elsewhere the numbers, whitened. So a wrong log-det of a flow does not cancel.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfp_flows.pareto import pareto_k

__all__ = ["Integral", "integral_of"]

CENTRES = 1_000
DRAWS = 10_000  # of a round
ROUNDS = 6
ENOUGH = 0.003  # standard error, at which no further round is drawn
WIDE = 0.25  # part of the draws that come from the tails' law
KERNEL_DF = 4.0  # of Student's t laws: the kernels'
TAIL_DF = 1.0  # and that of the tails
CONCENTRATION = 20.0  # of kernels on circles, von Mises'


class Integral(NamedTuple):
    """An estimate of an integral, its standard error, and the index of the weights' tail: above 0.7, trust neither."""

    value: float
    error: float
    pareto_k: float


def integral_of(
    log_prob: Callable[[np.ndarray], np.ndarray],
    samples: np.ndarray,
    *,
    support: tuple[np.ndarray, np.ndarray] | None = None,
    circular: dict[int, tuple[float, float]] | None = None,
    seed: int = 0,
) -> Integral:
    """The integral of `exp(log_prob(x))` for x `[N, D]`, D small; a density's is 1.

    Args:
      log_prob: of rows `[N, D]` in float64, `[N]`.
      samples: rows `[M, D]` about where the density is; it may be elsewhere too.
      support: lower and upper ends `[D]`, infinite where open.
      circular: ends of one period of columns that come round again.
      seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    chart = _Chart(samples, support, circular or {})
    proposal = _Proposal(chart.flat(samples), chart.is_circular, rng)
    log_weights = np.zeros(0)
    for _ in range(ROUNDS):
        y = proposal.draw(DRAWS)
        x, log_scale = chart.rows(y)
        good = np.isfinite(x).all(axis=1) & np.isfinite(log_scale)
        found = np.full(len(x), -np.inf)  # where floats end, what a density has is nothing
        found[good] = log_prob(x[good]) + log_scale[good]
        log_weights = np.concatenate([log_weights, found - proposal.log_prob(y)])
        result = _summed(log_weights)
        if not result.error > ENOUGH:
            break
    return result


def _summed(log_weights: np.ndarray) -> Integral:
    most = log_weights.max()
    if not np.isfinite(most):  # no mass at all, or NaN
        return Integral(float(np.exp(most)), 0.0, -np.inf)
    weights = np.exp(log_weights - most)
    scale = float(np.exp(most))
    error = weights.std() / np.sqrt(len(weights))
    return Integral(float(weights.mean() * scale), float(error * scale), pareto_k(log_weights))


class _Chart:
    """Coordinates y on the line, or on a circle of radius 1, of rows within their ends."""

    def __init__(
        self,
        samples: np.ndarray,
        support: tuple[np.ndarray, np.ndarray] | None,
        circular: dict[int, tuple[float, float]],
    ) -> None:
        size = samples.shape[1]
        self._low, self._high = support or (np.full(size, -np.inf), np.full(size, np.inf))
        self._circular = circular
        self.is_circular = np.isin(np.arange(size), list(circular))
        line = ~self.is_circular
        z = self._opened(samples)[:, line]
        self._middle = np.median(z, axis=0)
        spread = np.diff(np.quantile(z, [0.05, 0.95], axis=0), axis=0)[0] / 3.29
        self._spread = np.where(spread > 0, spread, 1.0)
        part = np.clip((z - self._middle) / self._spread, -5, 5)
        self._factor = np.linalg.cholesky(part.T @ part / len(part) + 1e-6 * np.eye(line.sum()))

    def flat(self, x: np.ndarray) -> np.ndarray:
        """Rows as coordinates `[N, D]`."""
        y = self._opened(x)
        line = ~self.is_circular
        scaled = (y[:, line] - self._middle) / self._spread
        y[:, line] = np.linalg.solve(self._factor, scaled.T).T
        return y

    def rows(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of coordinates, `[N, D]`, and `log|det dx / dy|`, `[N]`."""
        z, line = y.copy(), ~self.is_circular
        z[:, line] = y[:, line] @ self._factor.T * self._spread + self._middle
        log_scale = np.full(len(y), np.log(self._spread).sum() + np.log(np.diag(self._factor)).sum())
        x = np.empty_like(z)
        with np.errstate(over="ignore"):
            for i, part in enumerate(z.T):
                low, high = self._low[i], self._high[i]
                if i in self._circular:
                    low, high = self._circular[i]
                    x[:, i] = low + (high - low) * part / (2 * np.pi)
                    log_scale += np.log((high - low) / (2 * np.pi))
                elif np.isfinite(low) and np.isfinite(high):
                    below, above = 1 / (1 + np.exp(-part)), 1 / (1 + np.exp(part))
                    x[:, i] = np.where(part < 0, low + (high - low) * below, high - (high - low) * above)
                    log_scale += np.log(high - low) - np.logaddexp(0, part) - np.logaddexp(0, -part)
                elif np.isfinite(low):
                    x[:, i] = low + np.exp(part)
                    log_scale += part
                elif np.isfinite(high):
                    x[:, i] = high - np.exp(part)
                    log_scale += part
                else:
                    x[:, i] = part
        return x, log_scale

    def _opened(self, x: np.ndarray) -> np.ndarray:
        """Columns without ends, and angles."""
        y = np.array(x, np.float64)
        for i, part in enumerate(y.T):
            low, high = self._low[i], self._high[i]
            least = np.finfo(np.float64).tiny
            if i in self._circular:
                low, high = self._circular[i]
                y[:, i] = (part - low) / (high - low) * 2 * np.pi
            elif np.isfinite(low) and np.isfinite(high):
                y[:, i] = np.log(np.maximum(part - low, least)) - np.log(np.maximum(high - part, least))
            elif np.isfinite(low):
                y[:, i] = np.log(np.maximum(part - low, least))
            elif np.isfinite(high):
                y[:, i] = np.log(np.maximum(high - part, least))
        return y


class _Proposal:
    """Kernels around points `[M, D]`, and tails around all of them; uniform there on circles."""

    def __init__(self, points: np.ndarray, is_circular: np.ndarray, rng: np.random.Generator) -> None:
        self._rng, self._is_circular = rng, is_circular
        self._centres = points[:CENTRES]
        self._width = 0.5 * len(self._centres) ** (-1 / (points.shape[1] + 4))

    def draw(self, n: int) -> np.ndarray:
        """Points `[n, D]`."""
        centres = self._centres[self._rng.integers(len(self._centres), size=n)]
        wide = self._rng.random(n) < WIDE
        y = np.empty_like(centres)
        for i, centre in enumerate(centres.T):
            if self._is_circular[i]:
                near = centre + self._rng.vonmises(0.0, CONCENTRATION, size=n)
                y[:, i] = np.where(wide, self._rng.uniform(0, 2 * np.pi, size=n), near) % (2 * np.pi)
            else:
                near = centre + self._width * self._rng.standard_t(KERNEL_DF, size=n)
                y[:, i] = np.where(wide, 2.0 * self._rng.standard_t(TAIL_DF, size=n), near)
        return y

    def log_prob(self, y: np.ndarray) -> np.ndarray:
        """The log-density of points, `[n]`, a hundred at a time."""
        return np.concatenate([self._log_prob(y[i : i + 100]) for i in range(0, len(y), 100)])

    def _log_prob(self, y: np.ndarray) -> np.ndarray:
        of_kernels, of_tails = np.zeros([len(y), len(self._centres)]), np.zeros(len(y))
        for i, part in enumerate(y.T):
            away = part[:, None] - self._centres[:, i]
            if self._is_circular[i]:
                of_kernels += CONCENTRATION * np.cos(away) - np.log(2 * np.pi * np.i0(CONCENTRATION))
                of_tails -= np.log(2 * np.pi)
            else:
                of_kernels += _log_t(away / self._width, KERNEL_DF) - np.log(self._width)
                of_tails += _log_t(part / 2.0, TAIL_DF) - np.log(2.0)
        most = of_kernels.max(axis=1)
        kernels = most + np.log(np.exp(of_kernels - most[:, None]).mean(axis=1))
        return np.logaddexp(np.log(1 - WIDE) + kernels, np.log(WIDE) + of_tails)


def _log_t(x: np.ndarray, df: float) -> np.ndarray:
    """The log-density of Student's t law, of the two degrees of freedom that there are here."""
    constant = {1.0: -np.log(np.pi), 4.0: np.log(3 / 8)}[df]
    return constant - 0.5 * (df + 1) * np.log1p(x * x / df)

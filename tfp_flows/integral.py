"""The integral of a density over all of its space, by draws that know nothing of the density's own formula.

    integral{ p(x) dx } = E{ p(x) / q(x) },   x ~ q          importance sampling

q is built around points where the density may be: heavy-tailed kernels, each stretched as the points near its centre
are, and a law with tails like a Cauchy's around all of them. It lives in coordinates of its own: the logarithm of the
distance from a column's end, or the logit between two, on a circle the angle; elsewhere the numbers, whitened. How well
q fits decides the error alone: a wrong log-det does not cancel, as none of the density's own is in q.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfp_flows.pareto import pareto_k

__all__ = ["Integral", "integral_of"]

DRAWS = 10_000  # of a round
ROUNDS = 4
ENOUGH = 0.003  # standard error, at which no further round is drawn
WIDE = 0.1  # part of the draws that come from the tails' law
KERNEL_DF = 4.0  # of Student's t laws: the kernels'
TAIL_DF = 1.0  # and that of the tails
TAIL_SCALE = 2.0
LEAST, MOST = 1e-3, 1e3  # by which kernels are stretched
PAIRS = 100_000  # of draws and centres at a time


class Integral(NamedTuple):
    """An estimate of an integral, its standard error, and the index of the weights' tail: above 0.7, trust neither."""

    value: float
    error: float
    pareto_k: float


def integral_of(
    log_prob: Callable[[np.ndarray], np.ndarray],
    centres: np.ndarray,
    secants: tuple[np.ndarray, np.ndarray],
    *,
    support: tuple[np.ndarray, np.ndarray] | None = None,
    circular: dict[int, tuple[float, float]] | None = None,
    seed: int = 0,
) -> Integral:
    """The integral of `exp(log_prob(x))` for x `[N, D]`, D small; a density's is 1.

    Args:
      log_prob: of rows `[N, D]` in float64, `[N]`.
      centres: rows `[M, D]`, about where the density is; it may be elsewhere too.
      secants: for each centre, D pairs of rows around it, `[M, D, D]` each: a kernel reaches as far as from the first
        to the second of each pair.
      support: lower and upper ends `[D]`, infinite where open.
      circular: ends of one period of columns that come round again.
      seed: of the draws.
    """
    chart = _Chart(centres, support, circular or {})
    size = centres.shape[1]
    one, other = (chart.flat(rows.reshape(-1, size)).reshape(rows.shape) for rows in secants)
    reach = chart.between(one, other).swapaxes(1, 2)  # [M, D of y, D of pairs]
    proposal = _Proposal(chart.flat(centres), reach, chart.is_circular, np.random.default_rng(seed))
    log_weights = np.zeros(0)
    for _ in range(ROUNDS):
        y = proposal.draw(DRAWS)
        x, log_scale = chart.rows(y)
        good = np.isfinite(x).all(axis=1) & np.isfinite(log_scale)
        found = log_prob(np.where(good[:, None], x, centres[0])) + log_scale  # always as many rows: one graph will do
        found = np.where(good, found, -np.inf)  # where floats end, what a density has is nothing
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

    def between(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The way from some coordinates to others, the shorter one on circles."""
        way = other - one
        turned = (way + np.pi) % (2 * np.pi) - np.pi
        return np.where(self.is_circular, turned, way)

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
        on_end = ((x <= self._low) | (x >= self._high)).any(axis=1)  # by rounding
        return x, np.where(on_end, -np.inf, log_scale)

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
    """Kernels around points `[M, D]` that reach `[M, D, D]` far, and tails around all of them; uniform on circles."""

    def __init__(
        self, points: np.ndarray, reach: np.ndarray, is_circular: np.ndarray, rng: np.random.Generator
    ) -> None:
        self._rng, self._circles, self._centres = rng, np.flatnonzero(is_circular), points
        self._lines = np.flatnonzero(~is_circular)
        self._size = points.shape[1]
        left, lengths, _ = np.linalg.svd(np.nan_to_num(reach, posinf=0.0, neginf=0.0))
        lengths = np.clip(lengths, LEAST, MOST)
        self._reach = left * lengths[:, None, :]
        solved = left.swapaxes(1, 2) / lengths[:, :, None]
        self._solved = solved.reshape(-1, self._size).T  # [D, M D]
        self._solved_centres = (solved @ points[:, :, None])[..., 0]
        at_centre = _log_t(np.zeros(1), KERNEL_DF, self._size)[0]
        self._heights = np.exp(at_centre - np.log(lengths).sum(axis=1)) / len(points)
        turns = [(-1, 0, 1) if circle else (0,) for circle in is_circular]  # a kernel ends long before two rounds
        self._turns = 2 * np.pi * np.array(list(itertools.product(*turns)), np.float64)

    def draw(self, n: int) -> np.ndarray:
        """Points `[n, D]`."""
        chosen = self._rng.integers(len(self._centres), size=n)
        steps = self._rng.normal(size=(n, self._size)) / np.sqrt(
            self._rng.chisquare(KERNEL_DF, size=(n, 1)) / KERNEL_DF
        )
        near = self._centres[chosen] + np.einsum("nij,nj->ni", self._reach[chosen], steps)
        wide = TAIL_SCALE * self._rng.standard_t(TAIL_DF, size=(n, self._size))
        wide[:, self._circles] = self._rng.uniform(0, 2 * np.pi, size=(n, len(self._circles)))
        y = np.where(self._rng.random((n, 1)) < WIDE, wide, near)
        y[:, self._circles] %= 2 * np.pi
        return y

    def log_prob(self, y: np.ndarray) -> np.ndarray:
        """The log-density of points `[n, D]`, `[n]`."""
        size = max(1, PAIRS // len(self._centres))
        return np.concatenate([self._log_prob(y[i : i + size]) for i in range(0, len(y), size)])

    def _log_prob(self, y: np.ndarray) -> np.ndarray:
        total = np.zeros(len(y))
        for turn in self._turns:
            steps = ((y + turn) @ self._solved).reshape(len(y), -1, self._size) - self._solved_centres
            near = 1.0 / (1.0 + (steps**2).sum(axis=-1) / KERNEL_DF)
            whole = near ** ((int(KERNEL_DF) + self._size) // 2)  # whole powers and roots are the fast ones
            total += (whole * np.sqrt(near) if self._size % 2 else whole) @ self._heights
        tails = _log_t((y[:, self._lines] / TAIL_SCALE) ** 2, TAIL_DF, 1) - np.log(TAIL_SCALE)
        tails = tails.sum(axis=1) - len(self._circles) * np.log(2 * np.pi)
        with np.errstate(divide="ignore"):  # where the tails alone are
            return np.logaddexp(np.log(1 - WIDE) + np.log(total), np.log(WIDE) + tails)


def _log_t(squared: np.ndarray, df: float, size: int) -> np.ndarray:
    """The log-density of Student's t law of so many dimensions, at squared distances from its middle."""
    constant = math.lgamma((df + size) / 2) - math.lgamma(df / 2) - size / 2 * math.log(df * math.pi)
    return constant - 0.5 * (df + size) * np.log1p(squared / df)

"""Two interleaved half circles, blurred by Gaussian noise."""

import functools

import numpy as np

from tfp_flows.checks import check_number
from tfp_flows.datasets.dataset import Dataset

__all__ = ["two_moons"]

# Gauss-Legendre nodes on [0, 1]: enough for an integrand that falls to exp(-_DROP) there, to about 1e-9 of
# its integral. What lies beyond that drop is left out.
_DROP = 30.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


def two_moons(noise: float = 0.05) -> Dataset:
    """Build the Two Moons: scikit-learn's curves, with an exact density.

    The law, with t ~ U(0, pi), e(t) = (cos t, sin t) and each moon with probability 1/2:

        x = e(t) + noise * z            the upper moon
        x = (1, 0.5) - e(t) + noise * z the lower moon,  z ~ N(0, I)

    `sklearn.datasets.make_moons` takes a regular grid of t and exactly half of the rows from each moon; here
    rows are independent. `log_prob` integrates the noise along both arcs by quadrature, to 1e-8 nats
    (far out, to 1e-12 of its value); `entropy` is a quadrature of that, to 1e-5, made when first asked for.

    Args:
      noise: the standard deviation of the noise in each coordinate, from 0.001 to 10.

    Raises:
      InputError: if `noise` is not such a number.

    Reference: Eric Jang, "Normalizing Flows Tutorial, Part 2: Modern Normalizing Flows", 2018 (1000 rows,
    noise 0.05).

    >>> from tfp_flows import datasets
    >>> datasets.two_moons()
    two_moons(noise=0.05)  # rows of 2, entropy 0.2892 nats, x in -1.25..2.25, y in -0.75..1.25
    """
    return _TwoMoons(check_number("noise", noise, 0.001, 10))


class _TwoMoons(Dataset):
    train_size = 1000

    def __init__(self, noise: float) -> None:
        margin = 0.05 + 4 * noise
        limits = ((-1 - margin, 2 + margin), (-0.5 - margin, 1 + margin))
        super().__init__("two_moons", {"noise": noise}, limits)
        self._noise = noise

    @property
    def entropy(self) -> float:
        return _entropy(self._noise)

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        t = rng.uniform(0, np.pi, n)
        upper = np.stack([np.cos(t), np.sin(t)], axis=1)
        curve = np.where(rng.random((n, 1)) < 0.5, upper, [1, 0.5] - upper)
        return curve + self._noise * rng.standard_normal((n, 2))

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        # The lower moon is the upper one turned by half a circle about (0.5, 0.25), and the noise is round.
        return np.logaddexp(_log_arc(x, self._noise), _log_arc([1, 0.5] - x, self._noise)) - np.log(2)


def _log_arc(x: np.ndarray, noise: float) -> np.ndarray:
    """Log-density of e(t) + noise * z at `x`.

    With x = r e(phi) and k = r / noise^2, the density is an integral of

        exp(-|x - e(t)|^2 / (2 noise^2)),  |x - e(t)|^2 = (r - 1)^2 + 2 r (1 - cos(t - phi))

    over t in [0, pi]. Cut where it is largest (at t = phi, for x above the axis) or smallest (opposite to x,
    for x below), it becomes two integrals over u = |t - phi|, and both fall from where they begin.
    """
    x, y = x.T
    r, turn, above = np.hypot(x, y), np.abs(np.arctan2(y, x)), y >= 0
    k = np.minimum(r / noise**2, 1e200)  # an infinite k would make the window 0 / 0
    parts = []
    # One part on the side of each end of the arc, (1, 0) and (-1, 0).
    for end, angle in ((1, turn), (-1, np.pi - turn)):
        nearest = np.where(above, (r - 1) ** 2, (x - end) ** 2 + y**2)  # squared distance to where it begins
        integral = _log_part(k, np.where(above, 0, angle), np.where(above, angle, np.pi - angle))
        parts.append(integral - nearest / (2 * noise**2))
    return np.logaddexp(*parts) - np.log(2 * np.pi**2 * noise**2)


def _log_part(k: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Log of the integral of exp(-k (cos(start) - cos(start + w))), w in [0, length], start + length <= pi.

    The exponent is -2 k sin(start + w / 2) sin(w / 2), which loses no digits, and it falls steadily. It is
    -_DROP where T = tan(w / 2) solves (cos(start) - c) T^2 + sin(start) T = c, with c = _DROP / (2 k): there
    the quadrature stops, or at `length` if that comes first.
    """
    c = _DROP / (2 * np.maximum(k, 1))
    sine = np.sin(start)
    root = np.sqrt(np.maximum(sine**2 + 4 * c * (np.cos(start) - c), 0))
    with np.errstate(divide="ignore"):  # T is infinite for k = 0, and the log of an empty part -inf: both right
        window = np.minimum(length, 2 * np.arctan(2 * c / (sine + root)))
        half = window[:, None] / 2 * _NODES
        drop = 2 * k[:, None] * np.sin(start[:, None] + half) * np.sin(half)
        return np.log(window * (np.exp(-drop) @ _WEIGHTS))


@functools.lru_cache
def _entropy(noise: float) -> float:
    """Minus the integral of f(x) log p(x), f the upper moon's density; by symmetry the lower has the same.

    In polar coordinates about the upper moon's centre: Gauss-Legendre along r, and along phi the trapezoid
    rule, which converges geometrically for a function that is periodic or vanishes at both ends. A finer rule
    changes the result by less than 3e-6 for any noise from 0.001 to 10.
    """
    r, weights = np.polynomial.legendre.leggauss(48)
    near, far = max(0.0, 1 - 9 * noise), 1 + 9 * noise
    r, weights = near + (far - near) * (r + 1) / 2, weights * (far - near) / 2
    reach = min(np.pi, np.pi / 2 + 14 * noise)  # beyond 14 noise-widths of angle there is no mass
    steps = int(np.ceil(2 * reach / (0.7 * min(noise, 0.1))))
    phi = np.pi / 2 + reach * (2 * np.arange(steps) / steps - 1)
    total = 0.0
    law = _TwoMoons(noise)
    for radius, weight in zip(r, weights, strict=True):
        x = radius * np.stack([np.cos(phi), np.sin(phi)], axis=1)
        total += weight * radius * np.sum(np.exp(_log_arc(x, noise)) * law._log_prob(x))
    return float(-total * 2 * reach / steps)

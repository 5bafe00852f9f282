"""The monotone rational-quadratic spline of neural spline flows."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.checks import check_choice, check_number, check_positive, given
from tfp_flows.errors import InputError
from tfp_flows.words import in_short

__all__ = ["Spline", "check_bins"]

MOST_BINS = 500
MIN_BIN = 1e-3  # smallest width and height of a bin, as a part of the interval
MIN_SLOPE = 1e-3  # smallest slope at a knot
WIDEST = 1000.0  # data are of the order of 1, and bins of a wider interval are wider than float32 is fine
TAILS = {"identity": 0, "equal": 1, "free": 2}  # how many slopes at the ends are learnt
LARGE_LOGIT = 30.0  # below, a sum of exponentials is finite
FAR = 1e4  # where a smooth bound is reached, to the last bit of float32; gradients of far rows, times it, are finite
SLOPE_BOUND = 10.0  # of what a network says of a slope, where logits are bounded
LOG_TAIL_BOUND = 0.5  # of lines, whose slopes multiply in a chain, far off the data too: benchmarks/README.md


@dataclass(frozen=True)
class Spline:
    """A monotone rational-quadratic spline of K bins on `[-B, B]`, and straight lines outside, which it meets smoothly.

    K widths and K heights come from a softmax, K - 1 inner slopes from a softplus. The slope at both ends, and of the
    lines, is 1, or learnt as well. Zeros of a network give the identity. What the network says is bounded smoothly, by
    `raw / sqrt(1 + (raw / bound)^2)`: no bin is more than exp(2 logit_bound) times as large as another, so rounding
    stays small.

    Both directions are in closed form, and each finds the bin of a value once for value and log-slope, by sums and not
    by gathers: the gradient of a gather is a scatter, and gathers took half of the time to trace a step, and longer to
    run, except for few bins under XLA.

    Args:
      bins: K, 2 to 500.
      interval: B, positive.
      logit_bound: bound on the absolute logits of widths and heights, positive; None for no bound on anything.
      tails: the slopes at both ends and of the lines: "identity", one; "equal", one number that is learnt, as on a
        circle; or "free", two numbers, from exp(-1/2) to exp(1/2) with a logit_bound: slopes multiply in a chain, and
        rows beyond the others would get any log-density.

    >>> import tensorflow as tf, tfp_flows as tff
    >>> spline = tff.elementwise.Spline(8)
    >>> raw, u = tf.random.normal([5, spline.params], seed=0), tf.linspace(-4.0, 4.0, 5)
    >>> x, log_slope = spline.forward(raw, u)
    >>> bool(tf.reduce_all(abs(spline.inverse(raw, x)[0] - u) < 1e-5))
    True

    Source: Durkan et al., Neural Spline Flows, arXiv:1906.04032.
    """

    bins: int = 8
    interval: float = 3.0
    logit_bound: float | None = 2.0
    tails: str = "identity"

    def __post_init__(self) -> None:
        check_bins(bins=self.bins)
        check_positive(interval=self.interval, **given(logit_bound=self.logit_bound))
        check_number("interval", self.interval, 0, WIDEST)
        check_choice("tails", self.tails, list(TAILS))

    @property
    def params(self) -> int:
        """`3 K - 1`, and one or two more for ends that are learnt."""
        return 3 * self.bins - 1 + TAILS[self.tails]

    def forward(self, raw: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`u -> x` and the log-slope."""
        bins = self._find(raw, u, 0)
        t = _within(_inside(bins.in_tail, u - bins.x) / bins.width)
        x = bins.y + bins.height * t * (bins.slope * t + bins.first * (1 - t)) / _denominator(bins, t)
        return tf.where(bins.in_tail, bins.edge + (u - bins.edge) * bins.tail, x), self._log_slope(bins, t)

    def inverse(self, raw: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`x -> u` and the log-slope."""
        # The root of a t^2 + b t = c in [0, 1], by whichever form does not cancel: arXiv:1906.04032, appendix A.3, has
        # one of them. As a part of the height, rise cannot leave [0, 1], and the signs below hold: c >= 0, and a > 0
        # where b < 0.
        bins = self._find(raw, x, 1)
        rise = _within(_inside(bins.in_tail, x - bins.y) / bins.height)
        bend = rise * (bins.last + bins.first - 2 * bins.slope)
        a = bins.slope - bins.first + bend
        b = bins.first - bend
        c = bins.slope * rise
        root = tf.sqrt(tf.maximum(tf.square(b) + 4 * a * c, 1e-30))
        t = _within(tf.where(b < 0, root - b, 2 * c) / tf.where(b < 0, 2 * a, root + b))
        u = tf.where(bins.in_tail, bins.edge + (x - bins.edge) / bins.tail, t * bins.width + bins.x)
        return u, -self._log_slope(bins, t)

    def _find(self, raw: tf.Tensor, value: tf.Tensor, side: int) -> "_Bins":
        """The bins of values, which are u, on the x axis, if `side` is 0 and x, on the y axis, if it is 1."""
        # A bin's size is a least one, and a part of what the interval has beyond those; parts need not be divided by
        # their sum one by one.
        parts, raw_slopes, raw_ends = self._parts_and_slopes(raw)
        least = 2.0 * self.interval * MIN_BIN
        scale = (2.0 * self.interval - self.bins * least) / tf.reduce_sum(parts, axis=-1)
        in_tail = tf.abs(value) >= self.interval
        # A running sum: XLA runs it faster as a product with ones on and above the diagonal.
        running = tf.constant(np.triu(np.ones([self.bins - 1] * 2)), parts.dtype)
        lowest = tf.constant(least * np.arange(1, self.bins) - self.interval, parts.dtype)
        knots = lowest + scale[..., side, None] * tf.tensordot(parts[..., side, :-1], running, 1)
        is_above = tf.cast(_inside(in_tail, value)[..., None] >= knots, value.dtype)  # of each inner knot
        one = tf.ones_like(is_above[..., :1])
        full = tf.concat([is_above, 0.0 * one], axis=-1)  # 1 for the bins that end before the value
        here = tf.concat([one, is_above], axis=-1) - full  # 1 for the bin that it is in
        start = least * tf.reduce_sum(is_above, axis=-1, keepdims=True) - self.interval
        x, y = tf.unstack(start + scale * tf.reduce_sum(full[..., None, :] * parts, axis=-1), axis=-1)
        width, height = tf.unstack(least + scale * tf.reduce_sum(here[..., None, :] * parts, axis=-1), axis=-1)
        raw_first = tf.reduce_sum(here[..., 1:] * raw_slopes, axis=-1)
        raw_last = tf.reduce_sum(here[..., :-1] * raw_slopes, axis=-1)
        first, last = tf.unstack(self._slopes(tf.stack([raw_first, raw_last], axis=-1)), axis=-1)
        edge, tail = tf.zeros_like(value), tf.ones_like(value)  # the identity: a line of slope 1 through 0
        if raw_ends is not None:
            ends = self._end_slopes(raw_ends)
            low, high = ends[..., 0], ends[..., -1]
            first = tf.where(here[..., 0] > 0, low, first)
            last = tf.where(here[..., -1] > 0, high, last)
            tail = tf.where(value < 0, low, high)
            edge = tf.sign(value) * self.interval
        return _Bins(in_tail, x, y, width, height, height / width, first, last, edge, tail)

    def _slopes(self, raw: tf.Tensor) -> tf.Tensor:
        """What the network says of knots, as the slopes there: zero is the slope one."""
        bound, one = None if self.logit_bound is None else SLOPE_BOUND, np.log(np.expm1(1.0 - MIN_SLOPE))
        return MIN_SLOPE + tf.math.softplus(_bounded(raw, bound) + one)

    def _end_slopes(self, raw: tf.Tensor) -> tf.Tensor:
        """The same of the ends, whose lines go on; those of a circle are a knot like any other."""
        is_free = self.tails == "free" and self.logit_bound is not None
        return tf.exp(_bounded(raw, LOG_TAIL_BOUND)) if is_free else self._slopes(raw)

    def _parts_and_slopes(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Exponentials of logits of widths and heights, `[..., 2, K]`, and raw slopes at inner knots, `[..., K - 1]`.

        Beside them the raw slopes at the ends, one for both or two, where they are learnt.
        """
        logits, slopes, ends = tf.split(raw, [2 * self.bins, self.bins - 1, TAILS[self.tails]], axis=-1)
        logits = tf.reshape(logits, tf.concat([tf.shape(logits)[:-1], [2, self.bins]], 0))
        logits = _bounded(logits, self.logit_bound)
        if self.logit_bound is None or self.logit_bound > LARGE_LOGIT:
            logits -= tf.stop_gradient(tf.reduce_max(logits, axis=-1, keepdims=True))
        return tf.exp(logits), slopes, ends if TAILS[self.tails] else None

    def _log_slope(self, bins: "_Bins", t: tf.Tensor) -> tf.Tensor:
        """Log-derivative of the spline at the part t of its bin: appendix A.2; of the line, in the tails."""
        rest = 1 - t
        numerator = bins.last * tf.square(t) + 2 * bins.slope * t * rest + bins.first * tf.square(rest)
        slope = 2 * tf.math.log(bins.slope / _denominator(bins, t)) + tf.math.log(numerator)
        return (
            _inside(bins.in_tail, slope)
            if self.tails == "identity"
            else tf.where(bins.in_tail, tf.math.log(bins.tail), slope)
        )


def check_bins(**sizes: int) -> None:
    """Raises `InputError` unless every argument is a number of bins that a spline can have."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not 2 <= size <= MOST_BINS:
            raise InputError(f"{name} must be an integer from 2 to {MOST_BINS}; got {in_short(size)}.")


def _bounded(raw: tf.Tensor, bound: float | None) -> tf.Tensor:
    """The smooth bound `raw / sqrt(1 + (raw / bound)^2)`: XLA runs it in half of the time of a `tanh`."""
    if bound is None:
        return raw
    part = tf.clip_by_value(raw * (1.0 / bound), -FAR, FAR)  # whose squares are finite
    return bound * part * tf.math.rsqrt(1.0 + tf.square(part))


class _Bins(NamedTuple):
    """For every value, whether it is in a tail, and the bin that it is in: where it starts, its size, its slopes."""

    in_tail: tf.Tensor
    x: tf.Tensor
    y: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor
    slope: tf.Tensor  # the mean one
    first: tf.Tensor  # slopes at both ends
    last: tf.Tensor
    edge: tf.Tensor  # a point of the line of its tail, and the line's slope
    tail: tf.Tensor


def _inside(in_tail: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """The value inside the interval, zero in the tails."""
    return tf.where(in_tail, tf.zeros_like(value), value)


def _within(part: tf.Tensor) -> tf.Tensor:
    """A part of a bin, in [0, 1] whatever rounding did; to a gradient it is what it was."""
    return part + tf.stop_gradient(tf.clip_by_value(part, 0.0, 1.0) - part)


def _denominator(bins: _Bins, t: tf.Tensor) -> tf.Tensor:
    both = t * (1 - t)
    return bins.slope * (1 - 2 * both) + (bins.last + bins.first) * both

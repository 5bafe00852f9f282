"""Noise on the rows of a training, fresh in every batch: uniform in whole columns, normal where it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfp_flows.datasets.refusals import column_label
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.whole import with_noise
from tfp_flows.words import in_short

__all__ = ["Noise", "floating", "noise_for"]

LARGEST = 1e30  # whose squares float64 has, and rows with it float32
WHOLE, NORMAL, ONCE = 2, 3, 4  # streams of random numbers beside those of the rows


@dataclass(frozen=True)
class Noise:
    """What is added to rows `[N, D]`: for a seed and a number of a batch always the same."""

    whole: Sequence[int]  # columns that have uniform noise
    scale: tuple[float, ...]  # standard deviations of normal noise, [D]; empty without
    seed: int

    def __bool__(self) -> bool:
        return bool(self.whole or self.scale)

    def __call__(self, x: np.ndarray, number: int) -> np.ndarray:
        """The rows of a batch, with all their noise."""
        x = with_noise(x, self.whole, np.random.default_rng([self.seed, WHOLE, number]))
        return self._with_normal(x, NORMAL, number)

    def once(self, x: np.ndarray, number: int) -> np.ndarray:
        """Rows that are looked at again and again, with their normal noise alone."""
        return self._with_normal(x, ONCE, number)

    def _with_normal(self, x: np.ndarray, stream: int, number: int) -> np.ndarray:
        if not self.scale:
            return x
        drawn = np.random.default_rng([self.seed, stream, number]).normal(size=x.shape)
        return (x + self.scale * drawn).astype(floating(x.dtype))


def floating(dtype: Any) -> np.dtype:
    """The type of noisy rows: that of the rows, or float64 for integers."""
    return np.result_type(dtype, np.float32)


def noise_for(flow: Flow, noise: Any, seed: int) -> Noise:
    """The noise of a training; `InputError` for what is no standard deviation, or would leave the columns' support."""
    if noise is None:
        return Noise(flow.dequantize, (), seed)
    try:
        has_names = hasattr(noise, "iloc") or np.asarray(noise).dtype == bool  # pandas' have an order of their own
        scale = np.broadcast_to(np.nan if has_names else np.asarray(noise, np.float64), [flow.event_size])
    except (TypeError, ValueError):
        scale = np.array([np.nan])
    if not ((scale >= 0) & (scale <= LARGEST)).all():
        raise InputError(
            f"noise must be a standard deviation, from 0 to {LARGEST:g}, or a list of one for each of the "
            f"{flow.event_size} columns; got {in_short(noise)}."
        )
    is_bounded = np.isin(np.arange(flow.event_size), list(flow.dequantize))
    if flow.support is not None:
        is_bounded |= np.isfinite(flow.support).any(axis=0)
    found = np.flatnonzero(is_bounded & (scale > 0))
    if len(found):
        names = None if flow.columns is None else [repr(name) for name in flow.columns]
        what = "whole numbers" if found[0] in flow.dequantize else "a support, which normal noise leaves"
        raise InputError(
            f"noise must be 0 for {column_label(int(found[0]), names)}, which has {what}; give a standard deviation "
            f"for each of the {flow.event_size} columns."
        )
    return Noise(flow.dequantize, tuple(scale.tolist()) if scale.any() else (), seed)

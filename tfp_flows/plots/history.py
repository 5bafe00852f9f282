"""The course of a training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfp_flows.errors import InputError
from tfp_flows.plots.frames import DATA, FLOOR, MODEL
from tfp_flows.words import in_short

__all__ = ["loss_curve"]


def loss_curve(history: Mapping[str, Sequence[float]], *, entropy: float | None = None) -> Figure:
    """The loss over the epochs, training and validation, with its floor where that is known.

    Args:
      history: `history.history` of `tff.fit` (NLL) or `tff.distill` (KL, whose floor is zero).
      entropy: the lowest NLL there is, nats.

    Raises:
      InputError: for what is no history, or has no epoch with a finite loss.

    >>> import tfp_flows as tff
    >>> tff.plots.loss_curve({"nll": [2.0, 1.5], "val_nll": [2.1, 1.6]}, entropy=1.0)
    <Figure size ... with 1 Axes>
    """
    _check(history)
    loss, label = ("kl", "KL(student, teacher)") if "kl" in history else ("nll", "negative log-likelihood")
    floor = 0.0 if loss == "kl" else entropy
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axis = figure.add_subplot()
    epochs = np.arange(1, len(history[loss]) + 1)
    axis.plot(epochs, history[loss], color=DATA, lw=1.2, label="training")
    if f"val_{loss}" in history:
        axis.plot(epochs, history[f"val_{loss}"], color=MODEL, lw=1.8, label="validation")
    if floor is not None:
        what = "floor: 0" if loss == "kl" else f"floor: the data's entropy, {floor:.3f}"
        axis.axhline(floor, color=FLOOR, ls="--", lw=1.2, label=what)
    values = np.concatenate([np.asarray(history[key], float) for key in (loss, f"val_{loss}") if key in history])
    values = values[np.isfinite(values)]
    low = min(values.min(), np.inf if floor is None else floor)
    high = np.quantile(values, 0.95)
    axis.set_ylim(low - 0.08 * (high - low) - 1e-3, high + 0.15 * (high - low) + 1e-3)
    axis.set(xlabel="epoch", ylabel=f"{label}, nats")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _check(history: Any) -> None:
    losses = [key for key in ("nll", "kl") if isinstance(history, Mapping) and key in history]
    try:
        is_good = bool(losses) and bool(np.isfinite(np.asarray(history[losses[-1]], float)).any())
    except (TypeError, ValueError):
        is_good = False
    if not is_good:
        raise InputError(f"history must have a list of numbers 'nll', or 'kl', as of tff.fit; got {in_short(history)}.")

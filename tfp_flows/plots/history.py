"""The course of a training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfp_flows.datasets.refusals import some_of
from tfp_flows.errors import InputError
from tfp_flows.plots.frames import DATA, FLOOR, MODEL
from tfp_flows.words import in_short

__all__ = ["loss_curve"]

LABELS = {
    "kl": "KL(student, teacher)",
    "nll": "negative log-likelihood",
    "negative_elbo": "negative ELBO",
}  # of losses in nats


def loss_curve(
    history: Mapping[str, Sequence[float]], *, entropy: float | None = None, loss: str | None = None
) -> Figure:
    """The loss over the epochs, training and validation, with its floor where that is known.

    Args:
      history: `history.history` of `tff.fit` (NLL) or `tff.distill` (KL, whose floor is zero), or any other with a loss
        and what it was in validation, as in `{"negative_elbo": [...], "val_negative_elbo": [...]}`, by epoch.
      entropy: the floor, nats: the lowest NLL that there is, or the lowest of another loss.
      loss: the name of the loss in the history; None for "nll", "kl", or the one name that has a "val_" besides.

    Raises:
      InputError: for what is no history, or has no epoch with a finite loss; for several losses and no word of which.

    >>> import tfp_flows as tff
    >>> tff.plots.loss_curve({"nll": [2.0, 1.5], "val_nll": [2.1, 1.6]}, entropy=1.0)
    <Figure size ... with 1 Axes>
    """
    loss = _loss_of(history, loss)
    label = LABELS.get(loss, loss.replace("_", " "))
    floor = 0.0 if loss == "kl" else entropy
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axis = figure.add_subplot()
    epochs = np.arange(1, len(history[loss]) + 1)
    axis.plot(epochs, history[loss], color=DATA, lw=1.2, label="training")
    if f"val_{loss}" in history:
        axis.plot(epochs, history[f"val_{loss}"], color=MODEL, lw=1.8, label="validation")
    if floor is not None:
        what = {"kl": "floor: 0", "nll": f"floor: the data's entropy, {floor:.3f}"}.get(loss, f"floor: {floor:.3f}")
        axis.axhline(floor, color=FLOOR, ls="--", lw=1.2, label=what)
    values = np.concatenate([np.asarray(history[key], float) for key in (loss, f"val_{loss}") if key in history])
    values = values[np.isfinite(values)]
    low = min(values.min(), np.inf if floor is None else floor)
    high = np.quantile(values, 0.95)
    axis.set_ylim(low - 0.08 * (high - low) - 1e-3, high + 0.15 * (high - low) + 1e-3)
    axis.set(xlabel="epoch", ylabel=f"{label}, nats" if loss in LABELS else label)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _loss_of(history: Any, loss: str | None) -> str:
    """The name of the loss that is drawn; `InputError` if the history has no numbers of it."""
    names = list(history) if isinstance(history, Mapping) else []
    known = [name for name in ("kl", "nll") if name in names]
    validated = [name for name in names if f"val_{name}" in names]
    if loss is not None and loss not in names:
        listed = some_of([str(name) for name in names])
        raise InputError(f"loss must be a name in the history, which has {listed or 'none'}; got {in_short(loss)}.")
    if loss is None and not known and len(validated) > 1:
        listed = some_of([str(name) for name in validated])
        raise InputError(f"loss must say which to draw, as the history has {listed}; got None.")
    found = loss or next(iter([*known, *validated]), None)
    try:
        drawn = [np.asarray(history[name], float) for name in (found, f"val_{found}") if found and name in names]
        is_good = bool(drawn) and all(part.shape == drawn[0].shape and part.ndim == 1 for part in drawn)
        is_good = is_good and bool(np.isfinite(drawn[0]).any())
    except (TypeError, ValueError):
        is_good = False
    if not is_good:
        raise InputError(f"history must have a list of numbers 'nll', or 'kl', as of tff.fit; got {in_short(history)}.")
    return str(found)

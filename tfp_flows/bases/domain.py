"""Where a law lives: on all of R^D, as the latents of a flow do, or somewhere else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["elsewhere"]

tfb, tfd = tfp.bijectors, tfp.distributions

REACH = (1e-3, 1.0, 1e3, 1e6, 1e9)  # numbers that a bijector onto R^D has an inverse of, with both signs
FAR = 1e6  # from here on, rounding is none of an offset's
DEVIATIONS = (0.1, 1.0, 3.0)  # from the mean of a law that does not say where it lives


def elsewhere(law: tfd.Distribution) -> str | None:
    """What keeps a law over `[D]` from having a density on all of R^D, as a part of a sentence; None if it has one.

    TFP's laws say where they live by a bijector from R^D; those that are made of others, by these. A law that says
    nothing has its density looked at.
    """
    if hasattr(law, "dequantize"):
        return _of_flow(law)
    if getattr(law, "circular", ()):
        return "columns are on circles"
    parts = _parts(law)
    if parts:
        return next(filter(None, map(elsewhere, parts)), None)
    try:
        bijector = law.experimental_default_event_space_bijector()
    except NotImplementedError:
        return _of_density(law)
    inner = getattr(law, "distribution", None)
    if bijector is not None:
        return _of_bijector(bijector, law)
    if not isinstance(inner, tfd.Distribution):
        return "there is no density between the numbers that it gives"
    around = law.bijector if isinstance(law, tfd.TransformedDistribution) else tfb.Identity()
    return elsewhere(inner) or _of_bijector(around, law)


def _parts(law: tfd.Distribution) -> Sequence[tfd.Distribution]:
    """The laws that a law mixes, or sets side by side."""
    if isinstance(law, tfd.MixtureSameFamily):
        return [law.components_distribution]
    if isinstance(law, tfd.Mixture):
        return list(law.components)
    return list(law.distributions) if isinstance(law, tfd.Blockwise) else []


def _of_flow(flow: Any) -> str | None:
    """A flow's base was looked at when it was built; so are layers here that are not of this package."""
    if flow.dequantize:
        return "columns are of whole numbers, in dequantize"
    if flow.circular:
        return "columns are on circles"
    if flow.support is not None and np.isfinite(flow.support).any():
        return "columns have a support"
    others = [layer for layer in flow.layers if type(getattr(layer, "bijector", layer)).__module__.startswith("tensor")]
    return next(filter(None, (_of_bijector(layer, flow) for layer in others)), None)


def _of_bijector(bijector: tfb.Bijector, law: tfd.Distribution) -> str | None:
    """What numbers of R^D a bijector from R^D does not come to, if there are any."""
    shape, batch = law.event_shape, [1] * (law.batch_shape.rank or 0)
    sizes = np.array([sign * size for size in REACH for sign in (1.0, -1.0)], law.dtype.as_numpy_dtype)
    x = np.broadcast_to(sizes.reshape([-1, *batch, *[1] * shape.rank]), [len(sizes), *batch, *shape])
    try:
        if bijector.inverse_event_shape(shape) != shape:
            return "there, some dimensions follow from the others"
        z = bijector.inverse(tf.constant(x))
        again = bijector.forward(tf.identity(z)).numpy()
    except (NotImplementedError, TypeError, ValueError):  # of a layer that wants a context, or has two inverses
        return None
    lost = (np.abs(again - x) > 0.1 * np.abs(x)) & (np.abs(x) >= FAR)  # of infinite numbers, the difference is NaN
    lost |= tf.math.is_nan(z).numpy()
    return f"there is no density at {np.broadcast_to(x, lost.shape)[lost][0]:g}" if lost.any() else None


def _of_density(law: tfd.Distribution) -> str | None:
    """Where, near its own samples, a law has no density."""
    try:
        drawn = law.sample(64, seed=tf.constant([0, 0])).numpy()
        middle, spread = np.median(drawn, axis=0), drawn.std(axis=0)
    except NotImplementedError:
        middle, spread = 0.0, 1.0
    x = [middle + sign * size * spread * np.ones(law.event_shape) for size in DEVIATIONS for sign in (1.0, -1.0)]
    try:
        log_prob = law.log_prob(tf.constant(np.array(x), law.dtype)).numpy()
    except NotImplementedError:
        return None
    bad = ~np.isfinite(log_prob)
    return f"there is no density at {np.array(x)[bad][0].tolist()}" if bad.any() else None

"""A base law by its name, or one that was given, checked."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bases.domain import elsewhere
from tfp_flows.bases.gaussian import Gaussian
from tfp_flows.bases.mixture import Mixture
from tfp_flows.bases.student_t import StudentT
from tfp_flows.errors import InputError
from tfp_flows.words import in_short

__all__ = ["as_base"]

BASES = {
    "normal": lambda size, dtype: Gaussian(loc=np.zeros(size, dtype)),
    "student_t": lambda size, dtype: StudentT(size, dtype=dtype),
    "mixture": lambda size, dtype: Mixture(size, dtype=dtype),
}


def as_base(
    base: Any, event_size: int, context_size: int, dtype: str, circles: bool = False
) -> tfp.distributions.Distribution:
    """The law of the latents `[D]`; `InputError` for a name or distribution that cannot be one.

    A distribution may have a context, as a flow has: of the size of that of the flow on top of it. Below a flow with
    layers on `circles` it may be a `Torus`.
    """
    if isinstance(base, str) and base in BASES:
        return BASES[base](event_size, dtype)
    if not isinstance(base, tfp.distributions.Distribution):
        raise InputError(f"base must be one of {', '.join(BASES)}, or a distribution of TFP; got {in_short(base)}.")
    shapes = [base.event_shape, base.batch_shape] if tf.nest.is_nested(base.dtype) is False else None
    if shapes != [tf.TensorShape([event_size]), tf.TensorShape([])]:
        raise InputError(
            f"base must have event_shape [{event_size}] and batch_shape []; got {base.event_shape} and "
            f"{base.batch_shape} of {base.name}."
        )
    if base.dtype != dtype:
        raise InputError(f"base must be of {dtype}, as the flow is; got {base.name} of {base.dtype.name}.")
    if getattr(base, "context_size", 0) not in (0, context_size):
        fits = f"0 or {context_size}" if context_size else "0"
        raise InputError(
            f"base must have context_size={fits}, as the flow on it has; {base.name} has {base.context_size}."
        )
    if tf.executing_eagerly() and not (circles and not hasattr(base, "dequantize") and hasattr(base, "circular")):
        reason = elsewhere(base)
        if reason:
            raise InputError(f"base must have a density on all of R^{event_size}; got {base.name}: {reason}.")
    return base

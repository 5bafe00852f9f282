"""Unconstrained: a joint distribution of TFP, pinned to what was observed, as a density of rows on all of R^D."""

import warnings
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.errors import InputError
from tfp_flows.words import in_short

__all__ = ["Unconstrained"]

tfd = tfp.distributions
DRAWS = 4  # of a joint distribution, which tell whether the support of a part is the same in each
Pinned = tfp.experimental.distributions.JointDistributionPinned


class Unconstrained:
    """The posterior of a pinned joint distribution, as a density of rows `x [..., D]` of real numbers.

    Its parts lie one after another in a row, each carried to the whole line by TFP's own bijector for its support
    (a logarithm of a scale, K - 1 numbers of K probabilities), and the density counts the stretching:

    ```
    log_prob(x) = log p(parts, observed) + log|det d parts / dx|,   parts = constrain(x)      nats, not normalised
    ```

    so that its integral over R^D is the evidence `p(observed)`. A flow over these rows is fitted to it by
    `tff.fit_density`.

    Args:
      joint: `model.experimental_pin(...)` of a joint distribution of TFP.

    Attributes:
      event_size: D.
      columns: a name for each of the D numbers: "mu", or "theta[0]", "theta[1]" of a part with several.

    Raises:
      InputError: for anything else, and for a part that has no density on the line, such as a count.

    Example:

    >>> import tensorflow_probability as tfp, tfp_flows as tff
    >>> tfd = tfp.distributions
    >>> model = tfd.JointDistributionNamedAutoBatched(
    ...     {"scale": tfd.HalfNormal(1.0), "x": lambda scale: tfd.Normal(0.0, scale)}
    ... )
    >>> posterior = tff.Unconstrained(model.experimental_pin(x=0.5))
    >>> posterior.columns
    ('scale',)
    >>> posterior.constrain([[0.0]])["scale"].numpy()  # softplus(0), TFP's way to a positive number here
    array([0.6931472], dtype=float32)
    """

    def __init__(self, joint: Any) -> None:
        if not isinstance(joint, Pinned):
            what = "pinned to the data, as in model.experimental_pin(y=data)"
            raise InputError(f"joint must be a joint distribution of TFP, {what}; got {in_short(joint)}.")
        if not tf.nest.flatten(joint.event_shape):
            raise InputError("joint has no part that is left to infer: every part is pinned.")
        self._joint = joint
        self._bijector = _bijector_of(joint)
        self._shapes = self._bijector.inverse_event_shape(joint.event_shape)
        self._ndims = tf.nest.map_structure(lambda shape: shape.rank, self._shapes)
        self._sizes = [shape.num_elements() for shape in tf.nest.flatten(self._shapes)]
        self.event_size = sum(self._sizes)
        self.columns = _columns(joint.event_shape, self._shapes)
        dtypes = {dtype.name for dtype in tf.nest.flatten(joint.dtype)}
        if len(dtypes) > 1 or not dtypes <= {"float32", "float64"}:
            raise InputError(f"joint must have parts of one type, float32 or float64; got {', '.join(sorted(dtypes))}.")
        self.dtype = tf.as_dtype(dtypes.pop())

    def log_prob(self, x: Any) -> tf.Tensor:
        """Log-density of rows `x [..., D]` and what was observed, `[...]`, nats."""
        parts = self._parts(x)
        stretched = self._bijector.forward_log_det_jacobian(parts, event_ndims=self._ndims)
        stretched -= _of_simplexes(self._shapes, self._joint.event_shape)
        return self._joint.unnormalized_log_prob(self._bijector.forward(parts)) + stretched

    def constrain(self, x: Any) -> Any:
        """The parts that rows `x [..., D]` stand for, in the joint distribution's own structure."""
        return self._bijector.forward(self._parts(x))

    def unconstrain(self, parts: Any) -> tf.Tensor:
        """The rows `[..., D]` that stand for parts in the joint distribution's structure."""
        flat = tf.nest.flatten(self._bijector.inverse(parts))
        ranks = tf.nest.flatten(self._ndims)
        batches = [tf.shape(part)[: part.shape.rank - rank] for part, rank in zip(flat, ranks, strict=True)]
        rows = [tf.reshape(part, tf.concat([batch, [-1]], 0)) for part, batch in zip(flat, batches, strict=True)]
        return tf.concat(rows, axis=-1)

    def sample_prior(self, n: int, seed: Any = None) -> tf.Tensor:
        """Rows `[n, D]` of the parts before anything was observed."""
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="Saw Tensor seed"
            )  # only of an integer's draws are others each time
            return self.unconstrain(self._joint.sample_unpinned(n, seed=seed))

    def _parts(self, x: Any) -> Any:
        x = tf.convert_to_tensor(x, self.dtype)
        if x.shape.rank == 0 or x.shape[-1] != self.event_size:
            raise InputError(
                f"x must be rows of {self.event_size}, {in_short(self.columns)}; got shape {list(x.shape)}."
            )
        shapes = tf.nest.flatten(self._shapes)
        flat = [
            tf.reshape(part, tf.concat([tf.shape(x)[:-1], shape], 0))
            for part, shape in zip(tf.split(x, self._sizes, axis=-1), shapes, strict=True)
        ]
        return tf.nest.pack_sequence_as(self._shapes, flat)


def _bijector_of(joint: Pinned) -> tfp.bijectors.Bijector:
    """What makes parts of real numbers: each by itself where supports are fixed, which XLA compiles once for all."""
    try:
        whole = joint.experimental_default_event_space_bijector()
        apart = [_bijectors_apart(joint, seed) for seed in range(DRAWS)]
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            "joint must have parts with a density on the line, or pinned: TFP has no bijector for one of "
            f"{in_short(_names(joint.event_shape))}."
        ) from error
    if None in apart:
        return whole
    halves = [
        tf.nest.map_structure(lambda shape, dtype: tf.fill(shape, tf.cast(0.5, dtype)), *described)
        for described in [(whole.inverse_event_shape(joint.event_shape), joint.dtype)]
    ]
    found = [tf.nest.flatten(bijector.forward(halves[0])) for bijector in apart]
    same = all(np.array_equal(a, b) for others in found[1:] for a, b in zip(found[0], others, strict=True))
    return apart[0] if same else whole


def _bijectors_apart(joint: Pinned, seed: int) -> tfp.bijectors.Bijector | None:
    """The bijectors of the parts, as a draw of all the others leaves them; None for parts without names."""
    laws, _ = joint.distribution.sample_distributions(seed=seed)
    names = _names(joint.event_shape)
    if isinstance(laws, dict):
        found = [laws.get(name) for name in names]
    else:
        found = [getattr(laws, name, None) for name in names]
    if None in found:
        return None
    bijectors = [law.experimental_default_event_space_bijector() for law in found]
    kind = joint.event_shape
    return tfp.bijectors.JointMap(
        dict(zip(names, bijectors, strict=True)) if isinstance(kind, dict) else type(kind)(*bijectors)
    )


def _of_simplexes(free: Any, parts: Any) -> float:
    """What TFP's log-det of K probabilities has too much: `log(K) / 2`.

    It measures areas on the simplex, as they lie in R^K; the densities of its distributions are over the first K - 1.
    """
    pairs = zip(tf.nest.flatten(free), tf.nest.flatten(parts), strict=True)
    found = [part for one, part in pairs if part.rank and part[:-1] == one[:-1] and part[-1] == one[-1] + 1]
    return sum(0.5 * np.log(part[-1]) * part[:-1].num_elements() for part in found)


def _names(structure: Any) -> list[str]:
    """The names of the parts of a structure, or their numbers from 0."""
    keys = getattr(structure, "_fields", None) or (list(structure) if isinstance(structure, dict) else None)
    return [str(key) for key in keys or range(len(tf.nest.flatten(structure)))]


def _columns(structure: Any, shapes: Any) -> tuple[str, ...]:
    """A name for each number of a row: the part's, and its place there."""
    flat = tf.nest.flatten(shapes)
    names = sorted(_names(structure)) if isinstance(structure, dict) else _names(structure)  # as tf.nest has them
    if len(names) != len(flat):  # of parts that are joint distributions themselves
        names = [str(i) for i in range(len(flat))]
    return tuple(
        name + (f"[{', '.join(map(str, place))}]" if place else "")
        for name, shape in zip(names, flat, strict=True)
        for place in np.ndindex(*shape)
    )

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
      InputError: for anything else, and for a part that has no density on the line, such as a count, a direction, or a
        matrix other than CholeskyLKJ's.

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
        self._surplus = _of_simplexes(joint, self._shapes)
        self.columns = _columns(joint.event_shape, self._shapes)
        dtypes = {dtype.name for dtype in tf.nest.flatten(joint.dtype)}
        if len(dtypes) > 1 or not dtypes <= {"float32", "float64"}:
            raise InputError(f"joint must have parts of one type, float32 or float64; got {', '.join(sorted(dtypes))}.")
        self.dtype = tf.as_dtype(dtypes.pop())

    def log_prob(self, x: Any) -> tf.Tensor:
        """Log-density of rows `x [..., D]` and what was observed, `[...]`, nats."""
        parts = self._parts(x)
        stretched = self._bijector.forward_log_det_jacobian(parts, event_ndims=self._ndims)
        return self._joint.unnormalized_log_prob(self._bijector.forward(parts)) + stretched - self._surplus

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
    try:
        return joint.experimental_default_event_space_bijector()
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            "joint must have parts with a density on the line, or pinned: TFP has no bijector for one of "
            f"{in_short(_names(joint.event_shape))}."
        ) from error


def _of_simplexes(joint: Pinned, free: Any) -> float:
    """What TFP's log-det of K probabilities has too much: `log(K) / 2`.

    It measures areas on the simplex, as they lie in R^K; the densities of its Dirichlet laws are over the first K - 1.
    `InputError` for other parts that are made of fewer numbers than they have: matrices and directions, whose densities
    are over what TFP's bijectors do not measure, or do not reach.
    """
    names = _names(joint.event_shape)
    pairs = zip(names, tf.nest.flatten(free), tf.nest.flatten(joint.event_shape), strict=False)
    fewer = {name: part for name, one, part in pairs if one != part}
    if not fewer:
        return 0.0
    laws, _ = joint.distribution.sample_distributions(seed=0)
    laws = laws if isinstance(laws, dict) else {name: getattr(laws, name, None) for name in names}
    surplus = 0.0
    for name, part in fewer.items():
        law = laws.get(name)
        while isinstance(law, (tfd.Sample, tfd.Independent, tfd.BatchReshape)):
            law = law.distribution
        if isinstance(law, (tfd.Dirichlet, tfd.RelaxedOneHotCategorical)):
            surplus += 0.5 * np.log(part[-1]) * part[:-1].num_elements()
        elif not isinstance(law, (tfd.CholeskyLKJ, tfd.TransformedDistribution)):
            raise InputError(
                f"joint must have parts of numbers, of probabilities or of CholeskyLKJ, or pinned; got {name!r}, "
                f"{'a part without a name' if law is None else 'a ' + type(law).__name__}."
            )
    return float(surplus)


def _names(structure: Any) -> list[str]:
    """The names of the parts of a structure in the order that `tf.nest` flattens them, or their numbers from 0."""
    flat = len(tf.nest.flatten(structure))
    keys = sorted(structure) if isinstance(structure, dict) else getattr(structure, "_fields", ())
    return [str(key) for key in (keys if len(keys) == flat else range(flat))]


def _columns(structure: Any, shapes: Any) -> tuple[str, ...]:
    """A name for each number of a row: the part's, and its place there."""
    flat, names = tf.nest.flatten(shapes), _names(structure)
    return tuple(
        name + (f"[{', '.join(map(str, place))}]" if place else "")
        for name, shape in zip(names, flat, strict=True)
        for place in np.ndindex(*shape)
    )

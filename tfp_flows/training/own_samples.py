"""A flow fitted to a density, on samples that it draws itself, and on the density's own: the step and the one loop."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import check_number, check_sizes
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.training.callbacks import values_of
from tfp_flows.training.checkpoint import as_plan
from tfp_flows.training.history import History
from tfp_flows.training.loop import run, uses_xla
from tfp_flows.training.model import TrainedFlow
from tfp_flows.training.names import Names, naming
from tfp_flows.training.options import check_options
from tfp_flows.training.rates import adam, schedule_for
from tfp_flows.training.rows import Rows, identity_of, steps_at_once, untuned
from tfp_flows.training.standard import coarse_column, coarse_detail

__all__ = ["STATISTICS_ROWS", "Density", "as_int32", "check_draws", "fit_on_own_samples"]

STATISTICS_ROWS = 10_000  # samples of the density that the flow is standardised by
VALIDATION_BATCHES, VALIDATION_BATCH = 5, 2_000  # small batches, as a training may have, would take their time
ROUNDING_ROWS = 1_000  # samples that must not be lost in rounding
FIRST_POWER = 0.02  # of the density, when the warm-up begins
OUTLIER = 30.0  # nats


class Density(NamedTuple):
    """What a flow is fitted to.

    `log_prob(x)`, or `log_prob(x, context=c)`, is differentiable in x. `rows()` gives rows that lie as its own do, and
    the context of each or None. `names` are those of its columns and of its context's, and `identity` is what tells it
    from others in a checkpoint. The warm-up goes from the log-density `wide` to it; without one, from a power of its
    own that is nearly flat. `sample(shape, seed=key)`, or with a context, gives rows of it and their log-densities.
    """

    log_prob: Callable[..., tf.Tensor]
    contexts: np.ndarray  # [N, C]; without columns where there are none
    rows: Callable[[], tuple[Any, Any]]
    names: tuple[Names, Names]
    identity: dict[str, Any]
    wide: Callable[[tf.Tensor], tf.Tensor] | None = None
    sample: Callable[..., tuple[tf.Tensor, tf.Tensor]] | None = None


def check_draws(name: str, flow: Any) -> None:
    """Raises `InputError` for what is no flow, and for one whose samples have no gradient."""
    if not isinstance(flow, Flow):
        raise InputError(f"{name} must be a tff.Flow; got a {type(flow).__name__}.")
    if flow.reparameterization_type != tfp.distributions.FULLY_REPARAMETERIZED:
        raise InputError(
            f"{name} must have samples that are differentiable in its variables: those of its base, "
            f"{flow.distribution.name}, are not."
        )


def fit_on_own_samples(
    named: Flow,
    density: Density,
    *,
    training: str,
    called: str,
    loss: str,
    warm_up: float,
    gradient: str = "total",
    forward: float = 0.0,
    **options: Any,
) -> History:
    """Trains `named` down the gradient of `E{ log q(x) - log p(x) }`, x its own samples.

    Args:
      named: the flow; one of whole numbers is fitted before it rounds them.
      density: p, up to a factor.
      training: what the training is called in a checkpoint.
      called: what the flow is called in an error.
      loss: the name of the loss in the logs.
      warm_up: part of the training over which the density rises from nearly flat to itself.
      gradient: "total", of all that a sample's loss depends on, or "path".
      forward: part of `E{ log p(z) - log q(z) }` in the loss, z samples of the density.
      options: those of every training.
    """
    epochs, batch_size, steps_per_epoch = (options[name] for name in ("epochs", "batch_size", "steps_per_epoch"))
    check_sizes(batch_size=batch_size, steps_per_epoch=steps_per_epoch)
    callbacks, rate = check_options(**options)
    check_number("warm_up", warm_up, 0, 1)
    flow, contexts, seed = named.continuous, density.contexts, options["seed"]
    steps, block = epochs * steps_per_epoch, steps_at_once(steps_per_epoch)
    xla = uses_xla(options["jit_compile"], steps)
    model = _OwnSamples(flow, density, loss, gradient, forward, name=training)
    schedule = options["schedule"] or schedule_for(flow)
    model.compile(options["optimizer"] or adam(rate, schedule, steps, options["clip_norm"]), jit_compile=xla)
    model.optimizer.build(model.trainable_variables)
    start = values_of(flow.variables)
    if flow.is_unstandardized:
        rows, of_rows = density.rows()
        flow.standardize(rows, context=of_rows)
    if forward < 1:
        _check_rounding(flow, called, contexts, start)
    plan = None
    if options["checkpoint"] is not None:
        settings = {"epochs": epochs, "batch_size": batch_size, "steps_per_epoch": steps_per_epoch, "warm_up": warm_up}
        settings |= {"patience": options["patience"], "seed": seed, "xla": xla}
        settings |= {"forward": forward} if forward else {}
        settings |= {"training": training, "rows": identity_of(Rows(contexts)), **density.identity}
        plan = as_plan(options["checkpoint"], options["checkpoint_every"], model, settings)
    draws = functools.partial(_draws, contexts=contexts, dtype=flow.dtype.name)
    rising = round(warm_up * steps)
    with naming(named, *density.names):
        return run(
            model,
            lambda i: untuned(draws(seed, batch_size, rising, i * block).batch(block, drop_remainder=True)),
            epochs=epochs,
            steps=steps_per_epoch // block,
            at_once=1,
            inside=True,
            validation=untuned(draws(seed + 1, VALIDATION_BATCH).take(VALIDATION_BATCHES).cache()),
            set_batch_norm=None,
            start=start,
            patience=options["patience"],
            callbacks=callbacks,
            verbose=options["verbose"],
            learning_rate=rate,
            checkpoint=plan,
            stacklevel=4,
        )


class _OwnSamples(TrainedFlow):
    """A flow as a Keras model whose batches are seeds of noise `[2]`, contexts `[B, C]`, whose C may be 0, and powers.

    It is given the density as a function, and not as what has it: tf_keras would find the variables of that, and train
    them too.
    """

    def __init__(
        self, flow: Flow, density: Density, loss: str, gradient: str, forward: float = 0.0, *, name: str
    ) -> None:
        super().__init__(flow, loss, name=name, in_blocks=True)
        self._log_prob, self._wide, self._draw = density.log_prob, density.wide, density.sample
        self._gradient, self._forward = gradient, forward

    def losses_of(self, data: Any, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Each sample's `log q(x) - power log p(x)`, and ones; with `forward`, that part of a sample of p beside it."""
        seed, context, power = data
        shape, given = ((), {"context": context}) if context.shape[-1] else (context.shape[0], {})
        losses = tf.zeros([context.shape[0]], self.flow.dtype)
        for part, losses_in in ((1.0 - self._forward, self._reverse), (self._forward, self._forwards)):
            if part > 0:
                found = losses_in(shape, seed, power, given, training)
                losses += part * (_without_outliers(found) if training else found)
        return losses, tf.ones_like(losses)

    def _reverse(self, shape: Any, seed: tf.Tensor, power: tf.Tensor, given: dict, training: bool) -> tf.Tensor:
        """`log q(x) - log p(x)` at samples x of the flow, whose density p has that power."""
        x, log_prob = self.flow.sample_and_log_prob(shape, seed=seed, **given)
        if training and self._gradient == "path":
            log_prob = _along_the_path(self.flow, x, log_prob, given)
        losses = log_prob - power * self._log_prob(x, **given)
        return losses if self._wide is None else losses - (1.0 - power) * self._wide(x)

    def _forwards(self, shape: Any, seed: tf.Tensor, power: tf.Tensor, given: dict, training: bool) -> tf.Tensor:
        """`log p(z) - log q(z)` at samples z of the density itself."""
        z, log_prob = self._draw(shape, seed=tf.random.experimental.stateless_fold_in(seed, 1), **given)
        return tf.stop_gradient(log_prob) - self.flow.log_prob(tf.stop_gradient(z), **given)


def _along_the_path(flow: Flow, x: tf.Tensor, log_prob: tf.Tensor, given: dict[str, tf.Tensor]) -> tf.Tensor:
    """`log_prob` of the flow's samples x, whose gradient goes through x alone.

    The part that is left out, of the variables at a fixed x, is zero on average, and noise in every batch; where the
    flow is the density itself, what is left is zero in every batch (arXiv:1703.09194).
    """
    fixed = tf.stop_gradient(x)
    with tf.GradientTape() as tape:
        tape.watch(fixed)
        again = flow.log_prob(fixed, **given)
    slope = tf.stop_gradient(tape.gradient(again, fixed))
    return tf.stop_gradient(log_prob) + tf.reduce_sum(slope * (x - fixed), axis=-1)


def _without_outliers(losses: tf.Tensor) -> tf.Tensor:
    """Differences of log-densities, those above `OUTLIER` nats on a logarithmic scale.

    Where the density has next to no mass its logarithm is far below anything else, and one such sample would be all
    that a step sees. It keeps the direction of its gradient, but no more than the weight of the others.
    """
    excess = tf.nn.relu(losses - OUTLIER)
    return tf.minimum(losses, OUTLIER) + OUTLIER * tf.math.log1p(excess / OUTLIER)


def _draws(
    seed: int, batch_size: int, warm_up: int = 0, start: int = 0, *, contexts: np.ndarray, dtype: str
) -> tf.data.Dataset:
    """Endless batches, from number `start` on: a seed of noise, a context for each sample, the density's power."""
    rows = tf.constant(contexts)

    def batch(i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        key = tf.stack([as_int32(seed), tf.cast(i, tf.int32)])
        index = tf.random.stateless_uniform([batch_size], key, maxval=max(1, len(contexts)), dtype=tf.int32)
        part = tf.minimum(tf.ones([], dtype), tf.cast(i + 1, dtype) / max(1, warm_up))
        power = FIRST_POWER + (1.0 - FIRST_POWER) * part
        return key, tf.gather(rows, index) if contexts.size else tf.zeros([batch_size, 0], dtype), power

    return tf.data.Dataset.counter(start).map(batch)


def _check_rounding(flow: Flow, called: str, contexts: np.ndarray, start: list[np.ndarray]) -> None:
    """`InputError`, with the flow as it was, where its samples in float32 would all be the same to the density."""
    if flow.dtype != tf.float32:
        return
    few = contexts[:ROUNDING_ROWS]
    shape, given = ((), {"context": few}) if contexts.size else (ROUNDING_ROWS, {})
    x = flow.sample_in_float64(shape, seed=0, **given).numpy()
    found = coarse_column(x) or coarse_detail(flow, x)
    if found:
        for variable, value in zip(flow.variables, start, strict=True):
            variable.assign(value)
        raise InputError(
            f"the {called}'s samples, which it is fitted on, would be rounded: {found}; subtract an offset from the "
            'column, or build both with dtype="float64".'
        )


def as_int32(seed: int) -> tf.Tensor:
    """The 32 bits of a seed, as TensorFlow has them in its seeds."""
    return tf.constant(int(np.uint32(seed % 2**32).view(np.int32)), tf.int32)

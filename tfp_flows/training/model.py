"""FlowModel: a flow as a Keras model, of whichever Keras TensorFlow has."""

from typing import Any

import tensorflow as tf

from tfp_flows.bijectors import BatchNorm
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow

__all__ = ["FlowModel", "TrainedFlow"]


class TrainedFlow(tf.keras.Model):
    """A flow as a Keras model, whatever the loss: a subclass has `mean_loss(data, training) -> (mean, weight)`.

    Args:
      flow: the flow to train.
      loss_name: the loss's name in the logs.
      name: of the model.
      in_blocks: whether what Keras takes for a batch is a block of batches `[steps, B, ...]`, to be trained on one
        after another: a compiled loop over small steps costs much less than as many calls.
    """

    def __init__(self, flow: Flow, loss_name: str, name: str, in_blocks: bool = False) -> None:
        super().__init__(name=name, dtype=flow.dtype.name)  # Keras casts what it is called with to this
        if not flow.trainable_variables:
            raise InputError(f"{flow.name} has no trainable variables: there is nothing to fit.")
        self.flow, self.loss_name, self._in_blocks = flow, loss_name, in_blocks
        self.mean = tf.keras.metrics.Mean(name=loss_name)
        self.built = True  # all the variables of a flow exist from the start

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """The flow's trainable variables."""
        return list(self.flow.trainable_variables)

    @property
    def metrics(self) -> list:
        """What Keras resets at the start of every epoch."""
        return [self.mean]

    def report(self, loss: tf.Tensor, weight: tf.Tensor) -> dict[str, tf.Tensor]:
        """Counts a batch, and returns the logs."""
        self.mean.update_state(loss, sample_weight=weight)
        return self.logs()

    def logs(self) -> dict[str, tf.Tensor]:
        """What is to be said of the epoch so far."""
        return {self.loss_name: self.mean.result()}

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of the optimizer on a batch, or one on each batch of a block."""
        if not self._in_blocks:
            return self._step(data)
        steps = tf.nest.flatten(data)[0].shape[0]

        def step(i: tf.Tensor) -> tuple[tf.Tensor]:
            self._step(tf.nest.map_structure(lambda part: part[i], data))
            return (i + 1,)

        tf.while_loop(lambda i: i < steps, step, (tf.constant(0),), maximum_iterations=steps)
        return self.logs()

    def _step(self, data: Any) -> dict[str, tf.Tensor]:
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            loss, weight = self.mean_loss(data, training=True)
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return self.report(loss, weight)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The loss of a batch."""
        return self.report(*self.mean_loss(data, training=False))


class FlowModel(TrainedFlow):
    """A `tf.keras.Model` that trains a flow by maximum likelihood: `loss = -mean{ log_prob(x[n] | c[n]) }`, nats.

    It is a model of the Keras that the user's TensorFlow has: Keras 3, or tf_keras under `TF_USE_LEGACY_KERAS=1`.
    Compile it with an optimizer alone and fit it on rows; its batches are `x`, `(x, context)` or
    `(x, context, sample_weight)`, where context is None, or has no columns, for a flow without one.

    Keras 3 does not see the variables of a `tf.Module`, so the model hands them over itself. Its own weight files would
    be empty for the same reason: save with `flow.save`. A flow with batch norm needs `flow.set_batch_norm(rows)` after
    Keras' own `fit`, and before its validation means anything; `tff.fit` sees to that.

    Args:
      flow: the flow to train.
      entropy: the lowest loss there is, in nats, where it is known: then `gap = nll - entropy` is reported as well.
      name: of the model.
      in_blocks: whether Keras is given blocks of batches `[steps, B, ...]` to train on, as `tff.fit` does it: each
        block is one call of a compiled loop over its steps.

    Raises:
      InputError: if the flow has no variables to train.

    Example:

    >>> import numpy as np, tensorflow as tf, tfp_flows as tff
    >>> flow = tff.nice(event_size=2, num_layers=2, hidden_units=(8,), seed=0)
    >>> model = tff.FlowModel(flow)
    >>> model.compile(tf.keras.optimizers.Adam(1e-3), jit_compile=False)
    >>> history = model.fit(np.ones([64, 2], "float32"), batch_size=32, verbose=0)
    >>> list(history.history)
    ['nll']
    """

    def __init__(
        self, flow: Flow, entropy: float | None = None, name: str = "flow_model", *, in_blocks: bool = False
    ) -> None:
        super().__init__(flow, "nll", name, in_blocks)
        self.entropy = entropy

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Log-probability of rows `x [B, D]`, `[B]`."""
        return self.flow.log_prob(x, context=context, training=training)

    def mean_loss(self, data: Any, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Weighted mean of the negative log-likelihood, and the sum of the weights.

        With `training`, batch norm uses the statistics of the batch, and otherwise those that are stored.
        """
        x, context, weight = _unpack(data)
        parts = self._halves(x, context) if training else [(x, context)]
        nll = -tf.concat([self(*part, training=training) for part in parts], axis=0)
        weight = tf.ones_like(nll) if weight is None else tf.cast(weight, nll.dtype)
        total = tf.reduce_sum(weight)
        # A row of weight zero (padding) must not count, whatever its value: 0 * inf would be NaN.
        return tf.reduce_sum(tf.where(weight > 0, nll * weight, 0.0)) / total, total

    def _halves(self, x: tf.Tensor, context: tf.Tensor | None) -> list[tuple[tf.Tensor, tf.Tensor | None]]:
        """The batch in two halves, which two cores work on side by side: benchmarks/README.md has what that saves.

        Whole, if its rows share a context, depend on one another or cannot be counted beforehand, and for a GPU.
        """
        rows = x.shape[0] or 0
        shared = context is not None and context.shape[:-1] != x.shape[:-1]
        together = any(isinstance(layer, BatchNorm) for layer in self.flow.layers)
        if rows < 2 or shared or together or tf.config.list_logical_devices("GPU"):
            return [(x, context)]
        cuts = (slice(rows // 2), slice(rows // 2, None))
        return [(x[cut], None if context is None else context[cut]) for cut in cuts]

    def logs(self) -> dict[str, tf.Tensor]:
        """NLL, and the gap where the entropy is known."""
        logs = super().logs()
        return logs if self.entropy is None else logs | {"gap": logs["nll"] - self.entropy}


def _unpack(data: Any) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor | None]:
    """`x`, context and weight of a batch; None for what is not there, or has no columns."""
    x, context, weight = (*(data if isinstance(data, tuple) else (data,)), None, None)[:3]
    return x, None if context is None or context.shape[-1] == 0 else context, weight

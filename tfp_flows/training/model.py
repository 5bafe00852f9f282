"""FlowModel: a flow as a Keras model, of whichever Keras TensorFlow has."""

import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors import Coupling
from tfp_flows.checks import check_number, check_sizes, given
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.training.batch_norm import check_whole_batches, has_batch_norm, warn_of_batch_norm
from tfp_flows.training.callbacks import StopWhenNotFinite
from tfp_flows.training.given import arrays_of, check_digits, check_finite, check_parts, named_in_order, parts_of
from tfp_flows.training.keras_config import config_of, flow_of, named_to_keras
from tfp_flows.training.layer import FlowLayer
from tfp_flows.training.options import check_is_new, check_optimizer
from tfp_flows.training.standard import far_rows
from tfp_flows.words import in_short

FEW_ROWS, MOST_ROWS = 16, 10_000  # whose mean and spread say something of the others; that are looked at

__all__ = ["FlowModel", "TrainedFlow"]


class _OwnLayer(FlowLayer):
    """The layer of a model that has no other: whatever was frozen elsewhere is trained here."""

    _has_own_faces = True


class TrainedFlow(tf.keras.Model):
    """A flow as a Keras model, whatever the loss: a subclass has `losses_of(data, training) -> (losses, weights)`.

    A step goes down the gradient of `sum{ weight[n] loss[n] } / B` over the B rows of the batch, on all devices. It is
    an unbiased estimate of that of the weighted mean, whichever rows come together in a batch. What is reported is the
    weighted mean over all batches.

    Args:
      flow: the flow to train.
      loss_name: the loss's name in the logs.
      name: of the model.
      in_blocks: whether what Keras takes for a batch is a block of batches `[steps, B, ...]`, to be trained on one
        after another: a compiled loop over small steps costs much less than as many calls.
      steps_in_xla: whether XLA compiles the steps and nothing else: a validation is too short to pay for that.
    """

    def __init__(
        self, flow: Flow, loss_name: str, name: str, in_blocks: bool = False, steps_in_xla: bool = False
    ) -> None:
        if not isinstance(flow, Flow):
            raise InputError(f"flow must be a tff.Flow; got {in_short(flow)}.")
        super().__init__(name=name, dtype=flow.dtype.name)
        if not flow.trainable_variables:
            raise InputError(f"{flow.name} has no trainable variables: there is nothing to fit.")
        self.layer, self.loss_name, self._in_blocks = _OwnLayer(flow), loss_name, in_blocks
        if steps_in_xla:
            self._steps = tf.function(self._steps, jit_compile=True, autograph=False)
        self.mean = tf.keras.metrics.Mean(name=loss_name)
        self.built = True  # all the variables of a flow exist from the start

    @property
    def flow(self) -> Flow:
        """The flow."""
        return self.layer.flow

    @property
    def metrics(self) -> list:
        """What Keras resets at the start of every epoch."""
        return [self.mean]

    def compile(self, optimizer: Any = "adam", **options: Any) -> None:
        """As any Keras model's, but the loss is the model's own: options are jit_compile, run_eagerly and the like.

        Raises:
          InputError: for a loss, metrics or weights of them, which would not be used, for what is no optimizer, and
            for one with which another model was trained.
        """
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if options.get(name):
                raise InputError(f"{name} cannot be chosen: {self.name} minimises {self.loss_name}; leave {name} out.")
        check_optimizer(optimizer)
        check_is_new(optimizer, self.trainable_variables)
        options = {"weighted_metrics": [], **options}  # without, tf_keras warns that weights do not count
        try:
            super().compile(optimizer=optimizer, **options)
        except TypeError as error:
            raise InputError(f"compile takes an optimizer, jit_compile, run_eagerly and the like: {error}.") from error

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """What Keras calls when it loads a model that was compiled."""
        self.compile(**tf.keras.utils.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(self, *args: Any, callbacks: Any = None, **options: Any) -> Any:
        """As any Keras model's; callbacks that are not told whether less is better are told so.

        Keras 3 knows it of metrics that it was given when it compiled, and of no others. `TerminateOnNaN` looks at a
        log called "loss" alone: what it is to do is done.
        """
        ours = {f"{prefix}{metric.name}" for metric in self.metrics for prefix in ("", "val_")}
        listed = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks] if callbacks else []
        for callback in listed:
            if getattr(callback, "mode", None) == "auto" and callback.monitor in ours:
                callback.mode = "min"
        if any(isinstance(callback, tf.keras.callbacks.TerminateOnNaN) for callback in listed):
            callbacks = [*listed, StopWhenNotFinite(self.loss_name)]
        return super().fit(*args, callbacks=callbacks, **options)

    def logs(self) -> dict[str, tf.Tensor]:
        """What is to be said of the epoch so far."""
        return {metric.name: metric.result() for metric in self.metrics}

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of the optimizer on a batch, or one on each batch of a block."""
        return self._steps(data)

    def _steps(self, data: Any) -> dict[str, tf.Tensor]:
        if not self._in_blocks:
            return self._step(data)
        steps = tf.nest.flatten(data)[0].shape[0]

        def step(i: tf.Tensor) -> tuple[tf.Tensor]:
            self._step(tf.nest.map_structure(lambda part: part[i], data))
            return (i + 1,)

        tf.while_loop(lambda i: i < steps, step, (tf.constant(0),), maximum_iterations=steps)
        return self.logs()

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The loss of a batch."""
        losses, weights = self.losses_of(data, training=False)
        return self._report(_weighted_sum(losses, weights), weights)

    def _step(self, data: Any) -> dict[str, tf.Tensor]:
        if _devices() > 1:
            check_whole_batches(self.flow, _devices())
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            losses, weights = self.losses_of(data, training=True)
            total = _weighted_sum(losses, weights)
            loss = _scaled(self.optimizer, total / _over_devices(tf.cast(tf.size(losses), losses.dtype)))
        if variables:  # none, where the model is frozen
            gradients = _unscaled(self.optimizer, tape.gradient(loss, variables))
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self._report(total, weights)

    def _report(self, total: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        """Counts a batch, and returns the logs; a batch of weight zero counts nothing."""
        weight = tf.reduce_sum(weights)
        self.mean.update_state(tf.math.divide_no_nan(total, weight), sample_weight=weight)
        return self.logs()


@named_to_keras
class FlowModel(TrainedFlow):
    """A `tf.keras.Model` that trains a flow by maximum likelihood: it minimises `-mean{ log_prob(x[n] | c[n]) }`, nats.

    It is a model of the Keras that the user's TensorFlow has: Keras 3, or tf_keras under `TF_USE_LEGACY_KERAS=1`.
    Compile it with an optimizer alone and fit it on rows; its batches are `x`, `(x, context)` or
    `(x, context, sample_weight)`, where context is None, or has no columns, for a flow without one. `model(x)`,
    `model((x, context))` and `predict` give log-probabilities.

    What Keras offers around weights holds for it: weight files, `.keras` files, callbacks, freezing. Keras casts NumPy
    rows of float64 to float32 on their way in, where `tff.fit` does not. A flow with batch norm needs
    `flow.set_batch_norm(rows)` after Keras' own `fit`, and before its validation means anything; `tff.fit` does so.
    `tf.keras.models.load_model` reads files of it, and of models with a `FlowLayer`, once `tfp_flows` is imported,
    after TensorFlow.

    Args:
      flow: the flow to train.
      entropy: the lowest loss there is, in nats, where it is known: then `gap = nll - entropy` is reported as well.
      name: of the model.
      in_blocks: whether Keras is given blocks of batches `[steps, B, ...]` to train on, as `tff.fit` does it: each
        block is one call of a compiled loop over its steps.
      steps_in_xla: whether XLA compiles the steps and nothing else, where `compile` is told not to use it.
      in_halves: whether two cores may work on a half of each batch, where that makes steps shorter: it takes longer to
        compile.
      has_noise: whether columns of whole numbers come with their noise, as in `tff.fit`; otherwise each step draws it.

    Raises:
      InputError: if the flow has no variables to train; by `compile`, for a loss or metrics.

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
        self,
        flow: Flow,
        entropy: float | None = None,
        name: str = "flow_model",
        *,
        in_blocks: bool = False,
        steps_in_xla: bool = False,
        in_halves: bool = True,
        has_noise: bool = False,
    ) -> None:
        if entropy is not None:
            check_number("entropy", entropy, -sys.float_info.max, sys.float_info.max)
        super().__init__(flow, "nll", name, in_blocks, steps_in_xla)
        self._in_halves, self._has_noise, self._has_warned = in_halves, has_noise, False
        self.entropy = entropy
        self.gap = None if entropy is None else _Gap(self.mean, entropy)

    @property
    def metrics(self) -> list:
        """NLL, and the gap where the entropy is known."""
        return [self.mean] if self.gap is None else [self.mean, self.gap]

    if not TYPE_CHECKING:

        def __call__(self, x: Any, context: Any = None, **options: Any) -> Any:
            """As any Keras model's; names are matched before Keras makes tensors of tables."""
            x, context = named_in_order(self.flow, *(*parts_of(x), context)[:2])
            return super().__call__(x, **({} if context is None else {"context": context}), **options)

    def call(self, x: Any, context: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Log-probability of rows `x [B, D]`, or of `(x, context)`: `[B]`, nats."""
        x, context = (*parts_of(x), context)[:2]
        return self.layer(x, context=context, training=training)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *args: Any,
        sample_weight: Any = None,
        validation_data: Any = None,
        **options: Any,
    ) -> Any:
        """As any Keras model's, on rows x and their context y."""
        _refuse_classes(options)
        _check_counts(options)
        table = x
        x, y, sample_weight = arrays_of(self.flow, x, y, sample_weight)
        check_finite(x, y)
        check_digits(self.flow, table)
        if isinstance(validation_data, tuple):
            check_parts("validation_data", validation_data)
        if isinstance(validation_data, (tuple, list)) and len(validation_data) <= 3:
            table = validation_data[0]
            validation_data = _without_none(*arrays_of(self.flow, *validation_data))
            check_finite(*validation_data[:2], name="validation_data")
            check_digits(self.flow, table)
        elif validation_data is not None:
            validation_data = arrays_of(self.flow, validation_data)[0]
            check_finite(validation_data, name="validation_data")
            if hasattr(validation_data, "shape"):  # tf_keras wants a tuple
                validation_data = (validation_data,)
        if not self._has_noise:  # `tff.fit` sets statistics itself
            self._warn_of_far_rows(x, y)
            warn_of_batch_norm(self.flow)
        more = {} if validation_data is None else {"validation_data": validation_data}
        return super().fit(x, y, *args, sample_weight=sample_weight, **more, **options)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, sample_weight: Any = None, **options: Any) -> Any:
        """As any Keras model's, on rows x and their context y."""
        _check_counts(options)
        table = x
        x, y, sample_weight = arrays_of(self.flow, x, y, sample_weight)
        check_digits(self.flow, table)
        return super().evaluate(x, y, *args, sample_weight=sample_weight, **options)

    def predict(self, x: Any, *args: Any, **options: Any) -> Any:
        """Log-probabilities of rows x, or of (x, context)."""
        _check_counts(options)
        pair = self._pair(x)
        check_digits(self.flow, x)
        return super().predict(pair, *args, **options)

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> Any:
        """As any Keras model's, on rows x and their context y."""
        _refuse_classes(options)
        x, y, sample_weight = arrays_of(self.flow, x, y, sample_weight)
        return super().train_on_batch(x, y, sample_weight=sample_weight, **options)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> Any:
        """As any Keras model's, on rows x and their context y."""
        x, y, sample_weight = arrays_of(self.flow, x, y, sample_weight)
        return super().test_on_batch(x, y, sample_weight=sample_weight, **options)

    def predict_on_batch(self, x: Any) -> Any:
        """Log-probabilities of rows x, or of (x, context)."""
        return super().predict_on_batch(self._pair(x))

    def _pair(self, x: Any) -> Any:
        """Rows, or (x, context), in one argument, as Keras' predictions take them."""
        x, context, _ = arrays_of(self.flow, x)
        return x if context is None else (x, context)

    def export(self, filepath: Any, format: str = "tf_saved_model", **options: Any) -> None:
        """`flow.export(filepath)`: a SavedModel with the functions log_prob, sample, encode and decode."""
        if format != "tf_saved_model" or any(value is not None for value in options.values()):
            raise InputError("export writes the tf_saved_model of flow.export: give it a folder and nothing else.")
        self.flow.export(filepath)

    def _warn_of_far_rows(self, x: Any, context: Any) -> None:
        """Warns, once, of rows that are far from where layers work, by the statistics that the flow has."""
        flow = self.flow
        found = None if self._has_warned else far_rows(flow, *_first_rows(x, context))
        if found:
            self._has_warned = True
            call = "flow.standardize(x, context=context)" if flow.context_size else "flow.standardize(x)"
            why, what = "was standardised by other rows", "to set that anew"
            if flow.is_unstandardized:
                why, what = "was never standardised", "before fit, which tff.fit does itself"
            warnings.warn(f"{found}, and {flow.name} {why}: call {call} {what}.", stacklevel=3)

    def predict_step(self, data: Any) -> tf.Tensor:
        """Log-probabilities of a batch."""
        x, context, _ = _unpack(data)
        return self.flow.log_prob(x, context=context)

    def losses_of(self, data: Any, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Negative log-likelihoods of the rows of a batch, and their weights.

        With `training`, batch norm uses the statistics of the batch, and otherwise those that are stored.
        """
        x, context, weights = _unpack(data)
        parts = self._halves(x, context) if training else [(x, context)]
        flow = self.flow.continuous if training and self._has_noise else self.flow
        nll = -tf.concat([flow.log_prob(x, context=c, training=training) for x, c in parts], axis=0)
        return nll, tf.ones_like(nll) if weights is None else tf.reshape(tf.cast(weights, nll.dtype), tf.shape(nll))

    def get_config(self) -> dict[str, Any]:
        """What Keras writes beside the weights, with the recipe of the flow."""
        return {"flow": config_of(self.flow), "entropy": self.entropy, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FlowModel":
        """The model again."""
        return cls(flow_of(config["flow"]), config["entropy"], config["name"])

    def _halves(self, x: tf.Tensor, context: tf.Tensor | None) -> list[tuple[tf.Tensor, tf.Tensor | None]]:
        """The batch in two halves, which two cores work on side by side: benchmarks/README.md has what that saves.

        Whole, if its rows share a context, depend on one another or cannot be counted beforehand, for a GPU, and for
        splines, which keep two cores busy as they are.
        """
        rows = x.shape[0] or 0
        shared = context is not None and context.shape[:-1] != x.shape[:-1]
        together = has_batch_norm(self.flow) or any(isinstance(layer, Coupling) for layer in self.flow.every_layer)
        if not self._in_halves or rows < 2 or shared or together or tf.config.list_logical_devices("GPU"):
            return [(x, context)]
        cuts = (slice(rows // 2), slice(rows // 2, None))
        return [(x[cut], None if context is None else context[cut]) for cut in cuts]


def _check_counts(options: dict[str, Any]) -> None:
    """Raises `InputError` for numbers of rows and steps that Keras would stumble over, or pass over."""
    check_sizes(**given(**{name: options.get(name) for name in ("batch_size", "steps_per_epoch", "steps")}))


def _refuse_classes(options: dict[str, Any]) -> None:
    """Raises `InputError` for weights of classes: Keras would take the context for their numbers."""
    if options.get("class_weight") is not None:
        raise InputError("class_weight must be None, as rows of a flow have no classes: give sample_weight.")


class _Gap(tf.keras.metrics.Metric):
    """The mean loss above its floor; it has no state of its own."""

    def __init__(self, mean: tf.keras.metrics.Mean, entropy: float) -> None:
        super().__init__(name="gap")
        self._mean_loss, self._entropy = mean, entropy

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """The mean is told."""

    def reset_state(self) -> None:
        """The mean is reset."""

    def result(self) -> tf.Tensor:
        """Nats."""
        return self._mean_loss.result() - self._entropy


def _unpack(data: Any) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor | None]:
    """`x`, context and weights of a batch; None for what is not there, or has no columns."""
    x, context, weights = (*(data if isinstance(data, tuple) else (data,)), None, None)[:3]
    if isinstance(x, (tuple, list)):  # Keras' x is (x, context)
        x, context = (*x, context)[:2]
    for name, part in (("x", x), ("context", context)):
        if isinstance(part, Mapping):
            raise InputError(f"{name} of a batch must be a tensor [B, D]; got a dict of {', '.join(part)}: stack them.")
    return x, None if context is None or context.shape[-1] == 0 else context, weights


def _without_none(*parts: Any) -> tuple:
    """The parts up to the last that there is."""
    return parts[: max(i for i, part in enumerate(parts, 1) if part is not None)]


def _first_rows(x: Any, context: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Some rows of what Keras' fit takes, with their context: of arrays in memory, or the first batch of a dataset."""
    if isinstance(x, tf.data.Dataset):
        batch = next(iter(x.take(1)), ())
        if not isinstance(batch, (tuple, list)) and not tf.is_tensor(batch):
            return None, None
        x, context, _ = _unpack(tuple(batch) if isinstance(batch, list) else batch) if len(batch) else (None,) * 3
    elif isinstance(x, (tuple, list)) and len(x) == 2 and np.ndim(x[0]) == 2:
        x, context = x
    found = []
    for part in (x, context):
        is_table = hasattr(part, "shape") and len(part.shape) == 2 and len(part) >= FEW_ROWS and part.shape[1] > 0
        found.append(np.asarray(part[:: 1 + len(part) // MOST_ROWS]) if is_table else None)
    return found[0], found[1]


def _weighted_sum(losses: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """A row of weight zero (padding) does not count, whatever its loss: 0 * inf would be NaN."""
    return tf.reduce_sum(tf.where(weights > 0, losses * weights, 0.0))


def _devices() -> int:
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def _over_devices(number: tf.Tensor) -> tf.Tensor:
    """The sum of a number over all devices, which add their gradients up."""
    if _devices() == 1:
        return number
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, number)


def _scaled(optimizer: Any, loss: tf.Tensor) -> tf.Tensor:
    """The loss as an optimizer wants it: one for half precision scales it, in either Keras by another method."""
    scale = getattr(optimizer, "scale_loss", None) or getattr(optimizer, "get_scaled_loss", None)
    return loss if scale is None else scale(loss)


def _unscaled(optimizer: Any, gradients: list) -> list:
    unscale = getattr(optimizer, "get_unscaled_gradients", None)
    return gradients if unscale is None else unscale(gradients)

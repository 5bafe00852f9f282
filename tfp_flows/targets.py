"""What a flow may be fitted to besides rows: a function, a distribution, a posterior; each as one kind of thing."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.datasets import matched
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.unconstrained import Pinned, Unconstrained
from tfp_flows.words import in_short, plural, reason_of

__all__ = ["Target", "as_target", "check_gradient", "compiles", "contexts_of", "traced"]

ROWS = (5, 7)  # that a function is tried on: data of its own has one length
TF_ERRORS = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, tf.errors.NotFoundError)


class Target(NamedTuple):
    """An unnormalised density of rows.

    `log_prob(x)`, or `log_prob(x, context=c)`, is `[...]` for rows `[..., D]`, and differentiable in x. `draw(n, seed)`
    gives rows that lie about where those of the density do; it is None where nothing is known of that.
    """

    log_prob: Callable[..., tf.Tensor]
    draw: Callable[[int, Any], tf.Tensor] | None = None
    columns: Sequence[str] | None = None


def as_target(target: Any, flow: Flow) -> Target:
    """The target of a flow; `InputError` for what is none, or none over its rows."""
    if isinstance(target, (Pinned, tfp.distributions.JointDistribution)):  # which it refuses if nothing is pinned
        target = Unconstrained(target)
    if isinstance(target, Unconstrained):
        _check_fits(target.event_size, target.dtype, flow)
        return Target(target.log_prob, target.sample_prior, target.columns)
    if isinstance(target, tfp.distributions.Distribution):
        if list(target.batch_shape) or len(target.event_shape) != 1:
            raise InputError(
                f"target_log_prob must be over rows of {flow.event_size}; "
                f"got event_shape={target.event_shape} and batch_shape={target.batch_shape}."
            )
        _check_fits(target.event_shape[0], target.dtype, flow)
        sized = getattr(target, "context_size", 0)
        return Target(target.log_prob, None if sized else target.sample, getattr(target, "columns", None))
    if not callable(target):
        raise InputError(
            "target_log_prob must be a function of rows, a distribution, or a joint distribution that is pinned; "
            f"got {in_short(target)}."
        )
    return Target(_in_dtype(target, flow.dtype) if flow.context_size else target)


def _in_dtype(function: Callable[..., Any], dtype: tf.DType) -> Callable[..., Any]:
    """A function of the user's, whose context has the rows' type."""
    return lambda x, context: function(x, context=tf.cast(context, dtype))


def contexts_of(flow: Flow, context: Any) -> np.ndarray:
    """The rows `[N, C]` of a context, in the flow's order; without columns for a flow that has none."""
    if context is None and flow.context_size:
        raise InputError(
            f"context must be rows of {plural(flow.context_size, 'column')}, as {flow.name} has a context."
        )
    if context is None:
        return np.zeros([0, 0])
    if not flow.context_size:
        raise InputError(f"context was given, but {flow.name} was built without; build it with context_size=….")
    return matched(context, flow.context_columns, name="context", event_size=flow.context_size)


def check_gradient(target: Target, flow: Flow, contexts: np.ndarray) -> None:
    """Raises `InputError` for a target that is no function of rows, gives other than a number a row, or no gradient."""
    for count in ROWS:
        _check_gradient_at(target, flow, contexts, count)


def _check_gradient_at(target: Target, flow: Flow, contexts: np.ndarray, count: int) -> None:
    rows = _few_rows(flow, contexts, count)
    function = tf.function(lambda x, given: _with_gradient(target, x, given), autograph=False)
    try:
        found, slope = function.get_concrete_function(*rows)(*rows)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        NotImplementedError,
        TypeError,
        ValueError,
        *TF_ERRORS,
    ) as error:
        what = f"rows [N, {flow.event_size}]" + (f" and context=[N, {flow.context_size}]" if flow.context_size else "")
        raise InputError(
            f"target_log_prob must be a function of {what}, written in TensorFlow; it says: {reason_of(error)}."
        ) from error
    if not tf.is_tensor(found) or list(found.shape) != [count] or found.dtype != flow.dtype:
        got = f"{found.dtype.name} {list(found.shape)}" if tf.is_tensor(found) else in_short(found)
        raise InputError(f"target_log_prob must give {flow.dtype.name} [{count}] for {count} rows; got {got}.")
    if slope is None:
        raise InputError("target_log_prob must be differentiable in its rows: write it in TensorFlow, not in NumPy.")


def traced(target: Target, flow: Flow) -> Callable[..., tf.Tensor]:
    """The log-density of a target for any number of rows, as one graph: of many, TensorFlow complains."""
    rows = tf.TensorSpec([None, flow.event_size], flow.dtype)
    given = {"context": tf.TensorSpec([None, flow.context_size], tf.float64)} if flow.context_size else {}
    function = tf.function(lambda x, given: target.log_prob(x, **given), autograph=False)
    graph = function.get_concrete_function(rows, given)
    return lambda x, **given: graph(tf.constant(x), {name: tf.constant(part) for name, part in given.items()})


def compiles(target: Target, flow: Flow, contexts: np.ndarray) -> bool:
    """Whether XLA compiles a target and its gradient, and does so once.

    Some operations must be known before they are compiled: where they depend on the rows, XLA takes those for constants
    and compiles anew for others. Then the program has no argument for them.
    """
    x, given = _few_rows(flow, contexts, ROWS[0])
    compiled = tf.function(lambda x, given: _with_gradient(target, x, given), jit_compile=True, autograph=False)
    try:
        program = compiled.experimental_get_compiler_ir(x, given)(stage="hlo")
    except (TypeError, ValueError, *TF_ERRORS):
        return False
    arguments, _, _ = next(line for line in program.splitlines() if line.startswith("ENTRY")).partition("->")
    return arguments.count("f32[" if x.dtype == tf.float32 else "f64[") > 0


def _few_rows(flow: Flow, contexts: np.ndarray, count: int) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Samples of the flow, and the context of each if there are any."""
    given = {"context": tf.constant(contexts[np.arange(count) % len(contexts)])} if contexts.size else {}
    return flow.sample(() if given else count, seed=0, **given), given


def _with_gradient(target: Target, x: tf.Tensor, given: dict[str, tf.Tensor]) -> tuple[Any, tf.Tensor | None]:
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = target.log_prob(x, **given)
    return found, tape.gradient(found, x) if tf.is_tensor(found) else None


def _check_fits(size: int, dtype: tf.DType, flow: Flow) -> None:
    if size != flow.event_size:
        raise InputError(f"target_log_prob is over rows of {size}, and {flow.name} has event_size={flow.event_size}.")
    if dtype != flow.dtype:
        raise InputError(
            f"target_log_prob is of {dtype.name}, and {flow.name} of {flow.dtype.name}: build one as the other."
        )

"""The elementwise map of an autoregressive network's outputs, inverted in the direction that has to wait for itself."""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfp_flows.elementwise import Elementwise
from tfp_flows.networks.features import Fourier
from tfp_flows.networks.solver.plan import Plan
from tfp_flows.networks.solver.sweep import sweep

__all__ = ["solve"]


def solve(
    plan: Plan,
    kernels: Sequence[tf.Tensor],
    offsets: Sequence[tf.Tensor],
    activation: Callable[[tf.Tensor], tf.Tensor],
    features: Fourier,
    elementwise: Elementwise,
    u: tf.Tensor,
) -> tf.Tensor:
    """Finds `y = network(features(x))`, `x[i] = elementwise.forward(y[i], u[i])`, where `y[i]` depends on the `x[<i]`.

    The gradient is exact: by the inverse-function theorem it solves the transposed network, which is autoregressive
    from the last dimension on, so it costs about as much as the solution itself.

    Args:
      plan: of the network.
      kernels: `[N[l+1], N[l]]` of each layer, masked, rows and columns sorted by degree; the last has `params` rows
        for each dimension.
      offsets: `[N[l+1], 1]` or `[N[l+1], B]`, added to what the kernels give.
      activation: between layers.
      features: what the first layer sees of a dimension.
      elementwise: the map; equal ones share what is traced.
      u: `[D, B]`, sorted by degree.

    Returns:
      `y [D * params, B]`, of which the map makes x, and its log-slope, at once.
    """
    if plan.count == 1:  # no loop: TensorFlow's own gradient is the cheaper one
        return _run(plan, activation, features, elementwise, u, kernels, offsets)
    run = _function(plan, activation, features, elementwise)
    depth, solved = len(kernels), []

    @tf.custom_gradient
    def differentiable(u: tf.Tensor, *weights: tf.Tensor) -> tuple:
        def gradient(dy: tf.Tensor) -> list[tf.Tensor]:
            # From the solution that is differentiable itself, so that the gradient is, too.
            network = plan, weights[:depth], weights[depth:], activation, features
            return _gradient(*network, elementwise, u, *solved, dy)

        still = tf.nest.map_structure(tf.stop_gradient, (u, weights[:depth], weights[depth:]))
        return run(*still), gradient

    solved.append(differentiable(u, *kernels, *offsets))
    return solved[0]


def _run(
    plan: Plan,
    activation: Callable,
    features: Fourier,
    elementwise: Elementwise,
    u: tf.Tensor,
    kernels: Sequence[tf.Tensor],
    offsets: Sequence[tf.Tensor],
) -> tf.Tensor:
    marks = _marks(features, u)

    def element(y: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
        """What the network sees of a dimension, `[width, B]`; it is given u and, if there are some, its marks."""
        x = elementwise.forward(tf.transpose(y), given[:1])[0]  # of [B, params] and [1, B]
        return x if features.is_plain else tf.transpose(features(x[0], None if marks is None else given[1]))

    def unit(z: tf.Tensor, _: None, below: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        z = z if below is None else z + below
        return activation(z), z

    given = u
    if marks is not None:
        given = tf.reshape(tf.stack([u, marks + tf.zeros_like(u)], axis=1), [2 * plan.event_size, -1])
    return sweep(plan, kernels, offsets, unit, [], element, given=given)[2]


def _marks(features: Fourier, u: tf.Tensor) -> tf.Tensor | None:
    """The marks of the dimensions that features have, `[D, 1]`, beside u `[D, B]`."""
    return None if features.marks is None else tf.constant(features.marks[:, None], u.dtype)


@functools.lru_cache(maxsize=32)
def _function(plan: Plan, activation: Callable, features: Fourier, elementwise: Elementwise) -> Callable:
    """`_run` as a `tf.function`, which equal layers share: traced once; an eager loop takes up to 20 times as long."""
    run = functools.partial(_run, plan, activation, features, elementwise)
    return tf.function(run, reduce_retracing=True, autograph=False)


def _gradient(
    plan: Plan,
    kernels: Sequence[tf.Tensor],
    offsets: Sequence[tf.Tensor],
    activation: Callable,
    features: Fourier,
    elementwise: Elementwise,
    u: tf.Tensor,
    y: tf.Tensor,
    dy: tf.Tensor,
) -> list[tf.Tensor]:
    """Gradients of u, the kernels and the offsets, from that of y.

    With t the total gradient of x, and `dx/dy` the slopes of the map in its parameters,

    ```
    c = t dx/dy + dy                                               the total gradient of y
    t = sum{ slope of each feature * (gradient of the network)(c) }
    ```

    which the transposed network solves from the last dimension on: dimensions and units in reverse, `y` as its inputs.
    """
    (width, params), size = plan.widths, plan.event_size
    dy = tf.convert_to_tensor(dy)  # TensorFlow may hand over slices
    by_dimension = functools.partial(tf.reshape, shape=[size, params, -1])
    with tf.GradientTape() as tape:
        raw = tf.transpose(by_dimension(y), [0, 2, 1])
        tape.watch([u, raw])
        x, _ = elementwise.forward(raw, u)
    du, slopes_y = tape.gradient(x, [u, raw], unconnected_gradients="zero")
    slopes_y = tf.transpose(slopes_y, [0, 2, 1])
    marks = _marks(features, u)
    seen = x if features.is_plain else tf.reshape(tf.transpose(features(x, marks), [0, 2, 1]), [size * width, -1])
    slopes_seen = [] if features.is_plain else [tf.transpose(features.slopes(x, marks), [0, 2, 1])]
    hidden, slopes = _hidden_and_slopes(plan, kernels, offsets, activation, seen)
    # What the sweep is given of each dimension: [2 params, and width unless it is plain, B], reversed
    given = tf.concat([slopes_y, by_dimension(dy), *slopes_seen], axis=1)[::-1]

    def total(fed_back: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
        if slopes_seen:
            fed_back = tf.reduce_sum(fed_back * given[2 * params :], axis=0, keepdims=True)
        return fed_back * given[:params] + given[params : 2 * params]

    def unit(z: tf.Tensor, slope: tf.Tensor, below: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        delta = z * slope if below is None else z * slope + below
        return delta, delta

    c, deltas, fed_back = sweep(
        plan.reverse(),
        [
            _turned(kernel, params if i == len(kernels) - 1 else 1, width if i == 0 else 1)
            for i, kernel in reversed(list(enumerate(kernels)))
        ],
        [tf.zeros([kernel.shape[1], 1], dy.dtype) for kernel in reversed(kernels)],
        unit,
        unit_given=[slope[::-1] for slope in reversed(slopes)],
        element=total,
        given=tf.reshape(given, [size * given.shape[1], -1]),
    )
    c = tf.reshape(by_dimension(c)[::-1], [size * params, -1])
    deltas = [*(delta[::-1] for delta in reversed(deltas)), c]
    d_kernels = [tf.linalg.matmul(delta, h, transpose_b=True) for h, delta in zip(hidden, deltas, strict=True)]
    d_offsets = [
        delta if offset.shape[1] != 1 else tf.reduce_sum(delta, axis=1, keepdims=True)
        for offset, delta in zip(offsets, deltas, strict=True)
    ]
    fed_back = tf.reshape(fed_back, [size, width, -1])[::-1]
    fed_back = tf.reduce_sum(fed_back * slopes_seen[0], axis=1) if slopes_seen else fed_back[:, 0]
    return [fed_back * du, *d_kernels, *d_offsets]


def _hidden_and_slopes(
    plan: Plan, kernels: Sequence[tf.Tensor], offsets: Sequence[tf.Tensor], activation: Callable, seen: tf.Tensor
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """What the network sees and its hidden units, and the slopes of those: one pass in the density's direction."""
    hidden, slopes, carried = [seen], [], None
    for kernel, offset in zip(kernels[:-1], offsets[:-1], strict=True):
        with tf.GradientTape() as tape:
            z = tf.linalg.matmul(kernel, hidden[-1]) + offset
            z = z if carried is None else z + carried
            tape.watch(z)
            h = activation(z)
        slopes.append(tape.gradient(h, z))
        hidden.append(h)
        carried = z if plan.residual else None
    return hidden, slopes


def _turned(kernel: tf.Tensor, rows: int, columns: int) -> tf.Tensor:
    """A kernel transposed, with its rows and columns from the last to the first, where so many stay together."""
    height, width = kernel.shape
    grouped = tf.reshape(kernel, [height // rows, rows, width // columns, columns])
    return tf.reshape(tf.transpose(grouped[::-1, :, ::-1], [2, 3, 0, 1]), [width, height])

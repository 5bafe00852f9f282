"""The worker of plain TFP: its own bijectors and networks, compiled with XLA; and Keras as TFP's documentation has it.

TFP needs tf_keras: the environment must have TF_USE_LEGACY_KERAS=1.
"""

import time

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_works
from epochs import Epochs
from protocol import Case, serve
from rows import epoch_rows
from siggraph import race

tfb, tfd, tfk = tfp.bijectors, tfp.distributions, tf.keras

FOREVER = 1_000_000  # epochs: more than anyone waits for
INTERVAL = 3.0  # half the width of the box in which a spline acts


def spline(raw) -> tfb.Bijector:
    """The splines of a network's outputs `[..., M, 3 K - 1]`, as in TFP's documentation of them."""
    bins = (raw.shape[-1] + 1) // 3
    widths, heights, slopes = tf.split(raw, [bins, bins, bins - 1], axis=-1)
    return tfb.RationalQuadraticSpline(
        bin_widths=_positions(widths, bins),
        bin_heights=_positions(heights, bins),
        knot_slopes=tf.math.softplus(slopes) + 1e-2,
        range_min=-INTERVAL,
    )


def _positions(raw, bins: int):
    return tf.math.softmax(raw, axis=-1) * (2 * INTERVAL - bins * 1e-2) + 1e-2


class Dense(tf.Module):
    """A network of dense layers; a module, so that a bijector which holds it finds its variables."""

    def __init__(self, case: Case, params: int) -> None:
        super().__init__()
        half = case.event_size // 2
        layers = [tfk.layers.Dense(units, activation="relu") for units in case.hidden]
        self.network = tfk.Sequential([*layers, tfk.layers.Dense(params * (case.event_size - half))])
        self.network.build([None, half])
        self.params = params


class ShiftAndLogScale(Dense):
    """What `tfb.RealNVP` asks for."""

    def __call__(self, x, output_units: int, **kwargs):
        """Shift and log-scale."""
        return tf.split(self.network(x), 2, axis=-1)


class Splines(Dense):
    """The `bijector_fn` of `tfb.RealNVP`."""

    def __call__(self, x, output_units: int, **kwargs):
        """The splines of one half, from the other half."""
        return spline(tf.reshape(self.network(x), [-1, output_units, self.params]))


class Autoregressive(tf.Module):
    """The `bijector_fn` of `tfb.MaskedAutoregressiveFlow`."""

    def __init__(self, network: tf.Module) -> None:
        super().__init__()
        self.network = network

    def __call__(self, x, **kwargs):
        """The splines of all dimensions, each from those before it."""
        return spline(self.network(x))


def made(case: Case) -> tfb.Bijector:
    """One autoregressive layer."""
    params = 3 * case.bins - 1 if case.flow == "nsf" else 2
    network = tfb.AutoregressiveNetwork(
        params=params, event_shape=[case.event_size], hidden_units=list(case.hidden), activation="relu"
    )
    network(tf.zeros([1, case.event_size]))
    if case.flow == "nsf":
        return tfb.MaskedAutoregressiveFlow(bijector_fn=Autoregressive(network))
    return tfb.MaskedAutoregressiveFlow(network)


def build(case: Case) -> tfd.TransformedDistribution:
    """The flow of a case, with the order reversed between layers."""
    half, bins = case.event_size // 2, case.bins
    layer = {
        **dict.fromkeys(("maf", "nsf"), lambda: made(case)),
        "real_nvp": lambda: tfb.RealNVP(half, shift_and_log_scale_fn=ShiftAndLogScale(case, 2)),
        "spline": lambda: tfb.RealNVP(half, bijector_fn=Splines(case, 3 * bins - 1)),
    }[case.flow]
    chain = [layer()]
    for _ in range(case.layers - 1):
        chain += [tfb.Permute(np.arange(case.event_size)[::-1].astype(np.int32)), layer()]
    base = tfd.Sample(tfd.Normal(loc=0.0, scale=1.0), sample_shape=[case.event_size])
    return tfd.TransformedDistribution(base, tfb.Chain(chain))


def fit(case: Case) -> Epochs:
    """`Model.fit` of a functional model whose output is the log-density: seconds of a step, epochs' ends included."""
    x, inputs = epoch_rows(case), tfk.layers.Input(shape=(case.event_size,), dtype=tf.float32)
    model = tfk.Model(inputs, build(case).log_prob(inputs))
    model.compile(tfk.optimizers.Adam(1e-4), loss=lambda _, log_prob: -log_prob)

    def train(epoch_ended) -> None:
        model.fit(
            x,
            np.zeros((len(x), 0), np.float32),
            batch_size=case.batch,
            epochs=FOREVER,
            steps_per_epoch=case.epoch_steps,
            shuffle=True,
            callbacks=[tfk.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epoch_ended())],
            verbose=False,
        )

    return Epochs(tf_works.count(model.trainable_variables), case.epoch_steps, train)


def train(case: Case, learning_rate: float, **options) -> dict:
    """Compiled steps on SIGGRAPH until the target or the limit."""
    started = time.perf_counter()
    flow = build(case)
    step = tf_works.training_step(flow, learning_rate)
    nll = tf.function(lambda x: -tf.reduce_mean(flow.log_prob(x)), jit_compile=True)
    return race(
        lambda x: step(tf.constant(x)).numpy(),
        lambda x: float(nll(tf.constant(x))),
        started,
        batch=case.batch,
        **options,
    )


if __name__ == "__main__":
    tf_works.set_threads()
    serve(
        ["tensorflow", "tensorflow-probability", "tf_keras", "numpy"],
        {
            "step": lambda case: tf_works.step(build(case), case),
            "log_prob": lambda case: tf_works.log_prob(build(case), case),
            "sample": lambda case: tf_works.sample(build(case), case),
            "first": lambda case: tf_works.first(build(case), case),
            "fit": fit,
        },
        train,
    )

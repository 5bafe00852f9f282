"""The works of a TFP distribution, ours or plain: compiled with XLA, each with its arguments as arguments."""

import numpy as np
import tensorflow as tf
from protocol import Case, Timed, threads
from rows import rows

__all__ = ["count", "first", "log_prob", "matmul", "sample", "set_threads", "step", "training_step"]


def set_threads() -> None:
    """As many threads for one operation as there are cores; to be called before anything runs."""
    tf.config.threading.set_intra_op_parallelism_threads(threads())


def count(variables: list) -> int:
    """How many numbers the variables hold."""
    return sum(int(np.prod(v.shape)) for v in variables)


def training_step(distribution, learning_rate: float):
    """A compiled function of a batch that takes a step of Adam and returns the loss."""
    variables = list(distribution.trainable_variables)
    optimizer = tf.keras.optimizers.Adam(learning_rate)
    optimizer.build(variables)

    @tf.function(jit_compile=True)
    def run(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(distribution.log_prob(x))
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    return run


def step(distribution, case: Case) -> Timed:
    """A step of Adam on a fixed batch."""
    run, x = training_step(distribution, 1e-4), tf.constant(rows(case))
    return Timed(count(distribution.trainable_variables), lambda: run(x).numpy())


def log_prob(distribution, case: Case) -> Timed:
    """The log-densities of a batch."""
    run, x = tf.function(distribution.log_prob, jit_compile=True), tf.constant(rows(case))
    return Timed(count(distribution.trainable_variables), lambda: run(x).numpy())


def sample(distribution, case: Case) -> Timed:
    """A batch of samples."""
    run = tf.function(lambda seed: distribution.sample(case.batch, seed=seed), jit_compile=True)
    seed = tf.constant([0, 0], tf.int32)
    return Timed(count(distribution.trainable_variables), lambda: run(seed).numpy())


def first(distribution, case: Case) -> Timed:
    """The log-density of one row, as a first look at a flow takes it: not compiled."""
    x = rows(case, 1)
    return Timed(count(distribution.trainable_variables), lambda: distribution.log_prob(x).numpy())


def matmul(case: Case) -> Timed:
    """The product of two large matrices."""
    run = tf.function(tf.matmul, jit_compile=True)
    a = tf.constant(rows(case, case.event_size))
    return Timed(0, lambda: run(a, a)[0, 0].numpy())

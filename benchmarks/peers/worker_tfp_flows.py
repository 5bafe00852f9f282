"""The worker of tfp_flows."""

import time

import numpy as np
import tensorflow as tf
import tf_works
from epochs import Epochs
from protocol import Case, Timed, serve
from rows import epoch_rows, rows
from siggraph import load, outcome

import tfp_flows as tff

FOREVER = 1_000_000  # epochs: more than anyone waits for


def build(case: Case) -> tff.Flow:
    """The flow of a case."""
    options = {"num_layers": case.layers, "hidden_units": case.hidden, "activation": "relu", "seed": 0}
    name = {"spline": "nsf_coupling"}.get(case.flow, case.flow)
    options |= {"num_bins": case.bins, "interval": 3.0} if "nsf" in name else {}
    return tff.make(name, event_size=case.event_size, **options)


def fit(case: Case) -> Epochs:
    """`tff.fit` with rows in memory and its defaults, no rows held out: seconds of a step, epochs' ends included."""
    flow, x = build(case), epoch_rows(case)

    def train(epoch_ended) -> None:
        tff.fit(
            flow,
            x,
            validation_split=0.0,
            epochs=FOREVER,
            batch_size=case.batch,
            learning_rate=1e-4,
            patience=None,
            callbacks=[tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epoch_ended())],
            verbose=False,
        )

    return Epochs(tf_works.count(flow.trainable_variables), case.epoch_steps, train)


def train(case: Case, data: str, look_every: int, target: float, limit: float, learning_rate: float) -> dict:
    """`tff.fit` on SIGGRAPH, held-out rows as its validation data, until the target or the limit."""
    started = time.perf_counter()
    rows_in, held_out, log_volume = load(data)
    flow, curve, ended = build(case), [], {}

    class Stop(tf.keras.callbacks.Callback):
        """Ends the training."""

        def on_epoch_end(self, epoch: int, logs: dict) -> None:
            """Notes the NLL."""
            curve.append((round(time.perf_counter() - started, 2), float(logs["val_nll"]) + log_volume))
            ended.update(outcome(curve, (epoch + 1) * look_every, target, limit) or {})
            self.model.stop_training = bool(ended)

    tff.fit(
        flow,
        rows_in,
        validation_data=held_out,
        epochs=FOREVER,
        batch_size=case.batch,
        steps_per_epoch=look_every,
        learning_rate=learning_rate,
        schedule="constant",
        patience=None,
        callbacks=[Stop()],
        verbose=False,
    )
    return ended


def numpy_matmul(case: Case) -> Timed:
    """The product of two large matrices, by NumPy's BLAS."""
    a = rows(case, case.event_size)
    return Timed(0, lambda: np.matmul(a, a))


if __name__ == "__main__":
    tf_works.set_threads()
    serve(
        ["tfp_flows", "tensorflow", "tensorflow-probability", "keras", "numpy"],
        {
            "step": lambda case: tf_works.step(build(case), case),
            "log_prob": lambda case: tf_works.log_prob(build(case), case),
            "sample": lambda case: tf_works.sample(build(case), case),
            "first": lambda case: tf_works.first(build(case), case),
            "fit": fit,
            "matmul": tf_works.matmul,
            "numpy matmul": numpy_matmul,
        },
        train,
    )

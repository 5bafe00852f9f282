"""The rate of a training: which schedule there is, and what it is in each step."""

from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff
from tfp_flows.errors import InputError
from tfp_flows.training.rates import MOST_RISING, adam, decay_for, schedule_for

SMALL = {"num_layers": 1, "hidden_units": (4,), "seed": 0}


def rates_of(schedule, steps, at):
    rate = adam(0.1, schedule, steps, None)._learning_rate
    return np.array([float(rate(step) if callable(rate) else rate) for step in at])


@pytest.mark.parametrize("steps", [100, 20_000])
def test_a_cycle_rises_to_the_highest_rate_and_falls_to_zero(steps):
    rising = min(steps // 10, MOST_RISING)
    at = [0, rising // 2, rising, (steps + rising) // 2, steps]
    np.testing.assert_allclose(
        rates_of("one_cycle", steps, at), [0.1 / rising, 0.05, 0.1, 0.05, 0.0], atol=0.1 / rising
    )
    every = rates_of("one_cycle", steps, range(0, steps + 1, max(1, steps // 100)))
    assert every.max() <= 0.1 + 1e-7
    assert np.all(np.diff(every[np.argmax(every) :]) <= 0)


def test_the_others_start_with_the_highest_rate():
    np.testing.assert_allclose(rates_of("cosine", 100, [0, 50, 100]), [0.1, 0.05, 0.0], atol=1e-7)
    np.testing.assert_allclose(rates_of("constant", 100, [0, 50]), [0.1, 0.1])
    np.testing.assert_allclose(rates_of("one_cycle", 9, [0, 9]), [0.1, 0.0], atol=1e-7)  # too few steps to rise in


@pytest.mark.parametrize(
    ("name", "options", "schedule"),
    [
        ("maf", {}, "cosine"),
        ("nsf_coupling", {}, "cosine"),
        ("mlp", {}, "cosine"),
        ("maf", {"octaves": 2}, "one_cycle"),
        ("nsf_coupling", {"octaves": [3]}, "one_cycle"),
        ("nsf", {"circular": {0: 24.0}}, "cosine"),
    ],
)
def test_networks_that_see_waves_begin_with_small_steps(name, options, schedule):
    small = SMALL if name != "mlp" else {"seed": 0}
    assert schedule_for(tff.make(name, event_size=2, **small, **options)) == schedule


@pytest.mark.slow
def test_a_training_takes_the_schedule_that_it_is_given():
    found = {}
    for schedule in (None, "constant"):
        flow = tff.nsf_coupling(2, num_bins=2, octaves=1, **SMALL)
        seen = []
        callback = tf.keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, flow=flow, seen=seen: seen.append(flow.log_prob([[0.0, 1.0]]).numpy()[0])
        )
        options = {"epochs": 2, "steps_per_epoch": 20, "batch_size": 50, "jit_compile": False, "verbose": False}
        tff.fit(flow, tff.datasets.banana(), schedule=schedule, callbacks=[callback], **options)
        found[schedule] = seen
    assert found[None] != found["constant"]


@pytest.mark.parametrize(("rows", "steps", "whole"), [(10, 2000, 12), (1000, 2000, 4), (4000, 900, 0.25), (10, 100, 1)])
def test_the_fewer_rows_the_more_networks_are_kept_small(rows, steps, whole):
    flow = tff.nice(6, num_layers=1, hidden_units=(5_000,), seed=0)  # 30,000 numbers in kernels
    for rate in (0.005, 0.01):
        assert decay_for(flow, rows, rate, steps) * rate * steps == pytest.approx(whole)
    assert decay_for(flow, rows, 1e-4, steps) == decay_for(flow, rows, 0.005, steps)  # so that it takes less away
    assert decay_for(flow, None, 0.01, steps) == 0


@pytest.mark.parametrize(("size", "part"), [(1, 0), (2, 0), (3, 1 / 3), (5, 1), (9, 1)])
def test_few_columns_do_not_decay(size, part):
    """400 rows of Two Moons, 0.05: a maf ended half a nat higher with decay, five seeds of five."""
    flow = tff.maf(size, num_layers=1, hidden_units=(64, 64), context_size=1, seed=0)
    assert decay_for(flow, 2, 0.01, 2000) * 0.01 * 2000 == pytest.approx(12 * part)


def test_what_does_not_decay_does_not_count():
    def decay(network):
        flow = tff.maf(5, context_size=1, context_network=network, **SMALL)
        flow.log_prob([[0.0] * 5], context=[[1.0]])
        return decay_for(flow, 500, 0.005, 2000)

    wide = tf.keras.Sequential([tf.keras.layers.Dense(2000), tf.keras.layers.Dense(20)])
    assert decay(wide) == 0
    assert decay(tff.networks.MLP(1, 3, hidden_units=(200, 200), seed=0)) > 0


@pytest.mark.kerases
def test_decay_is_of_kernels_alone():
    """Adam moves nothing where the gradient is zero: what moves is decay."""
    flow = tff.nsf(3, num_bins=2, context_size=1, base="student_t", **SMALL)
    optimizer = adam(0.1, "constant", 1, None, 2.0, flow)
    variables = flow.trainable_variables
    before = [variable.numpy() + 1.0 for variable in variables]
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
    optimizer.build(variables)
    optimizer.apply_gradients([(tf.zeros_like(variable), variable) for variable in variables])
    for variable, value in zip(variables, before, strict=True):
        part = 0.8 if "kernel" in variable.name else 1.0
        np.testing.assert_allclose(variable, part * value, rtol=1e-6)
    assert any("kernel" in variable.name for variable in variables)


@pytest.mark.slow
def test_few_rows_of_many_columns_are_not_learnt_by_heart():
    x = np.random.default_rng(0).normal(size=(2300, 8))
    for i in range(1, 8):
        x[:, i] = np.sin(2 * x[:, i - 1]) + 0.2 * x[:, i]
    rows, held_out = x[:300], x[300:]
    nll = {}
    for decay in (0.0, None):
        flow = tff.maf(8, num_layers=2, seed=0)
        tff.fit(flow, rows, weight_decay=decay, epochs=50, jit_compile=False, verbose=False)
        nll[decay] = -np.mean(flow.log_prob(held_out))
    assert nll[None] < nll[0.0] - 0.1


def test_a_decay_that_cannot_work_is_refused():
    flow, rows = tff.maf(2, **SMALL), np.random.default_rng(0).normal(size=(20, 2))
    for value in (-1, "x", np.nan, 1e4):
        with pytest.raises(InputError, match=r"^weight_decay is .*; expected a number from 0 to 200"):
            tff.fit(flow, rows, weight_decay=value)
    assert tff.fit(flow, rows, weight_decay=Fraction(1, 10), epochs=1, verbose=False).history["nll"]
    with pytest.raises(InputError, match=r"^weight_decay is for the Adam that optimizer stands in place of"):
        tff.fit(flow, rows, weight_decay=0.1, optimizer="adam")


@pytest.mark.slow
def test_a_checkpoint_of_another_decay_says_so(tmp_path):
    rows = np.random.default_rng(0).normal(size=(40, 2))
    options = {"epochs": 2, "verbose": False, "jit_compile": False, "checkpoint": tmp_path}
    tff.fit(tff.maf(2, **SMALL), rows, weight_decay=np.float32(0.5), **options)
    tff.fit(tff.maf(2, **SMALL), rows, weight_decay=0.5, **options)
    with pytest.raises(InputError, match="weight_decay"):
        tff.fit(tff.maf(2, **SMALL), rows, weight_decay=0.25, **options)

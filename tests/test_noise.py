"""`tff.fit(noise=...)`: the flow becomes the density of rows with normal noise."""

import numpy as np
import pandas
import pytest
import tensorflow as tf
from conftest import mostly_slow

import tfp_flows as tff
from tfp_flows.errors import InputError
from tfp_flows.training.noise import noise_for

MEANS, SPREADS, NOISE = np.array([3.0, -40.0]), np.array([0.5, 8.0]), np.array([1.2, 0.0])


def _rows(n=4000):
    return MEANS + SPREADS * np.random.default_rng(0).normal(size=(n, 2))


def _fit(x, **options):
    """A flow that can be a Gaussian and little else."""
    flow = tff.real_nvp(event_size=2, num_layers=2, hidden_units=(4,), seed=0)
    options = {"epochs": 4, "batch_size": 200, "jit_compile": False, "verbose": False} | options
    return flow, tff.fit(flow, x, **options)


@pytest.mark.parametrize("how", mostly_slow(["rows", "tf.data", "validation"], 0))
def test_the_density_is_that_of_noisy_rows(how):
    x = _rows()
    held_out = {"validation_data": _rows(1000)} if how == "validation" else {}
    batches = tf.data.Dataset.from_tensor_slices(x).batch(200) if how == "tf.data" else x
    options = {"batch_size": None} if how == "tf.data" else {}
    flow, history = _fit(batches, noise=NOISE, **held_out, **options)
    spread = np.sqrt(SPREADS**2 + NOISE**2)
    entropy = np.log(2 * np.pi * np.e) + np.log(spread).sum()
    noisy = MEANS + spread * np.random.default_rng(1).normal(size=(20_000, 2))
    assert abs(-flow.log_prob(noisy).numpy().mean() - entropy) < 0.03
    if how != "tf.data":
        assert abs(min(history.history["val_nll"]) - entropy) < 0.1  # held-out rows are noisy too
    y = tf.constant([[5.0, -40.0], [1.5, -40.0]])
    with tf.GradientTape() as tape:
        tape.watch(y)
        log_prob = flow.log_prob(y)
    denoised = y + NOISE**2 * tape.gradient(log_prob, y)
    exact = MEANS + (y - MEANS) * SPREADS**2 / spread**2
    np.testing.assert_allclose(denoised[:, 0], exact[:, 0], atol=0.15)
    np.testing.assert_array_equal(denoised[:, 1], y[:, 1])


def test_whole_numbers_of_a_stream_become_real_ones():
    x = np.random.default_rng(0).integers(5, size=(2000, 2))
    batches = tf.data.Dataset.from_tensor_slices(x).batch(200)
    flow, _ = _fit(batches, noise=2.0, batch_size=None)
    assert abs(flow.sample(4000, seed=0).numpy().std() - np.sqrt(2 + 4)) < 0.15


def test_a_dataset_has_no_floor_then():
    _, history = _fit(tff.datasets.gaussian(), noise=0.5, epochs=1, steps_per_epoch=5)
    assert sorted(history.history) == ["nll", "val_nll"]


@pytest.mark.slow
def test_a_dataset_without_noise_has_its_floor():
    _, history = _fit(tff.datasets.gaussian(), noise=0.0, epochs=1, steps_per_epoch=5)
    assert "gap" in history.history


def test_noise_is_fresh_in_every_batch_and_the_same_again():
    flow = tff.nice(event_size=2, num_layers=2, hidden_units=(4,), seed=0)
    noise, x = noise_for(flow, 1.0, 7), np.zeros((1000, 2), np.float32)
    assert noise(x, 3).dtype == np.float32
    np.testing.assert_array_equal(noise(x, 3), noise(x, 3))
    np.testing.assert_array_equal(noise.once(x, 0), noise.once(x, 0))
    for other in (noise(x, 4), noise.once(x, 3), noise_for(flow, 1.0, 8)(x, 3)):
        assert abs(np.corrcoef(noise(x, 3).ravel(), other.ravel())[0, 1]) < 0.1


@pytest.mark.slow
def test_a_checkpoint_tells_noise(tmp_path):
    x = _rows(400)
    whole, _ = _fit(x, noise=0.3)
    _fit(x, noise=0.3, checkpoint=tmp_path, epochs=4)
    with pytest.raises(InputError, match=r"noise was \[0\.3, 0\.3\], and is \[0\.4, 0\.4\]"):
        _fit(x, noise=0.4, checkpoint=tmp_path)
    again, _ = _fit(x, noise=0.3, checkpoint=tmp_path)
    np.testing.assert_array_equal(again.log_prob(x[:9].astype("f4")), whole.log_prob(x[:9].astype("f4")))


NAMED = pandas.Series({"b": 5.0, "a": 0.0})
NO_NOISE = [-1.0, np.nan, np.inf, 1e300, True, NAMED, "much", [0.1, -0.1], [0.1, 0.2, 0.3], [[0.1], [0.2]]]


@pytest.mark.parametrize("noise", NO_NOISE)
def test_what_is_no_noise_is_refused(noise):
    with pytest.raises(InputError, match=r"^noise must be a standard deviation, from 0 to 1e\+30, or a list of one"):
        _fit(_rows(100), noise=noise)


def test_bounded_columns_take_none():
    for options, words in (({"support": {1: (0, None)}}, "a support"), ({"dequantize": [1]}, "whole numbers")):
        flow = tff.nice(event_size=2, num_layers=2, hidden_units=(4,), seed=0, **options)
        x = np.abs(np.round(_rows(200)))
        with pytest.raises(InputError, match=rf"^noise must be 0 for column 2, which has {words}"):
            tff.fit(flow, x, noise=0.1, verbose=False)
    tff.fit(flow, x, noise=[0.1, 0.0], epochs=1, steps_per_epoch=2, jit_compile=False, verbose=False)

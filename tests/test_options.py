"""Options as people have them: arrays, ranges and tensors for lists, NumPy's and TensorFlow's types for their names."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff

LISTS = {"array": np.array, "tensor": tf.constant, "tuple": tuple, "list": list}
TYPES = [tf.float64, np.float64, np.dtype("float64"), "float64"]


@pytest.mark.parametrize("kind", LISTS)
def test_a_sequence_of_integers_is_a_list_of_them(kind, tmp_path):
    as_kind = LISTS[kind]
    options = {"num_layers": np.int64(2), "hidden_units": as_kind([8, 8]), "octaves": as_kind([2, 1])}
    flow = tff.maf(3, **options, mixing=[None, as_kind([2, 0, 1])], dequantize=as_kind([1]), seed=0)
    plain = {"num_layers": 2, "hidden_units": [8, 8], "octaves": [2, 1], "mixing": [None, [2, 0, 1]]}
    assert plain.items() <= flow.config.items()
    assert json.loads(json.dumps(flow.config, default=dict)) == flow.config
    np.testing.assert_array_equal(flow.log_prob(tf.zeros([1, 3])), tff.make(**flow.config).log_prob(tf.zeros([1, 3])))
    made = tff.networks.MLP(2, 1, hidden_units=as_kind([4]), seed=0)
    flow = tff.Flow([tff.bijectors.Standardize(2)], event_size=2, context_size=2, context_network=made)
    flow.save(tmp_path)
    assert tff.load(tmp_path).context_network.output_size == 2


def test_a_range_is_one_too():
    assert tff.nice(2, num_layers=4, octaves=range(4), hidden_units=range(8, 9)).config["octaves"] == [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", TYPES)
def test_a_type_is_its_name(dtype, tmp_path):
    flow = tff.nsf(2, num_layers=1, hidden_units=(4,), dtype=dtype, base="student_t", seed=0)
    assert flow.config["dtype"] == "float64"
    assert flow.dtype == tf.float64
    bare = tff.Flow(
        [tff.bijectors.Standardize(2, dtype=dtype), tff.bijectors.Planar(2, dtype=dtype)],
        event_size=2,
        dtype=dtype,
        base=tff.bases.Mixture(2, dtype=dtype),
    )
    bare.save(tmp_path)
    x = np.array([[0.5, -1.0]])
    np.testing.assert_array_equal(tff.load(tmp_path).log_prob(x), bare.log_prob(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_units": np.array([64.0, 64.0])}, "hidden_units must be an integer of at least 1; got 64.0"),
        ({"hidden_units": 64}, "hidden_units must be a list of integers; got 64"),
        ({"hidden_units": "64"}, "hidden_units must be a list of integers; got '64'"),
        ({"dtype": tf.float16}, "dtype must be 'float32' or 'float64'; got tf.float16"),
        ({"dtype": None}, "dtype must be 'float32' or 'float64'; got None"),
        ({"octaves": range(3)}, "octaves must list 5 integers"),
        ({"octaves": "x"}, "octaves must be an integer of at least 0, or a list of one for each layer; got 'x'"),
    ],
)
def test_others_are_refused(options, message):
    with pytest.raises(tff.InputError, match=message):
        tff.maf(2, num_layers=5, **options)


@pytest.mark.slow
def test_verbose_is_that_of_keras(capsys):
    x = np.random.default_rng(0).normal(size=(64, 2))
    flow = tff.nice(2, num_layers=1, hidden_units=(4,))
    tff.fit(flow, x, epochs=2, verbose=2, jit_compile=False)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert all("NLL" in line and "validation" in line for line in lines)
    with pytest.raises(tff.InputError, match=r"verbose must be 0 for nothing, 1 for a progress bar or 2 .*got 3"):
        tff.fit(flow, x, verbose=3)


def test_a_callback_that_sets_the_rate_is_refused_beside_a_schedule():
    """Keras does so when it first sets one, which may be hours later."""
    x = np.random.default_rng(0).normal(size=(64, 2))
    flow = tff.nice(2, num_layers=1, hidden_units=(4,))
    plateau = tf.keras.callbacks.ReduceLROnPlateau("val_nll", patience=0, min_delta=10.0)
    with pytest.raises(tff.InputError, match=r'ReduceLROnPlateau sets the learning rate.*schedule="constant"'):
        tff.fit(flow, x, callbacks=[plateau])
    tff.fit(flow, x, callbacks=[plateau], schedule="constant", epochs=3, verbose=False, jit_compile=False)
    assert float(plateau.model.optimizer.learning_rate) < 5e-3

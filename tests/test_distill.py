"""distill: what it reaches, what it leaves alone, and what it refuses."""

import numpy as np
import pandas
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import make_small, scramble, scrambled

import tfp_flows as tff

tfd = tfp.distributions

QUICK = {"verbose": False, "jit_compile": False, "epochs": 2, "steps_per_epoch": 5, "batch_size": 32}


def test_reaches_a_gaussian_teacher():
    """KL = 0 is within the student's reach: it must find it, and the history must say so."""
    teacher = tfd.MultivariateNormalTriL([3.0, -1.0], [[2.0, 0.0], [1.5, 0.5]])
    student = tff.iaf(event_size=2, num_layers=2, hidden_units=(16,), seed=0)
    options = QUICK | {"epochs": 6, "steps_per_epoch": 50, "batch_size": 200}
    history = tff.distill(teacher, student, **options, learning_rate=1e-2).history
    x, log_prob = student.sample_and_log_prob(10_000, seed=5)
    kl = np.mean(log_prob - teacher.log_prob(x))
    assert -0.002 < kl < 0.01
    assert history["val_kl"][-1] == pytest.approx(kl, abs=0.01)


@pytest.mark.slow
def test_reported_kl_is_that_of_the_two_densities():
    """Neither the outliers' compression nor the tempered teacher may reach what is reported."""
    teacher = scramble(make_small("maf", 3, batch_norm=False), scale=1.0)
    student = make_small("iaf", 3)
    student.standardize(10.0 * np.random.default_rng(0).normal(size=(100, 3)))
    options = QUICK | {"epochs": 1, "steps_per_epoch": 1, "learning_rate": 1e-12}
    kl = tff.distill(teacher, student, **options).history["val_kl"][0]
    x, log_prob = student.sample_and_log_prob(50_000, seed=5)
    differences = log_prob - teacher.log_prob(x)
    assert np.max(differences) > 100  # far into what training compresses
    error = np.std(differences) / np.sqrt(10_000)
    assert kl == pytest.approx(np.mean(differences), abs=4 * error)


def test_forward_is_the_part_of_the_other_divergence():
    teacher = scramble(make_small("maf", 2, batch_norm=False), scale=0.5)
    student = scramble(make_small("nsf_coupling", 2), scale=0.3)
    student.standardize(teacher.sample(1000, seed=0))
    x, log_prob = student.sample_and_log_prob(50_000, seed=5)
    z, log_prob_of_z = teacher.sample_and_log_prob(50_000, seed=6)
    both = np.array([log_prob - teacher.log_prob(x), log_prob_of_z - student.log_prob(z)])
    error = 4 * both.std(axis=1) / np.sqrt(10_000)
    assert abs(both[0].mean() - both[1].mean()) > error.sum()  # so that one is not taken for the other
    options = QUICK | {"epochs": 1, "steps_per_epoch": 1, "learning_rate": 1e-12}
    for forward in (1.0, 0.25):
        kl = tff.distill(teacher, student, forward=forward, **options).history["val_kl"][0]
        expected = (1 - forward) * both[0].mean() + forward * both[1].mean()
        assert kl == pytest.approx(expected, abs=error.sum())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:no epoch had a lower validation KL")
def test_forward_keeps_modes_that_the_reverse_divergence_drops():
    teacher = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.7, 0.3]), tfd.MultivariateNormalDiag([[0.0, 0.0], [12.0, 0.0]], [1.0, 1.0])
    )
    shares = {}
    for forward in (0.0, 0.5, 1.0):
        student = tff.real_nvp(event_size=2, num_layers=4, hidden_units=(32,), seed=0)
        student.standardize(teacher.components_distribution.sample(500, seed=0)[:, 0])  # it begins at one of them
        options = QUICK | {"epochs": 4, "steps_per_epoch": 200, "batch_size": 200, "warm_up": 0.0}
        tff.distill(teacher, student, forward=forward, **options)
        shares[forward] = float((student.sample(4000, seed=1).numpy()[:, 0] > 6).mean())
    assert shares[0.0] < 0.02
    assert shares[0.5] > 0.05  # on its way
    assert abs(shares[1.0] - 0.3) < 0.05


@pytest.mark.slow
def test_forward_has_contexts_and_whole_numbers():
    """The student of whole numbers is fitted before it rounds them."""
    columns = {"context_size": 1, "dequantize": [0], "support": {0: (0, 9)}}
    teacher, student = scramble(make_small("maf", 2, **columns), scale=0.5), make_small("nsf_coupling", 2, **columns)
    context = np.linspace(-1, 1, 300)[:, None]
    teacher.standardize(np.random.default_rng(0).integers(10, size=(300, 2)), context=context)
    options = QUICK | {"epochs": 5, "steps_per_epoch": 40}
    history = tff.distill(teacher, student, context=context, forward=0.5, **options).history
    assert 0 < history["val_kl"][-1] < 0.5 * history["val_kl"][0]


@pytest.mark.slow
def test_teacher_is_not_changed_and_all_of_the_student_is_trained():
    teacher, student = scramble(make_small("maf", 2)), make_small("iaf", 2)
    before = [v.numpy() for v in teacher.variables]
    start = [v.numpy() for v in student.trainable_variables]
    tff.distill(teacher, student, **QUICK)
    for variable, value in zip(teacher.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert all(np.any(v.numpy() != value) for v, value in zip(student.trainable_variables, start, strict=True))


def test_no_pass_is_sequential(monkeypatch):
    """The networks of an IAF student and a MAF teacher are called once a layer in a step, whatever D is."""
    teacher, student = make_small("maf", 8), make_small("iaf", 8)
    student.standardize(np.random.default_rng(0).normal(size=(100, 8)))
    calls = []
    made = tff.networks.MADE.__call__
    monkeypatch.setattr(tff.networks.MADE, "__call__", lambda self, *a, **k: calls.append(self) or made(self, *a, **k))

    def no_loop(*_, **__):
        raise AssertionError("a loop was built")

    monkeypatch.setattr(tf, "while_loop", no_loop)
    from tfp_flows.training.own_samples import Density, _OwnSamples

    density = Density(teacher.log_prob, np.zeros([0, 0]), None, (None, None), {})
    model = _OwnSamples(student, density, "kl", "total", 0.0, name="distill")
    model.losses_of((tf.constant([0, 1]), tf.zeros([16, 0]), 1.0), training=True)
    assert len(calls) == len({id(network) for network in calls}) == 4


@pytest.mark.slow
def test_context_reaches_both():
    """A student of a conditional teacher follows its context."""
    teacher = scramble(make_small("maf", 2, context_size=1, batch_norm=False), scale=0.1)
    student = tff.iaf(event_size=2, num_layers=2, hidden_units=(32,), context_size=1, seed=0)
    context = np.random.default_rng(0).uniform(-3, 3, size=(500, 1))
    options = QUICK | {"epochs": 5, "steps_per_epoch": 60, "batch_size": 100}
    history = tff.distill(teacher, student, context=context, learning_rate=1e-2, **options).history
    assert history["val_kl"][-1] < 0.3 * history["val_kl"][0]
    ends = np.array([[-3.0], [3.0]])
    x, log_prob = student.sample_and_log_prob(4000, seed=1, context=ends)
    own, swapped = (np.mean(log_prob - teacher.log_prob(x, context=c), axis=0) for c in (ends, ends[::-1]))
    assert np.max(own) < 0.1 * np.min(swapped)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:no epoch had a lower validation KL")
def test_columns_are_matched_by_name_and_the_student_learns_them():
    teacher = scramble(make_small("maf", 2, context_size=2, batch_norm=False), scale=0.1)
    teacher.columns, teacher.context_columns = ("a", "b"), ("c", "d")
    context = pandas.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=["c", "d"])
    options = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 8, "verbose": False, "jit_compile": False}

    def build(**more) -> tff.Flow:
        return tff.iaf(2, num_layers=1, hidden_units=(4,), context_size=2, seed=0, **more)

    students = [build(), build()]
    for student, table in zip(students, (context, context[["d", "c"]]), strict=True):
        tff.distill(teacher, student, context=table, **options)
        assert (student.columns, student.context_columns) == (("a", "b"), ("c", "d"))
    for one, other in zip(*(student.variables for student in students), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(tff.InputError, match="context has no column 'd'"):
        tff.distill(teacher, build(), context=context.rename(columns={"d": "e"}), **options)
    student = build()
    student.columns = ("b", "a")
    with pytest.raises(tff.InputError, match="the student's columns must be the teacher's, a, b; got b, a"):
        tff.distill(teacher, student, context=context, **options)
    teacher.context_columns = None
    student = build()
    tff.distill(teacher, student, context=context, **options)
    assert student.context_columns == ("c", "d")


@pytest.mark.slow
def test_reproducible_by_seed():
    runs = []
    for seed in (3, 3, 4):
        student = make_small("iaf", 2)
        tff.distill(scramble(make_small("maf", 2)), student, seed=seed, **QUICK)
        runs.append(student.trainable_variables[0].numpy())
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.any(runs[0] != runs[2])


@pytest.mark.slow
def test_doubles():
    student = make_small("iaf", 2, dtype="float64")
    history = tff.distill(scrambled("maf", 2), student, **QUICK).history
    assert np.isfinite(history["val_kl"]).all()


@pytest.mark.slow
def test_divergence_restores_the_start():
    student = make_small("iaf", 2)
    student.standardize(np.random.default_rng(0).normal(size=(100, 2)))
    before = [v.numpy() for v in student.variables]
    nowhere = tfd.Independent(tfd.Uniform([5.0, 5.0], [6.0, 6.0]), 1)  # log p = -inf where the student is
    with pytest.raises(tff.DivergenceError, match="the loss was"):
        tff.distill(nowhere, student, **QUICK)
    for variable, value in zip(student.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize(
    ("teacher", "options", "message"),
    [
        (lambda: make_small("maf", 3), {}, "teacher must be over rows of 2"),
        (lambda: tfd.Normal(0.0, 1.0), {}, "teacher must be over rows of 2"),
        (lambda: make_small("maf", 2, dtype="float64"), {}, "one dtype; got float64 and float32"),
        (lambda: make_small("maf", 2, context_size=1), {}, "context_size=1, student 0"),
        (lambda: make_small("maf", 2, dequantize=[0]), {}, r"the whole numbers that the teacher has: dequantize=\[0\]"),
        (lambda: make_small("maf", 2), {"context": np.zeros([5, 1])}, "neither takes one"),
        (lambda: make_small("maf", 2), {"epochs": 0}, "epochs must be an integer of at least 1; got 0"),
        (lambda: make_small("maf", 2), {"steps_per_epoch": 1.5}, "steps_per_epoch must be an integer"),
        (lambda: make_small("maf", 2), {"schedule": "linear"}, "schedule must be one of cosine, one_cycle, constant"),
        (lambda: make_small("maf", 2), {"forward": -0.1}, "forward is -0.1; expected a number from 0 to 1"),
        (lambda: make_small("maf", 2), {"warm_up": 1.5}, "warm_up is 1.5; expected a number from 0 to 1"),
    ],
)
def test_bad_input_is_refused(teacher, options, message):
    student = make_small("iaf", 2)
    before = [v.numpy() for v in student.variables]
    with pytest.raises(tff.InputError, match=message):
        tff.distill(teacher(), student, **(QUICK | options))
    for variable, value in zip(student.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


class _Unsampled(tfd.Distribution):
    """A density that nobody can sample."""

    def __init__(self):
        super().__init__(tf.float32, tfd.FULLY_REPARAMETERIZED, validate_args=False, allow_nan_stats=True)

    def _event_shape(self):
        return tf.TensorShape([2])

    def _batch_shape(self):
        return tf.TensorShape([])

    def _log_prob(self, x):
        return -tf.reduce_sum(x**2, axis=-1)


NORMAL = tfd.MultivariateNormalDiag([0.0, 0.0])


@pytest.mark.parametrize(
    ("teacher", "options", "message"),
    [
        (NORMAL, {"circular": {0: 6.28}}, "forward is 0.5, and the student has columns on circles"),
        (NORMAL, {"support": {0: (0, None)}}, "forward is 0.5, and the teacher draws rows outside"),
        (_Unsampled(), {}, "forward is 0.5, and the teacher, a _Unsampled, cannot be sampled: leave it at 0"),
    ],
)
def test_what_forward_cannot_have_is_refused(teacher, options, message):
    student = make_small("nsf_coupling", 2, **options)
    student.standardize(np.abs(np.random.default_rng(0).normal(size=(50, 2))))
    before = [v.numpy() for v in student.variables]
    with pytest.raises(tff.InputError, match=message):
        tff.distill(teacher, student, forward=0.5, **QUICK)
    for variable, value in zip(student.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_teacher_that_cannot_be_sampled_teaches_without():
    student = make_small("iaf", 2)
    student.standardize(np.random.default_rng(0).normal(size=(50, 2)))
    assert np.isfinite(tff.distill(_Unsampled(), student, **QUICK).history["val_kl"]).all()


def test_a_student_of_whole_numbers_is_refused_where_the_teacher_has_none():
    for teacher in (make_small("maf", 2), tfp.distributions.MultivariateNormalDiag(tf.zeros(2))):
        with pytest.raises(tff.InputError, match=r"no dequantize, as the teacher has none; got dequantize=\[1\]"):
            tff.distill(teacher, make_small("iaf", 2, dequantize=[1]))


def test_a_student_cannot_teach_itself():
    student = make_small("iaf", 2)
    with pytest.raises(tff.InputError, match="same flow"):
        tff.distill(student, student, **QUICK)

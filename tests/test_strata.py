"""Batches have rows from everywhere: each row is in one of them, and their means are less noisy."""

import numpy as np
import pytest

import tfp_flows as tff
from tfp_flows.training.noise import noise_for
from tfp_flows.training.rows import as_source
from tfp_flows.training.strata import places_on_a_curve, stratified

BATCH, STEPS = 50, 20


def in_batches(columns, seed=0):
    order = stratified(places_on_a_curve(columns), BATCH, np.random.default_rng(seed))
    return order.reshape(-1, BATCH)


@pytest.mark.parametrize("size", [1, 2, 8, 11, 70])
def test_every_row_is_in_one_batch(size):
    rows = np.random.default_rng(0).normal(size=[BATCH * STEPS, size])
    assert sorted(in_batches(rows).ravel()) == list(range(len(rows)))


def test_rows_that_are_all_alike_and_huge_ones_are_taken_too():
    rows = np.zeros([BATCH * STEPS, 9])
    for huge in (1e30, 1e307):
        rows[:, 1] = huge * (np.arange(len(rows)) % 7)
        assert sorted(in_batches(rows).ravel()) == list(range(len(rows)))


@pytest.mark.parametrize("size", [1, 2, 3, 12])
def test_means_of_batches_are_less_noisy_and_unbiased(size):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=[BATCH * STEPS, 2]) @ rng.normal(size=[2, size])
    index = np.concatenate([in_batches(rows, seed) for seed in range(20)])
    means = rows[index].mean(axis=1)
    alone = rows.std(axis=0) / np.sqrt(BATCH)
    assert np.all(means.std(axis=0) < 0.5 * alone)
    np.testing.assert_allclose(means.mean(axis=0), rows.mean(axis=0), atol=1e-9)
    assert np.bincount(index[::STEPS].ravel(), minlength=len(rows)).max() <= 10  # no row is always in the same batch


def test_a_batch_has_a_row_of_each_of_equal_parts_of_a_line():
    rows = np.random.default_rng(2).permutation(BATCH * STEPS)[:, None].astype(float)
    for batch in in_batches(rows):
        assert sorted(rows[batch, 0] // STEPS) == list(range(BATCH))


@pytest.mark.parametrize("kind", ["a dataset", "rows", "rows with a context", "rows with weights"])
def test_what_is_trained_on_is_stratified(kind):
    law = tff.datasets.two_moons()
    rows = law.sample(1000, seed=0).astype(np.float64)
    with_context = kind == "rows with a context"
    flow = tff.maf(1 if with_context else 2, num_layers=1, hidden_units=(4,), context_size=int(with_context), seed=0)
    x, context = (rows[:, :1], rows[:, 1:]) if with_context else (law if kind == "a dataset" else rows, None)
    weight = np.ones(1000) if kind == "rows with weights" else None
    options = {"batch_size": BATCH, "steps_per_epoch": STEPS, "validation_split": 0.0, "in_blocks": True}
    options["noise"] = noise_for(flow, None, 0)
    source = as_source(x, context, weight, flow, **options)
    blocks = [np.concatenate(block[:2], axis=-1) for block in source.batches(0).take(4).as_numpy_iterator()]
    means = np.concatenate(blocks)[..., :2].mean(axis=1)
    assert means.shape == (4 * source.in_blocks, 2)
    assert np.all(means.std(axis=0) < 0.5 * rows.std(axis=0) / np.sqrt(BATCH))

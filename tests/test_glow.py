"""The flow of images: squeezes and masks are permutations, each pixel conditions what it should, channels are mixed."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import scramble, scramble_variables

import tfp_flows as tff
from tfp_flows.flows.grids import as_image_shape, grids_of, mask_of

SHAPES = [(4, 4, 1), (8, 4, 1), (3, 5, 2), (6, 1, 1), (1, 1, 5), (4, 4, 3), (1, 1, 1)]


def fresh(x):
    return tf.constant(np.array(x))


@pytest.mark.parametrize("shape", SHAPES)
def test_squeezes_and_masks_are_permutations(shape):
    for grid in grids_of(shape, None):
        assert sorted(np.ravel(grid.order)) == list(range(np.prod(shape)))
        for layer in range(10):
            mask = mask_of(grid, layer)
            stay, move = len(mask.seen) * mask.channels_in, len(mask.asked) * mask.channels_out
            assert stay + move == grid.order.size
            assert sorted(mask.order) == list(range(stay + move))


def test_a_squeeze_takes_each_block_to_the_channels_of_a_place():
    image, squeezed = grids_of((4, 6, 2), 2)
    assert (squeezed.size, squeezed.channels) == ((2, 3), 8)
    for row, column in np.ndindex(2, 3):
        block = image.order[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert set(squeezed.order[row, column]) == set(np.ravel(block))
    line = grids_of((6, 1, 1), 2)[1]
    assert line.order.tolist() == [[[0, 1]], [[2, 3]], [[4, 5]]]


def test_checkerboards_take_turns():
    (grid,) = grids_of((3, 3, 1), None)
    first, second = mask_of(grid, 0), mask_of(grid, 1)
    assert first.seen == second.asked == [0, 2, 4, 6, 8]
    assert first.asked == second.seen == [1, 3, 5, 7]


@pytest.mark.parametrize("channels", [4, 6, 16])
def test_any_two_channels_are_parted(channels):
    (grid,) = grids_of((1, 1, channels), None)
    stays = np.array([np.isin(np.arange(channels), mask_of(grid, i).order[: channels // 2]) for i in range(32)])
    assert (stays.any(axis=0) & ~stays.all(axis=0)).all()
    for one in range(channels):
        for other in range(one):
            assert (stays[:, one] != stays[:, other]).any(), (one, other)


def layers_of(flow):
    """What each coupling does to images, with the squeeze and the masks around it but without the mixing."""
    found = []
    for i in range(flow.config["num_layers"]):
        there, back = flow_layer(flow, f"mask{i}"), flow_layer(flow, f"image{i}")
        squeeze = flow_layer(flow, f"squeeze{i}")
        parts = [part for part in (squeeze, there, flow_layer(flow, f"glow{i}"), back) if part is not None]
        found.append(tff.Flow(parts, event_size=flow.event_size, dtype="float64").bijector)
    return found


def flow_layer(flow, name):
    return next((layer for layer in flow.layers if layer.name == name), None)


def jacobian_of(function, x):
    x = fresh(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = function(x)
    return tape.batch_jacobian(y, x, experimental_use_pfor=False).numpy()


def test_each_pixel_conditions_what_it_should(rng):
    """The Jacobian of every coupling, in the image's own order, has the mask's pattern, within the windows' reach."""
    options = {"num_layers": 6, "num_levels": 2, "hidden_channels": 4, "num_blocks": 1, "num_bins": 0}
    flow = scramble(tff.glow(16, image_shape=(4, 4), seed=0, dtype="float64", **options))
    x = rng.normal(size=(3, 16))
    grids, numbers = grids_of((4, 4, 1), 2), iter([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)])
    for layer, (level, number) in zip(layers_of(flow), numbers, strict=True):
        arranged, mask = np.ravel(grids[level].order), mask_of(grids[level], number)
        cut = len(mask.seen) * mask.channels_in
        stay, move = arranged[mask.order[:cut]], arranged[mask.order[cut:]]
        jacobian = np.abs(jacobian_of(layer.inverse, x)).max(axis=0)
        np.testing.assert_array_equal(jacobian[np.ix_(stay, stay)], np.eye(cut))
        np.testing.assert_array_equal(jacobian[np.ix_(stay, move)], 0.0)
        assert (np.diag(jacobian)[move] > 0).all()
        np.testing.assert_array_equal(jacobian[np.ix_(move, move)], np.diag(np.diag(jacobian)[move]))
        assert (jacobian[np.ix_(move, stay)] > 0).all()  # three convolutions reach all of 4 x 4 places


def test_a_network_sees_as_far_as_its_convolutions_reach(rng):
    """One block: three windows of 3 x 3, one after another, so that three pixels to each side count and no others."""
    network = tff.networks.ConvNet((9, 9), 1, 1, 1, 3, 1, seed=0, dtype="float64")
    scramble_variables(network.variables)
    jacobian = np.abs(jacobian_of(lambda x: network(x)[..., 0], rng.normal(size=(2, 81)))).max(axis=0)
    rows, columns = np.divmod(np.arange(81), 9)
    far = np.maximum(abs(rows[:, None] - rows), abs(columns[:, None] - columns))
    np.testing.assert_array_equal(jacobian > 0, far <= 3)


def test_numbers_are_seen_where_they_are(rng):
    """Without blocks the middle of the window is seen at its own place: dark pixels come in the order of `seen`."""
    options = {"seen": [3, 0], "asked": [1, 2], "seed": 0, "dtype": "float64"}
    network = tff.networks.ConvNet((4, 1), 1, 1, 1, 3, 1, **options)
    scramble_variables(network.variables)
    x = rng.normal(size=(1, 2))
    whole = tff.networks.ConvNet((4, 1), 1, 1, 1, 3, 1, seed=0, dtype="float64")
    for variable, value in zip(whole.variables, network.variables, strict=True):
        if variable.shape == value.shape:
            variable.assign(value)
    whole.bias.assign(np.zeros([4, 1]))
    network.bias.assign(np.zeros([2, 1]))
    image = np.array([[x[0, 1], 0.0, 0.0, x[0, 0]]])
    np.testing.assert_allclose(network(x)[0], whole(image)[0, 1:3], atol=1e-12)


def test_a_network_takes_rows_and_contexts_that_broadcast(rng):
    network = tff.networks.ConvNet((2, 2), 1, 1, 3, 4, seen=[0, 3], asked=[1, 2], context_size=2, seed=0)
    scramble_variables(network.variables)
    x, context = rng.normal(size=(5, 1, 2)).astype("float32"), rng.normal(size=(3, 2)).astype("float32")
    found = network(x, conditional_input=context)
    assert found.shape == (5, 3, 2, 3)
    np.testing.assert_allclose(found[4, 1], network(x[4], conditional_input=context[1:2])[0], atol=1e-5)


@pytest.mark.parametrize(("places", "channels"), [(1, 3), (4, 2), (3, 1)])
def test_the_log_det_of_a_mixing_is_that_of_autodiff(places, channels, rng):
    layer = tff.bijectors.ChannelMixing(places, channels, rng=rng, dtype="float64")
    scramble_variables(layer.variables)
    x = rng.normal(size=(2, places * channels))
    for function, log_det in (
        (layer.forward, layer.forward_log_det_jacobian),
        (layer.inverse, layer.inverse_log_det_jacobian),
    ):
        jacobian = jacobian_of(function, x)
        np.testing.assert_allclose(np.linalg.slogdet(jacobian)[1], float(log_det(x, event_ndims=1)), atol=1e-9)
        blocks = jacobian.reshape(2, places, channels, places, channels)
        for one, other in np.ndindex(places, places):  # one matrix, at every place, and none between places
            expected = blocks[:, 0, :, 0] if one == other else 0.0 * blocks[:, 0, :, 0]
            np.testing.assert_allclose(blocks[:, one, :, other], expected, atol=1e-12)
    np.testing.assert_allclose(layer.inverse(fresh(layer.forward(fresh(x)))), x, atol=1e-9)


def test_a_chain_begins_as_the_identity(rng):
    flow = tff.glow(16, num_layers=4, hidden_channels=4, seed=0, dtype="float64")
    x = rng.normal(size=(5, 16))
    np.testing.assert_allclose(flow.encode(x), x, atol=0.05)


@pytest.mark.parametrize(
    ("event_size", "shape"), [(1, (1, 1, 1)), (3, (3, 1, 1)), (16, (4, 4, 1)), (15, (15, 1, 1)), (64, (8, 8, 1))]
)
def test_the_shape_of_an_image_that_was_not_said(event_size, shape):
    assert as_image_shape(None, event_size) == shape


def test_the_shape_of_an_image_may_leave_out_one_channel():
    assert as_image_shape(np.array([2, 3]), 6) == as_image_shape((2, 3, 1), 6) == (2, 3, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"image_shape": 8},
            r"image_shape must be .*, positive integers, .* got 8",
        ),
        (
            {"image_shape": (16,)},
            r"image_shape must be .*, positive integers, .* got \[16\]",
        ),
        ({"image_shape": (4, 5)}, r"image_shape must have 16 numbers in all, as event_size says; got \[4, 5\]"),
        (
            {"image_shape": (4, -4, -1)},
            r"image_shape must be .*, positive integers, .* got \[4, -4",
        ),
        (
            {"image_shape": (4, 4.0)},
            r"image_shape must be .*, positive integers, .* got \[4, 4\.0",
        ),
        ({"num_levels": 4}, "num_levels must be at most 3, as 1 x 1 places cannot be halved; got 4"),
        ({"image_shape": (2, 8), "num_levels": 0}, "num_levels must be an integer of at least 1; got 0"),
        ({"num_bins": 1}, "num_bins must be an integer from 2 to 500; got 1"),
        ({"num_bins": False}, "num_bins must be an integer from 2 to 500; got False"),
        ({"num_bins": 0, "log_scale_bound": 0.0}, "log_scale_bound must be a number above 0; got 0.0"),
        ({"hidden_channels": 0}, "hidden_channels must be an integer of at least 1; got 0"),
        ({"num_blocks": 0}, "num_blocks must be an integer of at least 1; got 0"),
    ],
)
def test_options_that_cannot_work_are_refused(options, said):
    with pytest.raises(tff.InputError, match=said):
        tff.glow(16, **{"num_layers": 1, **options})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 4}, r"size must be \(height, width\), in pixels; got 4"),
        ({"size": (2, 0)}, "size must be an integer of at least 1; got 0"),
        ({"seen": [4]}, r"seen must list different places from 0 to 3; got \[4\]"),
        ({"asked": [1, 1]}, r"asked must list different places from 0 to 3; got \[1, 1\]"),
        ({"seen": 2}, "seen must list different places from 0 to 3; got 2"),
        (
            {"features": tff.networks.CircularFourier(circular=(True,) * 4)},
            "features must be those of numbers on a line",
        ),
    ],
)
def test_networks_that_cannot_be_are_refused(options, said):
    with pytest.raises(tff.InputError, match=said):
        tff.networks.ConvNet(**{"size": (2, 2), "channels_in": 1, "channels_out": 1, **options})


@pytest.mark.slow
def test_digits_on_a_diagonal_are_learnt_and_kept(tmp_path, rng):
    """Whole pixels, a context, a fit, a file: two kinds of images, told apart by their likelihoods."""
    kind = rng.integers(0, 2, 300)
    x = rng.integers(0, 3, size=(300, 16)) + 6 * np.where(
        kind[:, None] == 1, np.eye(4).ravel(), np.eye(4)[::-1].ravel()
    )
    context = np.eye(2)[kind]
    options = {"image_shape": (4, 4), "num_layers": 2, "hidden_channels": 4, "num_bins": 4, "dequantize": range(16)}
    flow = tff.glow(16, context_size=2, seed=0, **options)
    tff.fit(flow, x, context=context, epochs=2, jit_compile=False, verbose=False)
    scores = np.stack([flow.log_prob(x, context=np.broadcast_to(np.eye(2)[k], [300, 2])) for k in range(2)], axis=1)
    assert (scores.argmax(axis=1) == kind).mean() > 0.95
    drawn = flow.sample(5, context=context[:3], seed=0)
    assert drawn.shape == (5, 3, 16)
    assert (drawn.numpy() == np.floor(drawn)).all()
    flow.save(tmp_path)
    np.testing.assert_array_equal(tff.load(tmp_path).log_prob(x, context=context), flow.log_prob(x, context=context))

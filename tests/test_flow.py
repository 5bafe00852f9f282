"""Flow as a distribution: context, mode, TensorFlow's own tools, and the refusal of what cannot work."""

import gc

import numpy as np
import pandas
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import CHAINS, SMALL, make_small, mostly_slow, scramble, scrambled

import tfp_flows as tff

tfd, tfb = tfp.distributions, tfp.bijectors


def conditional(name="maf", **options):
    return scramble(make_small(name, 2, context_size=3, dtype="float64", **options))


def in_modes(function):
    """The function itself, in a graph that does not know how many rows there are, and compiled with XLA."""
    return {
        "eager": function,
        "graph": tf.function(function),
        "unknown": tf.function(function, input_signature=[tf.TensorSpec([None, 2], tf.float64)]),
        "xla": tf.function(function, jit_compile=True),
    }


def test_is_a_transformed_distribution():
    flow = scrambled("maf", 2)
    assert isinstance(flow, tfd.TransformedDistribution)
    assert flow.event_shape == (2,)
    assert flow.batch_shape == ()
    assert "trainable parameters" in repr(flow)
    assert "maf0" in flow.summary()


@pytest.mark.parametrize("name", mostly_slow(["maf", "nsf_coupling", "iaf", "real_nvp", "nice"]))
def test_context_is_an_argument(name, rng):
    flow = conditional(name)
    c = rng.normal(size=(7, 3))
    x, log_prob = flow.sample_and_log_prob(5, seed=0, context=c)
    assert x.shape == (5, 7, 2)
    assert flow.sample(5, seed=0, context=c).shape == (5, 7, 2)
    assert flow.sample(context=c[0]).shape == (2,)
    np.testing.assert_allclose(flow.log_prob(x, context=c), log_prob, atol=1e-8)
    one_by_one = [flow.log_prob(x.numpy()[:, i], context=c[i]) for i in range(7)]
    np.testing.assert_allclose(np.stack(one_by_one, axis=1), log_prob, atol=1e-8)
    assert np.ptp(flow.log_prob(np.zeros(2), context=c)) > 0, "the context changes nothing"
    assert flow.log_prob(np.zeros(2), context=c).shape == (7,)


@pytest.mark.parametrize("mode", mostly_slow(["eager", "unknown", "graph", "xla"]))
def test_log_prob_in_pieces_is_that_of_all_rows_at_once(mode, rng):
    flow = scrambled("nice", 2)
    in_pieces = in_modes(lambda x: flow.log_prob(x, batch_size=4))[mode]
    for rows in (10,) if mode == "xla" else (0, 3, 10):
        x = rng.normal(size=(rows, 2))
        np.testing.assert_allclose(in_pieces(tf.constant(x)), flow.log_prob(x), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("mode", mostly_slow(["eager", "xla", "graph"], 0))
def test_gradients_of_log_prob_in_pieces(mode, rng):
    flow = conditional("real_nvp", batch_norm=False, num_layers=2, reversible=True)
    x, c = tf.constant(rng.normal(size=(5, 3, 2))), tf.constant(rng.normal(size=(3, 3)))

    def gradients(x, batch_size):
        with tf.GradientTape() as tape:
            tape.watch([x, c])
            log_prob = flow.log_prob(x, context=c, batch_size=batch_size)
            loss = tf.reduce_sum(tf.sin(log_prob))
        return [log_prob, *tape.gradient(loss, [x, c, *flow.trainable_variables])]

    found = in_modes(lambda x: gradients(x, 4))[mode](x)
    for a, b in zip(found, gradients(x, None), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [None, False, pytest.param(True, marks=pytest.mark.slow)])
def test_sample_in_pieces_is_reproducible_and_has_the_law_of_the_flow(jit_compile, rng):
    flow, x = conditional("nice"), rng.normal(size=(3, 3))

    def draw():
        return flow.sample_and_log_prob([2, 3], seed=1, context=x, batch_size=4)

    y, log_prob = draw() if jit_compile is None else tf.function(draw, jit_compile=jit_compile)()
    assert y.shape == (2, 3, 3, 2)
    np.testing.assert_allclose(flow.log_prob(y, context=x), log_prob, atol=1e-9)
    if not jit_compile:  # XLA has other draws for a seed
        np.testing.assert_allclose(flow.sample([2, 3], seed=1, context=x, batch_size=4), y, atol=1e-12)
    assert np.unique(y.numpy().round(9)).size == y.numpy().size, "two pieces have the same draws"
    assert np.all(flow.sample([2, 3], seed=2, context=x, batch_size=4).numpy() != y.numpy())


@pytest.mark.slow
def test_sample_in_pieces_of_any_shape():
    flow = scrambled("nice", 2)
    count = tf.function(lambda n: flow.sample(n, seed=1, batch_size=4), input_signature=[tf.TensorSpec([], tf.int32)])
    for n in (0, 1, 4, 10):
        assert flow.sample(n, seed=1, batch_size=4).shape == (n, 2)
        np.testing.assert_allclose(count(n), flow.sample(n, seed=1, batch_size=4), atol=1e-12)
    assert flow.sample(seed=1, batch_size=4).shape == (2,)
    assert flow.sample(tf.constant([2, 3]), batch_size=4).shape == (2, 3, 2)
    x = flow.sample(3000, seed=1, batch_size=1000)
    y = flow.sample(3000, seed=1)
    np.testing.assert_allclose(np.mean(x, axis=0), np.mean(y, axis=0), atol=0.2)
    np.testing.assert_allclose(flow.prob(x[:7], batch_size=3), flow.prob(x[:7]), rtol=1e-9)


@pytest.mark.parametrize("name", ["planar", "mlp"])
def test_chains_without_a_network_refuse_a_context(name):
    with pytest.raises(tff.InputError, match="context_size must be 0; got 3"):
        tff.make(name, event_size=2, context_size=3)


def test_conditional_density_of_one_dimension_uses_the_context(rng):
    flow = scramble(tff.maf(1, context_size=2, num_layers=1, hidden_units=(4,), seed=0, dtype="float64"))
    assert np.ptp(flow.log_prob(np.zeros(1), context=rng.normal(size=(5, 2)))) > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f, g: f.log_prob(np.zeros([4, 3])), r"last dimension of x must be 2; got shape \(4, 3\)"),
        (lambda f, g: f.log_prob(1.0), r"last dimension of x must be 2; got shape \(\)"),
        (lambda f, g: f.log_prob(np.zeros(2), context=np.zeros(3)), "context was given, but this flow"),
        (lambda f, g: f.log_prob(np.zeros(2), condition=1), "keyword arguments context and training; got condition"),
        (lambda f, g: g.log_prob(np.zeros(2)), "needs context=… with 3 columns; got none"),
        (lambda f, g: g.sample(2), "needs context=… with 3 columns; got none"),
        (lambda f, g: g.log_prob(np.zeros(2), context=np.zeros(4)), r"of context must be 3; got shape \(4,\)"),
        (lambda f, g: f.log_prob(np.zeros(2), batch_size=0), "batch_size must be an integer of at least 1; got 0"),
        (lambda f, g: f.sample(2, batch_size=-1), "batch_size must be an integer of at least 1; got -1"),
        (
            lambda f, g: f.log_prob(np.zeros(2), training=True, batch_size=3),
            "at once; got batch_size=3",
        ),
        (lambda f, g: f.sample(2, training=True), "no batch to take statistics from"),
        (lambda f, g: tff.Flow(f.layers[:1] * 2, event_size=2), "layers must have different names"),
    ],
)
def test_bad_calls_are_refused_with_one_sentence(call, message):
    with pytest.raises(tff.InputError, match=message):
        call(scrambled("maf", 2), conditional())


@pytest.mark.parametrize(
    "chain",
    [
        *(tfp.bijectors.Exp, tfp.bijectors.JointMap, tfp.bijectors.Composition, None, "maf", 3, list),
        lambda layers: layers[0],
        lambda layers: tfp.bijectors.Chain(layers[::-1]),
        lambda layers: tfp.bijectors.Chain(layers[1:]),
        lambda layers: tfp.bijectors.Chain([tfp.bijectors.Exp(), *layers]),
        lambda layers: tfp.bijectors.Invert(tfp.bijectors.Chain(layers)),
    ],
)
def test_what_is_no_chain_of_the_layers_is_refused(chain):
    """`log_prob` takes the first layers by themselves: with others in their place, it would not be the chain's."""
    layers = [tff.bijectors.Standardize(2), tff.bijectors.Scale(2)]
    with pytest.raises(tff.InputError, match="chain must make a chain of the layers in their order"):
        tff.Flow(layers, event_size=2, chain=chain)


@pytest.mark.slow
def test_same_configuration_with_different_weights_gives_different_results(rng):
    """Trap 1: TFP's cache is keyed by equality of parameters, not by identity."""
    x = tf.constant(rng.normal(size=(4, 2)))
    for name in SMALL:
        one, two = make_small(name, 2, dtype="float64"), scramble(make_small(name, 2, dtype="float64"))

        def both(x, one=one, two=two):
            return one.bijector.inverse(x), two.bijector.inverse(x)

        results = [both(x), *([tf.function(both)(x)] if name in ("maf", "planar") else [])]
        results += [(a.inverse(x), b.inverse(x)) for a, b in zip(one.layers, two.layers, strict=True) if a.variables]
        for a, b in results:
            assert np.any(a.numpy() != b.numpy()), name


def test_training_is_an_argument_and_part_of_the_cache_key(rng):
    """Traps 2 and 5: a mode set by attribute would give the cached result; a call must not move the statistics."""
    flow = scrambled("maf", 2)
    x = tf.constant(3.0 + rng.normal(size=(50, 2)))
    before = [v.numpy() for v in flow.variables]
    test, train = flow.log_prob(x), flow.log_prob(x, training=True)
    assert np.all(test.numpy() != train.numpy())
    np.testing.assert_array_equal(flow.log_prob(x), test)
    for value, variable in zip(before, flow.variables, strict=True):
        np.testing.assert_array_equal(value, variable)


def test_results_follow_the_weights_while_old_ones_are_held(rng):
    """Trap 3: the cache would go on answering with what it computed before the step."""
    flow = scramble(make_small("maf", 2))
    x = tf.constant(rng.normal(size=(4, 2)).astype("float32"))
    held = flow.log_prob(x), flow.bijector.inverse(x)
    for variable in flow.trainable_variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    assert np.all(flow.log_prob(x).numpy() != held[0].numpy())


def test_a_sum_of_weights_that_break_the_mask_cannot_break_the_order(rng):
    """Trap 6: masks are multiplied in at every call, whatever an optimiser wrote into the kernel."""
    made = tff.networks.MADE(4, hidden_units=(9, 5), seed=0, dtype="float64")
    for variable in made.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    x = tf.constant(rng.normal(size=(3, 4)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        shift = made(x)[..., 0]
    jacobian = tape.batch_jacobian(shift, x, experimental_use_pfor=False).numpy()
    assert (np.triu(jacobian) == 0).all()
    assert (jacobian.transpose(1, 2, 0)[np.tril_indices(4, -1)] != 0).all(), (
        "an output ignores an input that comes before it"
    )


@pytest.mark.parametrize("name", CHAINS)
def test_all_variables_exist_before_the_first_call(name):
    """Trap 7: flows that build lazily expose nothing to train."""
    flow = make_small(name, 3)
    before = len(flow.variables)
    flow.log_prob(np.zeros(3))
    flow.sample(2)
    assert len(flow.variables) == before > 0


def test_every_layer_has_its_own_network_and_a_permutation_follows_it():
    """Trap 10: one network repeated, without permutations, cannot learn p(x1 | x2)."""
    flow = tff.maf(event_size=3, num_layers=4, hidden_units=(8,))
    kinds = [type(layer).__name__ for layer in flow.layers]
    assert kinds == ["Power", "Standardize", *["MaskedAutoregressiveFlow", "Permute"] * 3, "MaskedAutoregressiveFlow"]
    kernels = [v for v in flow.trainable_variables if "kernel" in v.name]
    assert len({id(v) for v in kernels}) == len(kernels) == 4 * 2


@pytest.mark.parametrize("name", ["maf", "nsf_coupling"])
def test_doubles_are_cast_at_the_entry(name, rng):
    """Trap 12: TFP refuses float64 tensors where it casts float64 arrays."""
    flow = make_small(name, 2)
    x = rng.normal(size=(3, 2))
    np.testing.assert_array_equal(flow.log_prob(tf.constant(x)), flow.log_prob(x))
    assert flow.log_prob(tf.constant(x)).dtype == tf.float32


def test_batch_norm_uses_the_whole_training_set_layer_by_layer(rng):
    """Trap 15: after training, statistics of all the rows; a batch of one row does not explode."""
    flow = scramble(make_small("real_nvp", 3))
    x = 5.0 + 3.0 * rng.normal(size=(500, 3)).astype("float32")
    flow.standardize(x)
    flow.set_batch_norm(x)
    y = tf.constant(x)
    for layer in flow.layers:
        if isinstance(layer, tff.bijectors.BatchNorm):
            np.testing.assert_allclose(layer.mean, y.numpy().mean(0), atol=1e-4)
            np.testing.assert_allclose(layer.variance, y.numpy().var(0), rtol=1e-4)
        y = layer.inverse(tf.identity(y))
    np.testing.assert_allclose(flow.log_prob(x[:1]), flow.log_prob(x)[:1], rtol=1e-4)


def test_coupling_networks_can_make_negative_shifts(rng):
    """Trap 16: an activation on the last layer keeps shift and log-scale from being negative."""
    network = tff.networks.ShiftAndLogScale(tff.networks.MLP(2, 2, activation="relu", seed=0))
    for variable in network.trainable_variables:
        variable.assign(tf.constant(rng.normal(size=variable.shape), tf.float32))
    shift, log_scale = network(rng.normal(size=(50, 2)).astype("float32"))
    assert np.min(shift) < 0 < np.max(shift)
    assert np.min(log_scale) < 0 < np.max(log_scale)


def test_positive_log_probabilities_are_as_they_should_be():
    """Trap 20: a narrow density is above one."""
    flow = make_small("mlp", 1)
    flow.standardize(np.array([[0.0], [1e-3]]))
    assert float(flow.log_prob([5e-4])) > 0


@pytest.mark.slow
def test_an_outer_module_finds_the_variables_and_checkpoints_them(tmp_path, rng):
    """A subclass of tfd.TransformedDistribution is a composite tensor: a Module would look past its variables."""

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.flows = [scramble(make_small("maf", 2))]

        @tf.function(input_signature=[tf.TensorSpec([None, 2])])
        def score(self, x):
            return self.flows[0].log_prob(x)

    model, x = Model(), rng.normal(size=(3, 2)).astype("float32")
    assert len(model.trainable_variables) == len(model.flows[0].trainable_variables) > 0
    expected = model.flows[0].log_prob(x)
    tf.saved_model.save(model, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.score(x), expected, rtol=1e-5)
    checkpoint = tf.train.Checkpoint(model=model).save(str(tmp_path / "checkpoint"))
    for variable in model.flows[0].trainable_variables:
        variable.assign(tf.zeros_like(variable))
    tf.train.Checkpoint(model=model).restore(checkpoint).assert_consumed()
    np.testing.assert_array_equal(model.flows[0].log_prob(x), expected)


@pytest.mark.parametrize("method", ["log_prob", "encode", "decode"])
def test_autograph_rewrites_nothing(method, monkeypatch):
    flow, seen = make_small("nice", 2), []
    status = tf.__internal__.autograph.control_status_ctx
    split = type(flow)._split_kwargs
    monkeypatch.setattr(
        type(flow), "_split_kwargs", lambda self, kwargs: seen.append(status().status.name) or split(self, kwargs)
    )
    tf.function(lambda x: getattr(flow, method)(x))(tf.zeros([3, 2]))
    assert set(seen) == {"DISABLED"}


def test_a_flow_can_be_an_argument_of_a_tf_function(rng):
    flow, x = scrambled("maf", 2), rng.normal(size=(3, 2))
    log_prob = tf.function(lambda f, x: f.log_prob(x))
    np.testing.assert_allclose(log_prob(flow, x), flow.log_prob(x), atol=1e-10)
    flow.trainable_variables[0].assign_add(tf.ones_like(flow.trainable_variables[0]))
    np.testing.assert_allclose(log_prob(flow, x), flow.log_prob(x), atol=1e-10)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_flows_are_not_kept_alive():
    import weakref

    for build in (
        lambda: make_small("nice", 2),
        lambda: make_small("nice", 2, base="mixture"),
        lambda: make_small("nice", 2, base=make_small("nice", 2)),
        lambda: make_small("nice", 2, context_size=1, context_network=tf.keras.layers.Dense(2)),
    ):
        reference = weakref.ref(build())
        gc.collect()
        assert reference() is None


@pytest.mark.slow
def test_iaf_learns_from_its_own_samples():
    """Trap 19: the way to train an IAF that needs no sequential pass, by the reverse KL to a density."""
    target = tfd.MultivariateNormalTriL([1.0, -2.0], [[1.0, 0.0], [0.8, 0.5]])
    flow = tff.iaf(event_size=2, num_layers=2, hidden_units=(8,), seed=0)
    optimizer = tf.keras.optimizers.Adam(2e-2)
    optimizer.build(flow.trainable_variables)

    @tf.function
    def step(seed):
        with tf.GradientTape() as tape:
            x, log_prob = flow.sample_and_log_prob(128, seed=seed)
            loss = tf.reduce_mean(log_prob - target.log_prob(x))
        gradients = tape.gradient(loss, flow.trainable_variables)
        optimizer.apply_gradients(zip(gradients, flow.trainable_variables, strict=True))
        return loss

    losses = [float(step(tf.constant([0, i]))) for i in range(250)]
    assert losses[0] > 1.0
    assert abs(np.mean(losses[-20:])) < 0.1


@pytest.mark.slow
def test_vi_fits_a_flow():
    flow = make_small("iaf", 2)
    losses = tfp.vi.fit_surrogate_posterior(
        tfd.MultivariateNormalDiag([2.0, -1.0]).log_prob,
        flow,
        optimizer=tf.keras.optimizers.Adam(5e-2),
        num_steps=100,
        sample_size=32,
        seed=0,
    )
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.slow
def test_mcmc_walks_on_a_flow():
    flow = scrambled("nice", 2)
    kernel = tfp.mcmc.HamiltonianMonteCarlo(flow.log_prob, step_size=tf.constant(0.1, tf.float64), num_leapfrog_steps=2)
    chain = tf.function(
        lambda: tfp.mcmc.sample_chain(20, tf.zeros([4, 2], tf.float64), kernel=kernel, trace_fn=None, seed=0)
    )()
    assert chain.shape == (20, 4, 2)
    assert np.isfinite(chain).all()


@pytest.mark.parametrize("draw", ["sample", "sample_and_log_prob", "experimental_sample_and_log_prob"])
@pytest.mark.parametrize("shape", [1.5, -1, "a", None, True, [1.5], [[1, 2]], 2**40, tf.constant(1.5)])
def test_a_sample_shape_that_cannot_be_is_refused(draw, shape):
    with pytest.raises(tff.InputError, match="sample_shape must be"):
        getattr(make_small("maf", 2), draw)(shape, seed=0)


@pytest.mark.parametrize("shape", [(), 3, [2, 3], np.array([2]), tf.TensorShape([2, 3]), np.int64(4), tf.constant([3])])
def test_a_sample_shape_is_whatever_tfp_takes(shape):
    wanted = [*np.ravel(shape).astype(int), 2]
    assert list(make_small("maf", 2).sample(shape, seed=0).shape) == wanted


@pytest.mark.slow
@pytest.mark.parametrize(("name", "context"), mostly_slow([("maf", True), ("nsf_coupling", False)], 1, several=True))
def test_shapes_that_a_graph_does_not_know_are_found_when_it_runs(name, context, rng):
    flow = scramble(make_small(name, 3, context_size=2 * context))
    x, c = rng.normal(size=[4, 2, 3]).astype("float32"), rng.normal(size=[2, 2]).astype("float32")
    given = {"context": tf.constant(c)} if context else {}

    def graph(function, *shapes):
        signature = [*shapes, *([tf.TensorSpec(None)] if context else [])]
        called = tf.function(lambda v, *c: function(v, context=c[0] if c else None), signature, autograph=False)
        return lambda v: called(tf.constant(v), *given.values()).numpy()

    def close(found, wanted):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)

    for method in (flow.log_prob, flow.encode, flow.decode):
        close(graph(method, tf.TensorSpec(None))(x), method(x, **given))
    for shape in ([None], None):
        draws = graph(lambda n, context: flow.sample(n, seed=1, context=context), tf.TensorSpec(shape, tf.int32))
        assert draws([4, 5]).shape == flow.sample([4, 5], seed=1, **given).shape
        close(draws([7]).mean(axis=0), flow.sample([7], seed=1, **given).numpy().mean(axis=0))
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph(flow.log_prob, tf.TensorSpec(None))(x[..., :2])


@pytest.mark.slow
def test_sizes_of_which_some_are_tensors():
    flow = make_small("maf", 2)
    for batch_size in (None, 4):
        draw = tf.function(lambda n, size=batch_size: flow.sample([n, 2], seed=0, batch_size=size), autograph=False)
        assert draw(tf.constant(5)).shape == (5, 2, 2)


def _of_doubles(moves=1):
    network = tff.networks.MLP(1, moves, params=1, dtype="float64")
    return tff.bijectors.NICE(1, tff.networks.ShiftAndLogScale(network))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": ["a"]}, "columns must be a list of 2 different names; got"),
        ({"columns": "ab"}, "columns must be a list of 2 different names; got 'ab'"),
        ({"event_size": 0}, "event_size must be an integer of at least 1"),
        ({"dtype": "float64"}, "layer planar is of float32; the flow has dtype='float64'"),
        ({"layers": [1]}, "layers must be a list of bijectors"),
        ({"event_size": 3}, "layer planar is of 2 dimensions; the flow has event_size=3"),
        ({"layers": [tff.bijectors.Permute([1, 0, 2])]}, "layer permute is of 3 dimensions; the flow has event_size=2"),
        ({"layers": [tfb.Invert(_of_doubles())]}, "layer invert_nice is of float64; the flow has dtype='float32'"),
        ({"layers": [_of_doubles(3)], "dtype": "float64"}, "layer nice is of 4 dimensions; the flow has event_size=2"),
        ({"context_columns": ["c"]}, "context_columns must be a list of 0 different names"),
    ],
)
def test_a_flow_of_parts_that_do_not_fit_is_refused(change, message):
    given = {"layers": [tff.bijectors.Planar(2)], "event_size": 2} | change
    with pytest.raises(tff.InputError, match=message):
        tff.Flow(given.pop("layers"), **given)


def test_rows_and_contexts_of_other_numbers_are_refused():
    flow, one = make_small("maf", 2, context_size=3), make_small("maf", 1, context_size=3)
    for call in (flow.log_prob, flow.encode, lambda _, context: one.cdf(np.ones([3, 1]), context=context)):
        with pytest.raises(
            tff.InputError, match=r"context must have as many rows as x has, or one; got shape \(4, 3\)"
        ):
            call(np.ones([3, 2]), context=np.ones([4, 3]))


@pytest.mark.parametrize("x", [np.ones([2, 2], complex), [["a", "b"]], None, object(), [[1, 2], [3]]])
def test_what_is_no_real_number_is_refused(x):
    with pytest.raises(tff.InputError, match="x must be"):
        make_small("maf", 2).log_prob(x)


def test_no_density_takes_named_columns_by_their_place():
    flow = make_small("maf", 2)
    flow.columns = ["height", "weight"]
    named = pandas.DataFrame({"weight": [0.5, -2.0], "height": [1.0, 0.1]})
    wanted = flow.log_prob(named[["height", "weight"]].to_numpy())
    for density in (flow.log_prob, flow.unnormalized_log_prob, lambda x: np.log(flow.prob(x))):
        np.testing.assert_allclose(density(named), wanted, rtol=1e-4)


def test_bad_input_in_a_function_that_autograph_rewrites_is_the_same_sentence():
    flow = scrambled("maf", 2)

    @tf.function
    def density(x):
        return flow.log_prob(x)

    with pytest.raises(tff.InputError, match=r"the last dimension of x must be 2; got shape \(4, 3\)"):
        density(tf.zeros([4, 3], tf.float64))


def test_a_flow_has_no_batch_to_take_a_part_of():
    flow = scrambled("maf", 2)
    assert flow[...] is flow
    for part in (0, (0, 1), slice(2), tf.newaxis):
        with pytest.raises(tff.InputError, match="without a batch"):
            flow[part]

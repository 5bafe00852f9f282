"""What needs a process of its own: the tests of training under tf_keras, several devices, the cost of an import."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import mostly_slow

ROOT = Path(__file__).parents[1]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done


@pytest.mark.slow
def test_training_under_tf_keras():
    done = run(
        "-c",
        "import pytest, sys, tensorflow as tf; assert tf.keras.Model.__module__.startswith('tf_keras');"
        "sys.exit(pytest.main(['-n', '0', '-p', 'no:cacheprovider', '-m', 'kerases', *sys.argv[1:]]))",
        *("tests/test_training.py", "tests/test_keras.py", "tests/test_checkpoint.py"),
        TF_USE_LEGACY_KERAS="1",
    )
    assert " passed" in done.stdout


BUFFERS = """
import resource
import numpy as np
import tfp_flows as tff
rows = np.random.default_rng(0).normal(size=(100, 2))
tff.fit(tff.nice(event_size=2, num_layers=2, hidden_units=(8,), seed=0), rows, epochs=1, verbose=False)
np.ones(2**21)  # malloc keeps what is freed, up to the size of the largest buffer that was
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    np.ones(2**18)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="how the malloc of glibc behaves")
def test_fit_leaves_malloc_alone():
    """tf.data's from_generator sets a limit, above which every freed buffer goes back to the system."""
    assert int(run("-c", BUFFERS).stdout) < 1000  # page faults; 51,000 with that limit


MIRRORED = """
import numpy as np, tensorflow as tf
import tfp_flows as tff
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
x = tff.datasets.gaussian().sample(400, seed=0)
weight = np.linspace(0.0, 2.0, 400).astype("float32")

def build(**options):
    return tff.real_nvp(event_size=2, num_layers=2, hidden_units=(8,), seed=0, **options)

with strategy.scope():
    flow = build()
history = tff.fit(flow, x, strategy=strategy, epochs=3, batch_size=40, verbose=False).history
assert history["nll"][-1] < history["nll"][0], history

# A step of SGD is that of one device on the same batch, weights and all.
def after_a_step(flow):
    model = tff.FlowModel(flow)
    model.compile(tf.keras.optimizers.SGD(0.1), jit_compile=False)
    data = tf.data.Dataset.from_tensor_slices((x[:, :], x[:, :0], weight)).batch(100)
    model.fit(data, epochs=1, verbose=0)
    return np.concatenate([v.numpy().ravel() for v in flow.trainable_variables])

with strategy.scope():
    together = after_a_step(build())
np.testing.assert_allclose(together, after_a_step(build()), atol=1e-6)

for options, words in (({"batch_norm": True}, "batch_norm=False"), ({}, "strategy.scope()")):
    if options:
        with strategy.scope():
            refused = build(**options)
    else:
        refused = build()
    try:
        tff.fit(refused, x, strategy=strategy, epochs=1, verbose=False)
    except tff.InputError as error:
        assert words in str(error), error
    else:
        raise SystemExit(f"not refused: {words}")
with tf.device("CPU:1"):
    placed = tff.nice(event_size=2, num_layers=2, hidden_units=(8,), seed=0)
    tff.fit(placed, x, epochs=1, verbose=False)
assert {v.device[-5:] for v in placed.variables} == {"CPU:1"}
"""


@pytest.mark.parametrize("legacy", mostly_slow(["0", "1"], 0, 1))
def test_several_devices(legacy):
    run("-c", MIRRORED, TF_USE_LEGACY_KERAS=legacy)


def test_import_brings_in_nothing_heavy():
    run("-c", "import sys, tfp_flows; assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)")


def test_help_brings_in_no_tensorflow():
    run(
        "-c",
        "import sys, typer.testing, tfp_flows.cli as c\n"
        "for words in (['--help'], ['train', '--help'], ['points', '--help']):\n"
        "    result = typer.testing.CliRunner().invoke(c.app, words); assert result.exit_code == 0, result\n"
        "assert not {'tensorflow', 'keras', 'matplotlib', 'numpy'} & set(sys.modules)",
    )


QUIET = """
import tfp_flows as tff
flow = tff.mlp(event_size=2, num_layers=1, seed=0)
tff.fit(flow, tff.datasets.gaussian(), epochs=1, steps_per_epoch=5, verbose=False, jit_compile=False)
tff.load, tff.plots, tff.Run
"""


@pytest.mark.slow
def test_nothing_is_said_that_is_not_the_packages_own():
    """TensorFlow writes lines on the terminal while it loads, whatever TF_CPP_MIN_LOG_LEVEL says."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", QUIET], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_errors_while_tensorflow_is_imported_are_shown(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os\n"
        "os.write(2, b'I0000 00:00:1795637471.077636    6711 port.cc:153] noise\\nsomething real\\n')\n"
        "raise ImportError('no such library')\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import tfp_flows; tfp_flows.maf"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "something real" in done.stderr
    assert "ImportError: no such library" in done.stderr
    assert "noise" not in done.stderr


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_another_backend_of_keras_is_named(backend):
    code = "import tfp_flows as tff; tff.fit"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert f"InputError: KERAS_BACKEND is '{backend}', and flows are trained with TensorFlow" in done.stderr
    assert done.returncode == 1

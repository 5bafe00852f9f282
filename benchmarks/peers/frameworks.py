"""The frameworks that are compared, and an environment for each."""

import os
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

from protocol import threads

__all__ = ["FRAMEWORKS", "OURS", "Framework", "environment", "python_of"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OURS = "tfp_flows"


@dataclass(frozen=True)
class Framework:
    """How a framework is run, called and drawn."""

    label: str
    home: str  # name of its virtual environment
    worker: tuple[str, ...]
    colour: str  # of Okabe and Ito's palette, which the colour-blind can tell apart
    marker: str
    eager: bool = False  # whether a first call compiles nothing, and so is a measurement
    variables: dict[str, str] = field(default_factory=dict)


def _torch(label: str, name: str, colour: str, marker: str) -> Framework:
    return Framework(label, "torch", ("worker_torch.py", name), colour, marker, eager=True)


FRAMEWORKS = {
    OURS: Framework("tfp_flows", "tfp_flows", ("worker_tfp_flows.py",), "#000000", "o"),
    "tfp": Framework("plain TFP", "tfp", ("worker_tfp.py",), "#E69F00", "s", variables={"TF_USE_LEGACY_KERAS": "1"}),
    "flowjax": Framework("FlowJAX", "jax", ("worker_jax.py",), "#0072B2", "^"),
    "zuko": _torch("Zuko", "zuko", "#D55E00", "D"),
    "nflows": _torch("nflows", "nflows", "#CC79A7", "v"),
    "normflows": _torch("normflows", "normflows", "#009E73", "P"),
}


def environment(framework: Framework) -> dict[str, str]:
    """The environment of a worker: the same number of threads for all, no GPU, no messages."""
    count = str(threads())
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    inherited = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    cpu = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    return {**inherited, **dict.fromkeys(names, count), **quiet, **cpu, **framework.variables}


def python_of(home: str, folder: Path) -> Path:
    """The interpreter of an environment in `folder`, which is made if it is not there as it should be."""
    python, made_from = folder / home / "bin" / "python", folder / home / "made_from.txt"
    requirements = HERE / ("requirements-tfp.txt" if home == OURS else f"requirements-{home}.txt")
    wanted = requirements.read_text(encoding="utf-8")
    if not made_from.exists() or made_from.read_text(encoding="utf-8") != wanted:
        print(f"building the environment {home}", file=sys.stderr, flush=True)
        venv.create(folder / home, with_pip=True, clear=True)
        _install(python, "-r", requirements)
        made_from.write_text(wanted, encoding="utf-8")
    if home == OURS:
        _install(python, "-c", requirements, ROOT)  # every time, as the checkout may have changed
    return python


def _install(python: Path, *what: str | Path) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    subprocess.run([str(part) for part in command], check=True)

"""What editors and type checkers see: the names that there are, their types, and README's examples."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_style import BLOCKS, ROOT

import tfp_flows as tff

# Where pyright holds the user's code against what it knows of TensorFlow and Keras, and not of this package.
ABOUT_KERAS = (
    "reportAttributeAccessIssue",
    "reportIncompatibleMethodOverride",
    "reportMissingModuleSource",
    "reportOperatorIssue",
)

FACE = """
import tfp_flows as tff
from tfp_flows.sklearn import FlowDensity
flow = tff.maf(event_size=2)
reveal_type(tff.maf)
reveal_type(flow)
reveal_type(flow.log_prob)
reveal_type(flow.log_prob([[1.0, 2.0]]))
reveal_type(flow.sample(3))
reveal_type(flow.encode([[1.0, 2.0]]))
reveal_type(tff.fit_density(flow, flow).importance)
reveal_type(tff.importance(flow, flow).weight)
reveal_type(tff.fit(flow, [[1.0, 2.0]]))
reveal_type(tff.load("folder"))
reveal_type(tff.make("maf", event_size=2))
reveal_type(tff.FlowModel(flow))
reveal_type(tff.FlowLayer(flow))
reveal_type(tff.Run.open("folder"))
reveal_type(tff.bijectors.Planar(2))
reveal_type(tff.networks.MADE(2))
reveal_type(tff.plots.density)
reveal_type(tff.datasets.siggraph().sample(10))
reveal_type(tff.datasets.read_table("x.csv").rows)
reveal_type(FlowDensity)
reveal_type(FlowDensity("maf").fit([[1.0, 2.0]]).flow_)
reveal_type(FlowDensity().score_samples([[1.0, 2.0]]))
reveal_type(FlowDensity().sample(3))
"""


def test_the_stub_has_the_names_that_there_are():
    stub = (ROOT / "tfp_flows" / "__init__.pyi").read_text(encoding="utf-8")
    named = re.findall(r"^from \S+ import (\w+) as \1$", stub, flags=re.MULTILINE)
    assert sorted([*named, "__version__"]) == sorted(tff.__all__)
    assert (ROOT / "tfp_flows" / "py.typed").exists()


@pytest.mark.slow
def test_the_public_face_is_typed(tmp_path: Path):
    (tmp_path / "face.py").write_text(FACE)
    for i, block in enumerate(BLOCKS):
        (tmp_path / f"readme{i}.py").write_text(block)
    rules = dict.fromkeys(ABOUT_KERAS, False)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)], **rules}))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    revealed = re.findall(r'Type of "(.+)" is "(.+)"', done.stdout)
    assert len(revealed) == FACE.count("reveal_type")
    for expression, found in revealed:
        assert found not in ("Any", "Unknown"), expression
        assert not found.endswith(("-> Any", "-> Unknown")), expression

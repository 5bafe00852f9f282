"""Lint, format, layers and the README's code: checks that run with the tests."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "ruff", "check", "."],
        ["-m", "ruff", "format", "--check", "."],
        ["-c", "from importlinter.cli import lint_imports_command as run; run()"],
    ],
    ids=["lint", "format", "layers"],
)
def test_style(command):
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_is_installed():
    """What setup.cfg leaves out is there in a clone, and missing from a wheel."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    there = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "tfp_flows").rglob("__init__.py")}
    assert listed == there | {"tfp_flows.blender_data"}


def test_readme_has_code():
    assert BLOCKS


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS, ids=[f"block{i}" for i in range(len(BLOCKS))])
def test_code_of_the_readme_runs_as_pasted(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})


def test_every_option_of_the_readme_exists():
    from tfp_flows import cli

    source = Path(cli.__file__).read_text(encoding="utf-8")
    for option in set(re.findall(r"tfp-flows \w+[^\n`]*?--([a-z-]+)", README)):
        assert option.replace("-", "_") in source, option

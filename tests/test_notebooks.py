"""The notebooks: each runs in a clean kernel, and what is stored is what was executed."""

import importlib.util
import pathlib
import re

import nbformat
import pytest

FOLDER = pathlib.Path(__file__).parent.parent / "notebooks"
_spec = importlib.util.spec_from_file_location("run_notebooks", FOLDER / "run.py")
runner = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(runner)

NAMES = [path.stem for path in runner.paths()]


def _read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def test_both_readmes_have_all_of_them():
    assert NAMES[:4] == ["01_normalizing_flows", "02_modern_flows", "03_your_own_letters", "04_parallel_wavenet"]
    assert [path.stem for path in runner.paths(["02", "04"])] == [NAMES[1], NAMES[3]]
    for readme, start in ((FOLDER / "README.md", "]("), (FOLDER.parent / "README.md", "](notebooks/")):
        text = readme.read_text(encoding="utf-8")
        assert [name for name in NAMES if f"{start}{name}.ipynb)" not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_stored_outputs_are_of_the_stored_code(name):
    notebook = _read(name)
    nbformat.validate(notebook)
    assert notebook.metadata["tfp_flows"]["executed"] == runner.code_hash(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert len(runner.numbers(notebook)) >= 3
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_changed_code_is_told_from_what_was_executed():
    notebook = _read(NAMES[0])
    next(cell for cell in notebook.cells if cell.cell_type == "code").source += "\n"
    assert notebook.metadata["tfp_flows"]["executed"] != runner.code_hash(notebook)


def test_a_number_that_is_off_or_missing_is_told():
    def printed(*lines: str) -> nbformat.NotebookNode:
        text = "\n".join(lines)
        cell = nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("stream", text=text)])
        return nbformat.v4.new_notebook(cells=[cell])

    stored = printed("gap of maf: 0.073 ± 0.020", "time: 4.1 s", "entropy: -0.095 ± 0.001")
    assert runner.numbers(stored) == {"gap of maf": (0.073, 0.02), "entropy": (-0.095, 0.001)}
    assert runner.differences(stored, printed("gap of maf: 0.090 ± 0.020", "entropy: -0.0951 ± 0.001")) == []
    wrong = runner.differences(stored, printed("gap of maf: 0.094 ± 0.020"))
    assert [line.split(":")[0] for line in wrong] == ["gap of maf", "entropy"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_runs_in_a_clean_kernel(name):
    notebook = runner.run(FOLDER / f"{name}.ipynb", fast=True)
    names = _names(notebook)
    assert len(names) >= 3
    assert names <= _names(_read(name))  # fast runs may leave combinations out


def _names(notebook: nbformat.NotebookNode) -> set[str]:
    """The names of the numbers, without the text that notebook 3 draws: without a Blender it is another."""
    return {re.sub(r"^'[^']*', ", "", name) for name in runner.numbers(notebook)}

"""Run the notebooks, each in a clean kernel and an empty folder.

`python notebooks/run.py --fast` runs all of them in some ten minutes and stores nothing. `python notebooks/run.py`
runs them in full and stores their outputs. `python notebooks/run.py --check` runs them in full and compares each number
with the stored one, within the spread that the notebook states. Names choose notebooks, as in
`python notebooks/run.py --fast 02`.
"""

import argparse
import base64
import hashlib
import io
import os
import pathlib
import re
import sys
import tempfile
import time

import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = pathlib.Path(__file__).parent
TIMEOUT = 1800  # seconds that a cell may take
LOG = re.compile(r"WARNING: All log messages before absl|[IWE]\d{4} |To enable the following instructions")
NUMBER = re.compile(r"^(?P<name>\S.*?): (?P<value>-?\d+\.\d+) ± (?P<spread>\d+\.\d+)", re.MULTILINE)


def paths(wanted: list[str] | None = None) -> list[pathlib.Path]:
    """The notebooks whose names start with one of `wanted`; all of them without it."""
    found = sorted(HERE.glob("[0-9][0-9]_*.ipynb"))
    return [path for path in found if not wanted or any(path.name.startswith(start) for start in wanted)]


def run(path: pathlib.Path, fast: bool) -> nbformat.NotebookNode:
    """The notebook, executed; raises nbclient's `CellExecutionError` with the cell and its traceback."""
    notebook = nbformat.read(path, as_version=4)
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("TFP_FLOWS_FAST", None)
    if fast:
        environment["TFP_FLOWS_FAST"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.execute(env=environment, cleanup_kc=True)
    return notebook


def code_hash(notebook: nbformat.NotebookNode) -> str:
    """What identifies the code of a notebook."""
    code = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()


def is_log(output: nbformat.NotebookNode) -> bool:
    """Whether an output is nothing but TensorFlow's own log, which comes before any level can be set."""
    lines = output.text.splitlines() if output.get("name") == "stderr" else ["no log"]
    return all(LOG.match(line) for line in lines if line.strip())


def smaller(png: str) -> str:
    """A picture of 256 colours, which takes a third of the space; base64, as notebooks have it."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        packed = io.BytesIO()
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return base64.b64encode(packed.getvalue()).decode()


def store(notebook: nbformat.NotebookNode, path: pathlib.Path) -> None:
    """Writes an executed notebook, with the hash of what was executed, without times and TensorFlow's start-up log."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_log(output)]
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = smaller(output.data["image/png"])
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "tfp_flows": {"executed": code_hash(notebook)},
    }
    nbformat.write(notebook, path)


def numbers(notebook: nbformat.NotebookNode) -> dict[str, tuple[float, float]]:
    """The numbers that a notebook printed as `name: value ± spread`."""
    texts = (
        output.text for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "stream"
    )
    return {m["name"]: (float(m["value"]), float(m["spread"])) for text in texts for m in NUMBER.finditer(text)}


def differences(stored: nbformat.NotebookNode, again: nbformat.NotebookNode) -> list[str]:
    """A line for each number of a second run that is missing, or further off than the stored spread."""
    new = numbers(again)
    return [
        f"{name}: {value} ± {spread} is stored, {new[name][0] if name in new else 'nothing'} came out"
        for name, (value, spread) in numbers(stored).items()
        if name not in new or abs(new[name][0] - value) > spread
    ]


def main() -> int:
    """Runs what was asked for; the exit status is 1 if a number is off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="starts of names, such as 02; by default all")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--fast", action="store_true", help="one to three minutes each, nothing is stored")
    how.add_argument("--check", action="store_true", help="in full, and compare with the stored numbers")
    arguments = parser.parse_args()
    status = 0
    for path in paths(arguments.names):
        started = time.perf_counter()
        notebook = run(path, arguments.fast)
        print(f"{path.name}: ran in {time.perf_counter() - started:.0f} s", flush=True)
        if arguments.check:
            wrong = differences(nbformat.read(path, as_version=4), notebook)
            status |= bool(wrong)
            print("\n".join(wrong or [f"  all {len(numbers(notebook))} numbers came out again"]), flush=True)
        elif not arguments.fast:
            store(notebook, path)
    return status


if __name__ == "__main__":
    sys.exit(main())

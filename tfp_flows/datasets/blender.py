"""Point clouds of any text, made by a Blender in a process of its own, and the files that keep them."""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from tfp_flows.checks import check_path
from tfp_flows.errors import InputError
from tfp_flows.signals import ending_on_signals

__all__ = ["PointCloud", "blender_folder", "load_points", "make_points"]

PathLike = str | os.PathLike[str]


class PointCloud(NamedTuple):
    """A mesh, points drawn in it, and how both were made.

    - `triangles`: float64 `[n, 3, 2]`, corners in Blender units, in its face order; none is without area.
    - `points`: float32 `[m, 2]`, in face order.
    - `triangle_index`: int32 `[m]`, the triangle that each point was drawn in.
    - `recipe`: the arguments of `make_points`, the font by its file name; and the version of `blender`.
    """

    triangles: np.ndarray
    points: np.ndarray
    triangle_index: np.ndarray
    recipe: dict[str, Any]


def make_points(
    text: str,
    out: PathLike,
    *,
    font: PathLike | None = None,
    size: float = 1.0,
    resolution: int = 12,
    decimate: float = 0.2,
    points_per_triangle: int = 100,
    points_by_area: int | None = None,
    seed: int = 0,
    blender: PathLike | None = None,
    force: bool = False,
) -> Path:
    """Draw a text in Blender, and points in its triangles, into the file `out`, which is returned.

    With n triangles of area A[i] the points have the density

        points_per_triangle:  p(x) = 1 / (n A[i])             for x in triangle i
        points_by_area:       p(x) = 1 / (A[1] + ... + A[n])  for x in any triangle

    as long as the triangles do not overlap. That is not checked; the letters of a slanted font may.

    Args:
        text: what to draw; a new line begins a new line.
        out: a file that ends in `.npz`, written whole or not at all. Read it with `load_points`.
        font: a .ttf, .otf or .ttc file; None is Blender's built-in font, which has Latin letters.
        size: of the letters, in Blender units, 0.0001 to 10000; a capital is about 0.7 of it high.
        resolution: steps along each curve of a letter, 1 to 1024.
        decimate: the share of the triangles to keep, 0.0001 to 1; straight letters need more than round ones.
        points_per_triangle: so many points in every triangle, large or small.
        points_by_area: instead of those, so many points, uniform over the whole text.
        seed: of the points; a mesh and a seed give the same points on every machine.
        blender: a `blender` executable, or a Python that has `bpy`. None is what the environment variable
            `TFP_FLOWS_BLENDER` names, else this Python if it has `bpy`, else the `blender` on PATH.
        force: overwrite `out` if it exists.

    Raises:
        InputError: before Blender starts, for an argument that Blender would clamp, cut or not draw, for a
            character that the font does not have, for an `out` that cannot be written, and if there is no
            Blender; afterwards, for a `decimate` that loses more than a tenth of the area (the message says what
            is enough), and with Blender's last words, if it fails.

    >>> make_points("TFP", "tfp.npz", decimate=1)  # doctest: +SKIP
    PosixPath('tfp.npz')
    >>> make_points("TFP", "tfp.npz", resolution=0)
    Traceback (most recent call last):
    ...
    tfp_flows.errors.InputError: resolution 0 does not work: give a whole number from 1 to 1024
    """
    script = _script()
    recipe = script.Recipe(text, font, size, resolution, decimate, points_per_triangle, points_by_area, seed)
    try:
        path = script.check_out(out, ".npz", force=force)
        recipe = script.check_recipe(recipe)
    except script.BadInput as error:
        raise InputError(str(error)) from None
    script.write_whole(path, _npz(_run(_command(blender), recipe)))
    return path


def load_points(path: PathLike) -> PointCloud:
    """Read a file of `make_points`, and check that every point lies in its triangle.

    Raises:
        InputError: if the file is missing, not of that kind, or its arrays do not fit together.

    >>> cloud = load_points(blender_folder() / "siggraph.npz")
    >>> cloud.triangles.shape, cloud.points.shape, cloud.recipe["text"]
    ((98, 3, 2), (9800, 2), 'SIGGRAPH')
    """
    check_path(path=path)
    if not Path(path).exists():
        raise InputError(f"file {str(path)!r} does not exist: give a file that make_points wrote")
    try:
        cloud = _read(path)
    except (OSError, ValueError, LookupError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        # their own words are about pickles, passwords and the ZIP format
        needed = "an .npz archive of triangles, points, triangle_index and recipe"
        raise InputError(f"file {str(path)!r} is not {needed}: give a file that make_points wrote") from None
    problem = _problem(cloud)
    if problem is not None:
        raise InputError(f"file {str(path)!r} has {problem}: give a file that make_points wrote")
    return cloud


def blender_folder() -> Path:
    """Return the folder of `make_points.py` and `siggraph.npz`, in the package or beside it in a source tree.

    >>> sorted(path.name for path in blender_folder().glob("*.npz"))
    ['siggraph.npz']
    """
    for parent in Path(__file__).resolve().parents[1:3]:
        if (parent / "blender_data").is_dir():
            return parent / "blender_data"
    raise FileNotFoundError("tfp_flows is installed without its folder blender_data: install it again")


@cache
def _script() -> ModuleType:
    # Loaded from its file: Blender runs that file on its own, so it is no module of ours, but its checks are.
    spec = importlib.util.spec_from_file_location("make_points", blender_folder() / "make_points.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _command(blender: PathLike | None) -> list[str]:
    """Return the command that runs the script, up to the script's own arguments."""
    script = str(blender_folder() / "make_points.py")
    blender = blender or os.environ.get("TFP_FLOWS_BLENDER") or None
    if blender is None and importlib.util.find_spec("bpy") is not None:
        return [sys.executable, script]
    program = shutil.which("blender" if blender is None else blender)
    if program is None and blender is None:
        raise InputError(
            "there is neither bpy in this Python nor a blender on PATH: pip install 'bpy>=4.2,<4.3' (Python 3.11), "
            "or apt install blender, or give the path of one with blender"
        )
    if program is None:
        raise InputError(f"blender {str(blender)!r} is no program: give a blender, or a Python that has bpy")
    if _is_python(program):
        return [program, script]
    # --python-exit-code must come before --python: else a script that fails looks like a success.
    flags = ["--background", "--factory-startup", "--python-exit-code", "1", "--python"]
    return [program, *flags, script, "--"]


def _is_python(program: str) -> bool:
    found = re.search(r"^(Python|Blender) \d", _call([program, "--version"]).stdout, re.MULTILINE)
    if found is None:
        raise InputError(f"blender {program!r} is not one: give a blender, or a Python that has bpy")
    return found[1] == "Python"


def _call(command: list[str]) -> subprocess.CompletedProcess[str]:
    # PYTHONPATH would reach the Python inside Blender, and hide its packages behind ours.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    group = {"start_new_session": True} if os.name == "posix" else {}
    try:
        with ending_on_signals():
            process = subprocess.Popen(command, **pipes, **group, env=env, encoding="utf-8", errors="replace")
            try:
                stdout, stderr = process.communicate()
            except BaseException:  # Ctrl-C or SIGTERM: Blender must not go on alone, nor what its script has started
                _kill(process)
                raise
    except OSError as error:
        raise InputError(f"blender {command[0]!r} does not start: {error.strerror}") from None
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def _kill(process: subprocess.Popen) -> None:
    with contextlib.suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _run(command: list[str], recipe: Any) -> dict[str, Any]:
    """Run the script; its result comes by file, since Blender writes lines of its own to stdout."""
    given = {name.replace("_", "-"): value for name, value in recipe._asdict().items() if value is not None}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "cloud.json")
        done = _call([*command, *(f"--{name}={value}" for name, value in given.items()), f"--out={out}"])
        if not out.exists():
            raise InputError(_failure(command[0], done))
        return json.loads(out.read_text(encoding="utf-8"))


def _failure(program: str, done: subprocess.CompletedProcess[str]) -> str:
    """Return the script's own sentence if it refused its input, else the last line that tells something."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("make_points.py: error: "):
            return line.removeprefix("make_points.py: error: ")
    telling = [line for line in lines if not line.startswith("Error: script failed")] or ["no reason given"]
    return f"blender {program!r} failed with exit status {done.returncode}: {telling[-1]}"


def _npz(result: dict[str, Any]) -> bytes:
    buffer = BytesIO()
    np.savez_compressed(
        buffer,
        triangles=np.asarray(result["triangles"], np.float64),
        points=np.asarray(result["points"], np.float32),
        triangle_index=np.asarray(result["triangle_index"], np.int32),
        recipe=np.asarray(json.dumps({**result["recipe"], "blender": result["blender"]})),
    )
    return buffer.getvalue()


def _read(path: PathLike) -> PointCloud:
    with zipfile.ZipFile(path) as archive:  # np.load would parse damaged bytes before it compares the checksum
        if archive.testzip() is not None:
            raise zipfile.BadZipFile
    with np.load(path, allow_pickle=False) as file:
        recipe = json.loads(str(file["recipe"]))
        return PointCloud(file["triangles"], file["points"], file["triangle_index"], recipe)


def _problem(cloud: PointCloud) -> str | None:
    """Return what is wrong with a cloud, or None."""
    triangles, points, index, recipe = cloud
    if triangles.dtype != np.float64 or triangles.shape != (len(triangles), 3, 2):
        return f"triangles {triangles.dtype} {list(triangles.shape)}, expected float64 [n, 3, 2]"
    if points.dtype != np.float32 or points.shape != (len(points), 2) or not len(points):
        return f"points {points.dtype} {list(points.shape)}, expected float32 [m, 2] with m > 0"
    if index.dtype != np.int32 or index.shape != (len(points),):
        return f"triangle_index {index.dtype} {list(index.shape)}, expected int32 [{len(points)}]"
    if not isinstance(recipe, dict):
        return f"recipe {recipe!r}, expected a JSON object"
    flat = ~(np.abs(_cross(*np.moveaxis(triangles, 1, 0))) > 0)  # NaN too
    if flat.any():
        return f"a triangle without area in row {np.argmax(flat)} of triangles"
    outside = (index < 0) | (index >= len(triangles))
    outside = outside if outside.any() else ~_inside(points, triangles[index])
    if outside.any():
        return f"a point outside its triangle in row {np.argmax(outside)} of points"
    return None


def _inside(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return whether each point is in its triangle, or no more than float32 rounds away from it."""
    a, b, c = np.moveaxis(triangles, 1, 0)
    left = np.sign(_cross(a, b, c))
    edges = ((a, b), (b, c), (c, a))
    depth = np.min([left * _cross(p, q, points) / np.linalg.norm(q - p, axis=1) for p, q in edges], axis=0)
    return depth >= -np.finfo(np.float32).eps * np.abs(triangles).max()


def _cross(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return (b - a) x (c - a), row by row: twice the signed area of the triangle a, b, c."""
    (ux, uy), (vx, vy) = (b - a).T, (c - a).T
    return ux * vy - uy * vx

"""The `tfp-flows` command: a thin shell over the package. TensorFlow is imported by the commands that need it."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tfp_flows.errors import DivergenceError, InputError, TrainingInterrupted

if TYPE_CHECKING:
    import numpy as np

    from tfp_flows.datasets import Dataset
    from tfp_flows.flow import Flow

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Normalizing flows on TensorFlow Probability: train them, sample them, score rows, draw pictures.",
)
console = Console()

Run = Annotated[Path, typer.Argument(help="Run folder that `train` left.")]
Data = Annotated[str, typer.Option(help="siggraph, two_moons, gaussian, banana, or a CSV, NPY or NPZ file.")]
Seed = Annotated[int, typer.Option(help="Fixes every random choice.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]

# Rounds and learning rate where none are asked for, measured on two cores: see benchmarks/README.md.
ROUNDS = {"nsf_coupling": (45, 5e-3), "maf": (200, 1e-2)}
OTHER_ROUNDS = (120, 1e-2)
TEST_ROWS = 10_000
SHOWN_ROWS = 9_800


def main() -> None:
    """Runs the command; an error of the user's is one sentence and exit status 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except (InputError, DivergenceError) as error:
        print(f"tfp-flows: {error}", file=sys.stderr)
        sys.exit(2)


@app.command()
def train(
    flow: Annotated[str, typer.Option(help="Name of a chain: see `tfp-flows list`.")] = "nsf_coupling",
    data: Data = "siggraph",
    out: Annotated[Path | None, typer.Option(help="Run folder to make; by default a new one below runs/.")] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Rounds of training at most; 45 for splines, which take longer, 200 for maf, else 120."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Rows of a step.")] = 500,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of Adam, at the start of a cosine decay; 0.005 for splines, else 0.01.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Epochs without improvement before training stops; 20 for the rows of a file, else no end."),
    ] = None,
    num_layers: Annotated[int | None, typer.Option(help="Layers of the chain.")] = None,
    hidden_units: Annotated[str | None, typer.Option(help="Hidden layers of each network, as in 64,64.")] = None,
    batch_norm: Annotated[bool, typer.Option("--batch-norm", help="Batch norm after every second layer.")] = False,
    steps_per_epoch: Annotated[int | None, typer.Option(help="Steps of an epoch.")] = None,
    device: Annotated[str | None, typer.Option(help="CPU:0, GPU:0, ...; by default what TensorFlow picks.")] = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Train a flow; leaves a run folder with weights, metrics and figures."""
    started = time.perf_counter()
    folder = _new_folder(out, f"{flow}-{Path(data).stem}", force)
    rounds, rate = ROUNDS.get(flow, OTHER_ROUNDS)
    options = {"num_layers": num_layers, "hidden_units": _sizes(hidden_units), "batch_norm": batch_norm or None}
    import tfp_flows as tff

    with _device(device):
        law, rows, test = _training_data(data, seed)
        built = tff.make(
            flow, event_size=test.shape[1], seed=seed, **{k: v for k, v in options.items() if v is not None}
        )
        history, interrupted = _history(
            tff.fit,
            built,
            law or rows,
            epochs=rounds if epochs is None else epochs,
            batch_size=batch_size,
            learning_rate=rate if learning_rate is None else learning_rate,
            # rows that are drawn afresh cannot be overfitted, and a pause before the rate has decayed is no end
            patience=20 if patience is None and law is None else patience,
            steps_per_epoch=steps_per_epoch,
            seed=seed,
        )
        built.save(folder)
        metrics = _evaluate(built, test, law.entropy if law else None)
        metrics |= {"epochs": len(history.get("nll", [])), "seconds": time.perf_counter() - started}
        _write_run(folder, built, _data_facts(data, law, test), metrics, history)
        _draw(built, folder, law, test, history)
    metrics["seconds"] = time.perf_counter() - started
    _report(folder, metrics)
    if interrupted:
        sys.exit(130)


@app.command()
def distill(
    run: Run,
    out: Annotated[Path, typer.Option(help="Run folder to make for the student.")],
    flow: Annotated[str, typer.Option(help="The student's chain: one that samples in one pass.")] = "iaf",
    epochs: Annotated[int, typer.Option(help="Rounds of training.")] = 50,
    batch_size: Annotated[int, typer.Option(help="Samples of a step.")] = 500,
    learning_rate: Annotated[float, typer.Option(help="Of Adam, at the start of a cosine decay.")] = 5e-3,
    num_layers: Annotated[int | None, typer.Option(help="Layers of the chain.")] = None,
    hidden_units: Annotated[str | None, typer.Option(help="Hidden layers of each network, as in 64,64.")] = None,
    steps_per_epoch: Annotated[int, typer.Option(help="Steps of a round.")] = 100,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Fit a student that samples in one pass to the trained flow of a run, by KL(student, teacher)."""
    started = time.perf_counter()
    folder = _new_folder(out, "", force)
    options = {"num_layers": num_layers, "hidden_units": _sizes(hidden_units)}
    import tfp_flows as tff
    from tfp_flows.state import read_json

    teacher = tff.load(run)
    facts = read_json(run / "config.json").get("data", {})
    student = tff.make(
        flow, event_size=teacher.event_size, seed=seed, **{k: v for k, v in options.items() if v is not None}
    )
    history, interrupted = _history(
        tff.distill,
        teacher,
        student,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        steps_per_epoch=steps_per_epoch,
        seed=seed,
    )
    student.save(folder)
    x, log_prob = student.sample_and_log_prob(TEST_ROWS, seed=seed + 1)
    metrics = _kl(log_prob.numpy() - tff.plots.log_prob_of(teacher, x.numpy()))
    metrics |= {"epochs": len(history.get("kl", [])), "seconds": time.perf_counter() - started}
    _write_run(folder, student, facts | {"teacher": str(run)}, metrics, history)
    law, rows = _data_of(facts)
    _draw(student, folder, law, rows, history)
    console.print(
        f"KL(student, teacher) {metrics['kl']:.4f} ± {metrics['standard_error']:.4f} nats "
        f"on {TEST_ROWS:,} of the student's samples; {time.perf_counter() - started:.0f} s",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"weights, metrics and figures are in {folder}", highlight=False, soft_wrap=True)
    if interrupted:
        sys.exit(130)


@app.command()
def sample(
    run: Run,
    out: Annotated[Path, typer.Option(help="CSV, NPY or NPZ file to write.")],
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many rows.")] = 1000,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Draw rows from a trained flow."""
    from tfp_flows import datasets, load

    datasets.write_rows(out, load(run).sample(n, seed=seed).numpy(), force=force)
    console.print(f"{n:,} rows in {out}")


@app.command()
def score(
    run: Run,
    data: Data,
    out: Annotated[Path | None, typer.Option(help="CSV, NPY or NPZ file for the log-probability of each row.")] = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Print the mean log-probability of rows; write that of each row with --out."""
    import tfp_flows as tff

    flow = tff.load(run)
    law = _law(data)
    rows = law.sample(TEST_ROWS, seed=seed) if data in tff.datasets.names() else tff.datasets.read_rows(data)
    rows = tff.datasets.as_rows(rows, name=data, event_size=flow.event_size)
    log_prob = tff.plots.log_prob_of(flow, rows)
    if out:
        tff.datasets.write_rows(out, log_prob[:, None], force=force)
    _report(None, _summarise(log_prob, law.entropy if law else None))


@app.command()
def plot(run: Run) -> None:
    """Draw a run's figures again, and the film from latent to data."""
    import tfp_flows as tff
    from tfp_flows.history import read_history
    from tfp_flows.state import read_json

    flow = tff.load(run)
    law, rows = _data_of(read_json(run / "config.json").get("data", {}))
    _draw(flow, run, law, rows, read_history(run / "history.csv"), film=True)
    console.print(f"figures in {run / 'figures'}")


@app.command("list")
def list_() -> None:
    """List the chains and the datasets there are."""
    import inspect

    import tfp_flows as tff

    console.print("[bold]Flows[/bold]")
    for name in tff.flows.names():
        console.print(f"  {name:<14} {inspect.getdoc(getattr(tff, name)).splitlines()[0]}", highlight=False)
    console.print("[bold]Datasets[/bold]")
    for name in tff.datasets.names():
        law = tff.datasets.make(name)
        what = inspect.getdoc(getattr(tff.datasets, name)).splitlines()[0]
        console.print(f"  {name:<14} {what} Entropy {law.entropy:.4f} nats.", highlight=False)


@app.command()
def points(
    text: Annotated[str, typer.Argument(help="The text, such as SIGGRAPH.")],
    out: Annotated[Path, typer.Option(help="NPZ file to write.")],
    font: Annotated[Path | None, typer.Option(help="Font file; by default Blender's own.")] = None,
    size: Annotated[float, typer.Option(help="Size of the text.")] = 1.0,
    resolution: Annotated[int, typer.Option(help="Steps of a curve between two control points.")] = 12,
    decimate: Annotated[
        float, typer.Option(help="Part of the triangles to keep, above 0 and at most 1; straight letters need 1.")
    ] = 0.2,
    points_per_triangle: Annotated[int, typer.Option(help="Points in every triangle.")] = 100,
    points_by_area: Annotated[int | None, typer.Option(help="Points in all, uniform by area, instead.")] = None,
    seed: Seed = 0,
    blender: Annotated[str | None, typer.Option(help="Blender, or a Python with bpy; by default one is found.")] = None,
    force: Force = False,
) -> None:
    """Turn a text into a point cloud, through Blender."""
    from tfp_flows.datasets.blender import make_points

    with console.status("Blender is at work …"):
        path = make_points(
            text,
            out,
            font=font,
            size=size,
            resolution=resolution,
            decimate=decimate,
            points_per_triangle=points_per_triangle,
            points_by_area=points_by_area,
            seed=seed,
            blender=blender,
            force=force,
        )
    console.print(f"the cloud is in {path}")


def _history(train: Callable, *flows_and_data: Any, **options: Any) -> tuple[dict[str, list[float]], bool]:
    """The history of a training, and whether Ctrl-C ended it."""
    try:
        return train(*flows_and_data, **options).history, False
    except TrainingInterrupted as stop:
        console.print("Interrupted: keeping the best weights so far.")
        return stop.history.history, True


def _new_folder(out: Path | None, name: str, force: bool) -> Path:
    """The run folder to write: the one asked for if it is free, or the first free name below runs/."""
    if out is None:
        names = (Path("runs") / (name if i == 1 else f"{name}-{i}") for i in range(1, 10_000))
        return next(path for path in names if not path.exists())
    if out.is_file():
        raise InputError(f"--out must be a folder; {out} is a file.")
    if out.is_dir() and any(out.iterdir()) and not force:
        raise InputError(f"--out {out} is not empty: choose another folder, or --force to write into it.")
    return out


def _sizes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"--hidden-units must be integers with commas between them, as in 64,64; got {text!r}."
        ) from error


@contextlib.contextmanager
def _device(name: str | None) -> Iterator[None]:
    """Places variables and work on a device; `InputError` names those that TensorFlow sees."""
    if name is None:
        yield
        return
    import tensorflow as tf

    known = [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices()]
    if name.upper() not in known:
        raise InputError(f"--device must be one of {', '.join(known)}; got {name!r}.")
    with tf.device(name.upper()):
        yield


def _training_data(data: str, seed: int) -> "tuple[Dataset | None, np.ndarray | None, np.ndarray]":
    """The known law or the training rows, and the test rows: fresh draws, or every tenth row of a file."""
    import numpy as np

    from tfp_flows import datasets

    law = _law(data)
    if law:
        return law, None, law.split(seed).test
    if not Path(data).suffix:
        raise InputError(f"--data must be one of {', '.join(datasets.names())}, or a file; got {data!r}.")
    rows = datasets.as_rows(datasets.read_rows(data), name=data, purpose="train")
    rows = rows[np.random.default_rng(seed).permutation(len(rows))]
    held_out = max(1, len(rows) // 10)
    return None, rows[held_out:], rows[:held_out]


def _law(data: str) -> "Dataset | None":
    """The exact law behind `--data`: that of a dataset's name, or of the mesh in a file of `points`."""
    from tfp_flows import datasets

    if data in datasets.names():
        return datasets.make(data)
    return datasets.mesh(Path(data).resolve()) if datasets.is_mesh_file(data) else None


def _data_of(facts: dict) -> "tuple[Dataset | None, np.ndarray]":
    """The law of a run's data, if it is known, and rows of it."""
    from tfp_flows import datasets

    name = facts.get("name", "")
    law = datasets.make(name, **facts["options"]) if "options" in facts else None
    return law, law.sample(SHOWN_ROWS, seed=1) if law else datasets.read_rows(name)


def _evaluate(flow: "Flow", test: "np.ndarray", entropy: float | None) -> dict[str, Any]:
    """Test NLL with its standard error, and the gap where the entropy is known."""
    from tfp_flows.plots import log_prob_of

    return _summarise(log_prob_of(flow, test), entropy)


def _summarise(log_prob: "np.ndarray", entropy: float | None) -> dict[str, Any]:
    import numpy as np

    log_prob = log_prob.astype(np.float64)
    metrics = {"rows": len(log_prob), "nll": float(-log_prob.mean())}
    if len(log_prob) > 1:
        metrics["standard_error"] = float(log_prob.std(ddof=1) / np.sqrt(len(log_prob)))
    if entropy is not None:
        metrics |= {"entropy": entropy, "gap": metrics["nll"] - entropy}
    return metrics


def _kl(difference: "np.ndarray") -> dict[str, Any]:
    return {
        "rows": len(difference),
        "kl": float(difference.mean()),
        "standard_error": float(difference.std(ddof=1) / len(difference) ** 0.5),
    }


def _data_facts(data: str, law: "Dataset | None", test: "np.ndarray") -> dict[str, Any]:
    if law:
        return {"name": law.name, "options": law.config, "entropy": law.entropy}
    return {"name": str(Path(data).resolve()), "columns": test.shape[1]}


def _write_run(folder: Path, flow: "Flow", facts: dict, metrics: dict, history: dict) -> None:
    from tfp_flows.history import write_history
    from tfp_flows.state import update_json

    update_json(folder / "config.json", data=facts)
    update_json(folder / "metrics.json", **metrics)
    write_history(folder / "history.csv", history)


def _draw(
    flow: "Flow", folder: Path, law: "Dataset | None", rows: "np.ndarray", history: dict, film: bool = False
) -> None:
    """Writes every figure that makes sense for the flow into the run's folder; with `film`, the film as well."""
    from tfp_flows import plots

    limits = law.limits if law else None
    shown = rows[:SHOWN_ROWS]
    figures = {"samples": lambda: plots.samples(flow, shown, limits=limits)}
    if flow.event_size == 2:
        figures["density"] = lambda: plots.density(flow, limits=limits or plots.limits_of(shown))
        figures["grid"] = lambda: plots.grid_warp(flow, limits=limits)
    if law and flow.event_size == 2:
        figures["gap"] = lambda: plots.gap_map(flow, law)
    if flow.event_size > 1:
        figures["layers"] = lambda: plots.layers(flow, limits=limits)
    if history.get("nll") or history.get("kl"):
        figures["loss"] = lambda: plots.loss_curve(history, entropy=law.entropy if law else None)
    (folder / "figures").mkdir(exist_ok=True)
    with console.status("drawing …"):
        for name, make in figures.items():
            make().savefig(folder / "figures" / f"{name}.png", dpi=150)
        if film and flow.event_size > 1:
            plots.animate_flow(flow, folder / "figures" / "flow.gif", force=True)


def _report(folder: Path | None, metrics: dict[str, Any]) -> None:
    error = f" ± {metrics['standard_error']:.4f}" if "standard_error" in metrics else ""
    line = f"NLL {metrics['nll']:.4f}{error} nats on {metrics['rows']:,} held-out rows"
    if "gap" in metrics:
        line += f"; gap to the entropy {metrics['gap']:.4f}"
    if "seconds" in metrics:
        line += f"; {metrics['seconds']:.0f} s"
    console.print(line, highlight=False, soft_wrap=True)
    if folder:
        console.print(f"weights, metrics and figures are in {folder}", highlight=False, soft_wrap=True)

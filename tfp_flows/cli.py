"""The `tfp-flows` command: a thin shell over the package. TensorFlow is imported by the commands that need it.

What a command was asked for goes to stdout; how it gets on, and what goes wrong, to stderr. Exit status: 0; 1 if all
is there but a figure, or if `check` finds a law that fails; 2 for an error, which is one sentence; 130 after Ctrl-C and
143 after SIGTERM.
"""

import contextlib
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tfp_flows.errors import DivergenceError, InputError, RoundingWarning, TrainingInterrupted
from tfp_flows.once import OnceCommand
from tfp_flows.signals import Terminated, ending_on_signals
from tfp_flows.words import in_short, plural

if TYPE_CHECKING:
    import numpy as np

    from tfp_flows.datasets import Table
    from tfp_flows.runs import Run

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Normalizing flows on TensorFlow Probability: train them, sample them, score rows, draw pictures.",
)
console = Console(highlight=False, soft_wrap=True)
status = Console(stderr=True, highlight=False, soft_wrap=True)

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder that `train` left.")]
Data = Annotated[
    str, typer.Option(help="siggraph, two_moons, gaussian, banana, or a file of rows; - for CSV on stdin.")
]
Columns = Annotated[str | None, typer.Option(help="Columns of a file, by name or number from 1: x,y or 1,3.")]
ContextColumns = Annotated[str | None, typer.Option(help="Columns of a file that the others are conditional on.")]
Key = Annotated[str | None, typer.Option(help="Which array of an NPZ file.")]
Seed = Annotated[int, typer.Option(help="Fixes every random choice.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
NumLayers = Annotated[int | None, typer.Option(help="Layers of the chain.")]
HiddenUnits = Annotated[str | None, typer.Option(help="Hidden layers of each network, as in 64,64.")]
Base = Annotated[
    str | None, typer.Option(help="Law of the latents: normal, student_t (heavy tails) or mixture (modes).")
]
Mixing = Annotated[
    str | None, typer.Option(help="Of columns between layers: reverse, random, linear (a learnt matrix) or none.")
]
Whiten = Annotated[
    bool | None, typer.Option("--whiten/--no-whiten", help="Standardise rows by their whole covariance.")
]
Power = Annotated[
    bool | None, typer.Option("--power/--no-power", help="Take columns to powers that make them like normal ones.")
]
Octaves = Annotated[
    str | None,
    typer.Option(
        help="Octaves of waves that the networks see beside each number: of each layer, as in 8,7,6,6, or the first, "
        "and deeper ones have fewer. nsf_coupling on letters has 8."
    ),
]
Tails = Annotated[str | None, typer.Option(help="Slopes of splines at the interval's ends: identity, equal or free.")]
Table = "CSV, NPY, NPZ, Parquet or Feather file"

CHAIN = ("num_layers", "hidden_units", "batch_norm", "base", "mixing", "whiten", "power", "octaves", "tails")
BASES = ("normal", "student_t", "mixture")
SUPPORT_FORM = "support must be NAME:LOW:HIGH, either end empty where open, as in price:0:"
MOST_WORDS = 300  # letters of a sentence on stderr


def main() -> None:
    """Runs the command; an error of the user's is one sentence and exit status 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.showwarning = _warn
    try:
        try:
            with ending_on_signals():
                app()
        finally:
            sys.stdout.flush()
    except (InputError, DivergenceError) as error:
        _refuse(str(error), 2)
    except Terminated as end:  # a training says more itself: `_ended_by_signals`
        _refuse("stopped by SIGTERM; what was written is whole.", end.code)
    except KeyboardInterrupt:
        _refuse("interrupted; what was written is whole.", 130)
    except BrokenPipeError:  # whoever read stdout has gone; there is nothing more to be said there
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        if error.filename is None and not _stdout_works():
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what Python has left to write at its end
            _refuse(f"stdout cannot be written: {error.strerror or error}.", 2)
        _refuse(f"{error.filename or 'a file'} cannot be used: {error.strerror or error}.", 2)


def _stdout_works() -> bool:
    """Whether anything can be printed: the error itself does not say what could not be written."""
    try:
        print()
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _warn(message: Any, category: type[Warning], *_: Any) -> None:
    """A warning of the package's is one sentence; others, of libraries, are for programmers.

    So is that of samples that are rounded: the command's are not.
    """
    if issubclass(category, UserWarning) and not issubclass(category, RoundingWarning):
        print(f"tfp-flows: {_in_options(str(message))}", file=sys.stderr)


def _refuse(message: str, code: int) -> None:
    print(f"tfp-flows: {_in_options(message)}", file=sys.stderr)
    sys.exit(code)


def _in_options(message: str) -> str:
    """A sentence of the package's, which speaks of arguments, in the language of options, and not too long."""
    command = typer.main.get_command(app)
    options = {
        param.name: param.opts[0]
        for each in command.commands.values()
        for param in each.params
        if param.param_type_name == "option"
    }
    message = re.sub(r"^folder(?= (is|must|cannot)\b)", "out", message)  # as the command calls the folder of a run
    for name, option in sorted(options.items(), key=lambda pair: len(pair[0]), reverse=True):
        words = rf"(?<![\w-]){name}"
        message = re.sub(rf"{words}=True\b", option, message)
        message = re.sub(rf"{words}=(?=\S)", f"{option} ", message)
        # a word of one's own in a sentence is an argument if it has an underscore, begins it, or is said to be given
        message = re.sub(rf"{words}\b" if "_" in name else rf"^{name}(?= (is|must|has|cannot)\b)", option, message)
        message = re.sub(rf"\b(with|without|leave) {name}\b", rf"\1 {option}", message)
    message = re.sub(r"\bresume(?= (it|its|goes)\b)", "`tfp-flows train --resume`", message)
    if len(message) > MOST_WORDS:
        message = f"{message[: MOST_WORDS - 122]} … {message[-118:]}"
    return message


def _say_version(asked: bool) -> None:
    if asked:
        import tfp_flows

        print(f"tfp-flows {tfp_flows.__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Normalizing flows on TensorFlow Probability: train them, sample them, score rows, draw pictures."""


@app.command(cls=OnceCommand)
def train(
    flow: Annotated[
        str | None, typer.Option(help="Name of a chain: see `tfp-flows list`; nsf_coupling by default.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="siggraph (the default), two_moons, gaussian, banana, or a file of rows.")
    ] = None,
    columns: Columns = None,
    context_columns: ContextColumns = None,
    key: Key = None,
    support: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:LOW:HIGH",
            help="Ends of a column, which are outside; either may be empty: price:0: for what is positive. Repeatable.",
        ),
    ] = None,
    circular: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:PERIOD",
            help="A column that comes round again: hour:24, or angle:-180:180 for the ends of a period. Repeatable.",
        ),
    ] = None,
    dequantize: Annotated[
        list[str] | None, typer.Option("--whole", metavar="NAME", help="A column of whole numbers. Repeatable.")
    ] = None,
    auto: Annotated[
        bool | None,
        typer.Option("--auto/--no-auto", help="Propose support and whole numbers from a file's rows, and say what."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to make; by default a new one below runs/.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped, as it was begun.")
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="Repeat the training of a run, but for the options given."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Rounds of training at most; 43 for nsf_coupling, 200 for maf, else 120."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows of a step; up to 500, by their number.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of Adam, at its highest; 0.005 for nsf_coupling, else 0.01.")
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(help="Of the networks' kernels, for a file; by default the more the fewer rows it has."),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Epochs without improvement before training stops; 20 for the rows of a file, else no end."),
    ] = None,
    num_layers: NumLayers = None,
    hidden_units: HiddenUnits = None,
    base: Base = None,
    mixing: Mixing = None,
    whiten: Whiten = None,
    power: Power = None,
    octaves: Octaves = None,
    tails: Tails = None,
    batch_norm: Annotated[
        bool | None, typer.Option("--batch-norm/--no-batch-norm", help="Batch norm after every second layer.")
    ] = None,
    steps_per_epoch: Annotated[int | None, typer.Option(help="Steps of an epoch.")] = None,
    device: Annotated[str | None, typer.Option(help="CPU:0, GPU:0, ...; by default what TensorFlow picks.")] = None,
    checkpoint_every: Annotated[float, typer.Option(min=0, help="Seconds between two checkpoints.")] = 60.0,
    seed: Annotated[int | None, typer.Option(help="Fixes every random choice; 0 by default.")] = None,
    force: Force = False,
) -> None:
    """Train a flow; leaves a run folder with weights, metrics and figures.

    Ctrl-C ends it with the best weights so far, and SIGTERM after a checkpoint, which is also written every minute;
    `train --resume RUN` goes on from there, with a student of `distill` too.

    nsf_coupling on letters, whose density has edges, begins from other options than elsewhere: 8 octaves, 64 bins,
    reversals, slope one at the ends and no affine maps. The run's config.json has every option.
    """
    from tfp_flows.runs import Run

    if data == "-":
        raise InputError(
            "data is -, and a run reads its rows again to be measured, resumed or repeated: write them into a file."
        )
    _check_folder(out)
    given = {"flow": flow, "data": data, "columns": _columns(columns), "key": key, "epochs": epochs}
    given |= {"context_columns": _columns(context_columns)}
    given |= {"batch_size": batch_size, "learning_rate": learning_rate, "weight_decay": weight_decay}
    given |= {"patience": patience, "device": device, "steps_per_epoch": steps_per_epoch, "seed": seed, "auto": auto}
    given |= {"support": _support(support), "circular": _circular(circular)}
    given |= {"dequantize": _columns(",".join(dequantize)) if dequantize else None}
    given = {name: value for name, value in given.items() if value is not None}
    options = {"num_layers": num_layers, "hidden_units": hidden_units, "batch_norm": batch_norm, "base": base}
    options = _chain_options(**options, mixing=mixing, whiten=whiten, power=power, octaves=octaves, tails=tails)
    if resume:
        if given or options or out or from_ or force:
            raise InputError(
                "resume must be the only option, as a run goes on as it was begun; --from repeats it with others."
            )
        with _ended_by_signals(resume):
            stopped = Run.open(resume)
            if stopped.is_finished:
                status.print(f"the training of {resume} has ended: nothing is trained")
            run = stopped.resume(checkpoint_every=checkpoint_every)
    else:
        known = Run.open(from_).settings if from_ else {}
        if flow is not None and flow != known.get("flow"):  # whose options are of another chain
            known.pop("options", None)
        if data is not None:
            of_the_data = ["key"]
            if not Path(data).suffix and not Path(data).is_dir():  # a law, which has no columns to be named
                of_the_data += ["columns", "context_columns", "support", "circular", "dequantize", "auto"]
            known = {name: value for name, value in known.items() if name not in of_the_data}
        given = known | given | {"options": known.get("options", {}) | options}
        _check_taken(given.get("flow"), given["options"])
        with _ended_by_signals(out), _names_with_colons(support):
            run = Run.train(out, **given, checkpoint_every=checkpoint_every, force=force)
    _finish(run)


@app.command(cls=OnceCommand)
def distill(
    run: Folder,
    out: Annotated[Path, typer.Option(help="Run folder to make for the student.")],
    flow: Annotated[str, typer.Option(help="The student's chain: one that samples in one pass.")] = "iaf",
    epochs: Annotated[int, typer.Option(help="Rounds of training.")] = 50,
    batch_size: Annotated[int, typer.Option(help="Samples of a step.")] = 500,
    learning_rate: Annotated[float, typer.Option(help="Of Adam, at its highest.")] = 5e-3,
    num_layers: NumLayers = None,
    hidden_units: HiddenUnits = None,
    base: Base = None,
    mixing: Mixing = None,
    whiten: Whiten = None,
    power: Power = None,
    octaves: Octaves = None,
    tails: Tails = None,
    steps_per_epoch: Annotated[int, typer.Option(help="Steps of a round.")] = 100,
    forward: Annotated[
        float,
        typer.Option(help="Part of what is minimised that is KL(teacher, student), from 0 to 1."),
    ] = 0.0,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Fit a student that samples in one pass to the trained flow of a run, by KL(student, teacher)."""
    from tfp_flows.runs import Run

    _check_folder(out)
    options = {"num_layers": num_layers, "hidden_units": hidden_units, "base": base, "mixing": mixing}
    options = _chain_options(**options, whiten=whiten, power=power, octaves=octaves, tails=tails)
    _check_taken(flow, options)
    given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed, "force": force}
    given["forward"] = forward
    with _ended_by_signals(out):
        student = Run.open(run).distill(out, flow=flow, options=options, steps_per_epoch=steps_per_epoch, **given)
    _finish(student)


@app.command(cls=OnceCommand)
def sample(
    run: Folder,
    out: Annotated[str, typer.Option(help=f"{Table} to write; - for CSV on stdout.")],
    n: Annotated[
        int | None, typer.Option("-n", "--number", min=1, help="How many rows, 1000 if nothing else is said.")
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(
            help="File of contexts, for a flow that has some: a row is drawn for each of its rows; - for CSV on stdin."
        ),
    ] = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Draw rows from a trained flow; with a context, each has it beside it."""
    from tfp_flows.runs import Run

    with _readable(context) as source:
        drawn = Run.open(run).sample(n, context=source, seed=seed)
    with _writable(out) as path:
        _write(path, drawn, force=force)
    status.print(f"{plural(len(drawn), 'row')} {'on stdout' if out == '-' else f'in {out}'}")


@app.command(cls=OnceCommand)
def score(
    run: Folder,
    data: Data,
    columns: Columns = None,
    context_columns: ContextColumns = None,
    key: Key = None,
    out: Annotated[
        str | None, typer.Option(help=f"{Table} for the log_prob of each row, nats; - for CSV on stdout.")
    ] = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Print the mean negative log-likelihood of rows, in nats: lower is better; --out has each row's log_prob."""
    from tfp_flows import datasets
    from tfp_flows.runs import Run

    with _readable(data) as source:
        given = {"columns": _columns(columns), "context_columns": _columns(context_columns), "key": key}
        scores = Run.open(run).score(source, seed=seed, **given)
    if out:
        with _writable(out) as path:
            rows = datasets.Table(scores.log_prob[:, None])  # which may be -inf
            _write(path, rows, header=["log_prob"], force=force)
    (status if out == "-" else console).print(_measured(scores.metrics, "row"))


@app.command(cls=OnceCommand)
def check(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or one that `flow.save` left.")],
    data: Annotated[
        str | None,
        typer.Option(
            help="Rows to judge the fit by: a dataset, a file, or - for CSV on stdin; by default the run's own."
        ),
    ] = None,
    columns: Columns = None,
    context_columns: ContextColumns = None,
    key: Key = None,
    seed: Seed = 0,
) -> None:
    """Try the laws that a flow obeys if its density is right, and whether it fits rows that it was not trained on.

    A line for each: a law that fails is a bug; where a test of fit fails, the flow is a density, and the rows have
    another law. Exit status 1 if any fails.
    """
    from tfp_flows.runs import check_folder

    with _readable(data) as source, status.status("trying the laws …"):
        given = {"columns": _columns(columns), "context_columns": _columns(context_columns), "key": key}
        report = check_folder(run, source, seed=seed, **given)
    console.print(str(report), markup=False)
    if not report.holds:
        what = "the flow is a density, and these rows have another law" if report.is_density else "its density is wrong"
        print(f"tfp-flows: {run} fails {', '.join(report.failed)}: {what}.", file=sys.stderr)
        raise typer.Exit(1)


@app.command(cls=OnceCommand)
def plot(run: Folder) -> None:
    """Draw a run's figures again, and the film from latent to data."""
    from tfp_flows.runs import Run

    _draw(Run.open(run), film=True)
    status.print(f"figures in {run / 'figures'}")


@app.command(cls=OnceCommand)
def export(
    run: Folder, out: Annotated[Path, typer.Option(help="Folder to make for the SavedModel.")], force: Force = False
) -> None:
    """Write a SavedModel that plain TensorFlow loads: log_prob, sample, encode, decode."""
    from tfp_flows.runs import Run

    _check_folder(out)
    flow = Run.open(run).flow
    if out.exists() and not force:
        raise InputError(f"out {out} exists; choose another folder, or force=True to write over it.")
    flow.export(out)
    status.print(f"the SavedModel is in {out}")


@app.command("list", cls=OnceCommand)
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


@app.command(cls=OnceCommand)
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

    with status.status("Blender is at work …"):
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
    status.print(f"the cloud is in {path}")


def _finish(run: "Run") -> None:
    """Prints what was measured, draws, and says where everything is; exit status 1 if a figure failed."""
    if run.metrics:
        console.print(_measured(run.metrics, "held-out row"))
    try:
        _draw(run)
    except InputError as error:  # the training has ended well: rows that are gone now cost its figures alone
        print(f"tfp-flows: figures were not drawn: {_in_options(str(error))}", file=sys.stderr)
        raise typer.Exit(1) from error
    finally:
        console.print(f"weights, metrics and figures are in {run.folder}")


def _check_folder(out: Path | None) -> None:
    """Raises `InputError` for -, which stands for stdout where a table is written."""
    if out == Path("-"):
        raise InputError("out is -, and what is made is a folder: give it a name.")


def _draw(run: "Run", *, film: bool = False) -> None:
    with status.status("drawing …"):
        failed = run.draw(film=film)
    for sentence in failed:
        print(f"tfp-flows: {_in_options(sentence)}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


@contextlib.contextmanager
def _ended_by_signals(folder: Path | None) -> Iterator[None]:
    """A training that Ctrl-C or SIGTERM has ended is said to have been, with what is measured of it.

    Here, as Typer has an answer of its own to KeyboardInterrupt.
    """
    from tfp_flows.runs import Run

    try:
        yield
    except TrainingInterrupted as stop:
        metrics = (
            Run.open(folder).metrics if folder and stop.signal == 2 and stop.history.best_epoch is not None else {}
        )
        if metrics:
            console.print(_measured(metrics, "held-out row"))
        _refuse(str(stop), 128 + stop.signal)


def _measured(metrics: dict[str, Any], row: str) -> str:
    """One line: the loss, where it is known its distance from the floor, and the time."""
    error = f" ± {metrics['standard_error']:.4f}" if "standard_error" in metrics else ""
    if "kl" in metrics:
        line = f"KL(student, teacher) {metrics['kl']:.4f}{error} nats on {plural(metrics['rows'], 'sample')} of the "
        line += "student's"
        if "kl_teacher_student" in metrics:  # runs of version 0.1 have none
            back, error = metrics["kl_teacher_student"], metrics["standard_error_teacher_student"]
            line += f"; KL(teacher, student) {back:.4f} ± {error:.4f} on as many of the teacher's"
    else:
        at_most = "at most " if metrics.get("is_bound") else ""
        line = f"NLL {at_most}{metrics['nll']:.4f}{error} nats on {plural(metrics['rows'], row)} (lower is better)"
    if "impossible" in metrics:
        first, count = metrics["first_impossible"], metrics["impossible"]
        line += f"; the log p of {plural(count, 'row')} is -inf, the first is row {first}"
    if "gap" in metrics:
        line += f"; gap to the entropy {metrics['gap']:.4f}"
    return line + (f"; {metrics['seconds']:.0f} s" if "seconds" in metrics else "")


def _chain_options(**options: Any) -> dict[str, Any]:
    """The options of a chain that are given, as its function takes them."""
    options = {name: value for name, value in options.items() if value is not None}
    if "base" in options:
        from tfp_flows.checks import check_choice

        check_choice("base", options["base"], BASES)
    for name in ("hidden_units", "octaves"):
        if name in options:
            options[name] = _integers(name, options[name])
    return options


def _check_taken(flow: str | None, options: dict[str, Any]) -> None:
    """Raises `InputError` for an option that the chain does not have."""
    if not options:
        return
    import inspect

    import tfp_flows as tff

    flow = flow or inspect.signature(tff.Run.train).parameters["flow"].default
    if flow not in tff.flows.names():
        return  # what there is, is said where it is built
    taken = inspect.signature(getattr(tff, flow)).parameters
    odd = [name for name in options if name not in taken]
    if odd:
        params = {param.name: param.opts[0] for param in typer.main.get_command(app).commands["train"].params}
        known = ", ".join(params[name] for name in CHAIN if name in taken)
        raise InputError(f"{params.get(odd[0], odd[0])} is no option of {flow}, which takes {known}.")


def _integers(name: str, text: str) -> int | list[int]:
    """Sizes with commas between them; a number of octaves may stand for itself."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        form = "integers with commas between them, as in 64,64" if name == "hidden_units" else "an integer, or several"
        raise InputError(f"{name} must be {form}; got {in_short(text)}.") from error
    return numbers[0] if name == "octaves" and len(numbers) == 1 else numbers


def _columns(text: str | None) -> list[str | int] | None:
    """Names and numbers, with commas between them."""
    if text is None:
        return None
    return [int(part) if part.strip().isdecimal() else part.strip() for part in text.split(",")]


def _support(texts: list[str] | None) -> dict[str, tuple[float | None, float | None]] | None:
    """`name:low:high`, where either end may be empty and a name may have colons itself."""
    if not texts:
        return None
    found = {}
    for text in texts:
        name, *ends = text.rsplit(":", 2)
        try:
            pair = tuple(float(end) if end.strip() else None for end in ends)
        except ValueError:
            pair = ()
        if len(pair) != 2 or not name.strip() or not all(end is None or abs(end) < float("inf") for end in pair):
            raise InputError(f"{SUPPORT_FORM}; got {in_short(text)}.")
        _check_new("support", name.strip(), found)
        found[name.strip()] = pair
    return found


def _circular(texts: list[str] | None) -> dict[str, float | tuple[float, float]] | None:
    """`name:period` or `name:low:high`, where a name may have colons itself."""
    found = {}
    for text in texts or ():
        parts = text.rsplit(":", 2)
        is_pair = len(parts) == 3 and _number(parts[1]) is not None
        name, *numbers = parts if is_pair else text.rsplit(":", 1)
        ends = [_number(number) for number in numbers]
        if not ends or None in ends or not name.strip():
            raise InputError(
                f"circular must be NAME:PERIOD or NAME:LOW:HIGH, as in hour:24 or angle:-180:180; got {text!r}."
            )
        _check_new("circular", name.strip(), found)
        found[name.strip()] = tuple(ends) if is_pair else ends[0]
    return found or None


def _check_new(option: str, name: str, found: dict[str, Any]) -> None:
    if name in found:
        raise InputError(f"{option} must have one entry for each column; got {in_short(name)}, which has two.")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@contextlib.contextmanager
def _names_with_colons(texts: list[str] | None) -> Iterator[None]:
    """Of a name that no column has, and that has a colon, it is said what form was expected: it may be an end."""
    try:
        yield
    except InputError as error:
        for text in texts or ():
            name = text.rsplit(":", 2)[0].strip()
            if ":" in name and str(error).startswith(f"support has {in_short(name)};"):
                has = f"there is no column {in_short(name)}"
                raise InputError(f"{SUPPORT_FORM}; got {in_short(text)}, and {has}.") from error
        raise


@contextlib.contextmanager
def _readable(data: str | None) -> Iterator[str | None]:
    """The name of what `--data` or `--context` means: for -, of a file with what comes on stdin."""
    if data != "-":
        yield data
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder).resolve() / "stdin.csv"
        path.write_bytes(sys.stdin.buffer.read())
        try:
            yield str(path)
        except InputError as error:
            raise InputError(str(error).replace(str(path), "stdin")) from error


@contextlib.contextmanager
def _writable(out: str) -> Iterator[Path]:
    """The path of what `--out` means: for -, of a CSV file that goes to stdout."""
    if out != "-":
        yield Path(out)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdout.csv"
        yield path
        sys.stdout.write(path.read_text(encoding="utf-8"))
        sys.stdout.flush()


def _write(path: Path, rows: "np.ndarray | Table", *, header: list[str] | None = None, force: bool) -> None:
    """Writes rows, with the header where the kind of file has a place for one."""
    from tfp_flows import datasets

    has_place = path.suffix.lower() != ".npy"
    datasets.write_rows(path, rows, header=header if has_place else None, force=force)

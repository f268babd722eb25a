"""The command `qtaml`: parse, call, show."""

import sys
import warnings
from typing import Annotated, Any

import typer

from qtaml import __version__
from qtaml.cli import (
    compensate,
    cost,
    demo,
    design,
    device,
    evaluate,
    explore,
    export,
    inspect_file,
    predict,
    protect,
    readback,
    report,
    rewrite,
    sweep,
    tune,
    verify,
)
from qtaml.device import ExtrapolationWarning
from qtaml.errors import BudgetError, QtamlError, StoredFileError

EXIT_CODES = (
    "Exit codes: 0 done, 1 unexpected failure, 2 bad arguments or inputs, 3 budget below the least one, "
    "4 a file is missing, damaged or foreign, 130 interrupted."
)

app = typer.Typer(
    help="How to store a neural network in a memory whose cells leak by quantum tunnelling.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    # An unexpected failure shows Python's own traceback, complete, which is what a report needs.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"qtaml {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """What stands before the name of a command."""


app.add_typer(device.app, name="device")
app.command("sweep")(sweep.sweep_command)


app.command("inspect")(inspect_file.inspect_command)
app.command("protect")(protect.protect_command)
app.command("demo")(demo.demo_command)
app.command("compensate")(compensate.compensate_command)
app.command("design")(design.design_command)
app.command("cost")(cost.cost_command)
app.command("tune")(tune.tune_command)
app.command("predict")(predict.predict_command)
app.command("evaluate")(evaluate.evaluate_command)
app.command("export")(export.export_command)
app.command("verify")(verify.verify_command)
app.command("readback")(readback.readback_command)
app.command("rewrite")(rewrite.rewrite_command)
app.command("report")(report.report_command)
app.command("explore")(explore.explore_command)


def main() -> None:
    """Run the command line; errors that qtaml raises on purpose become one line and an exit code."""
    warnings.formatwarning = _as_line
    try:
        app()
    # Anything else is a defect: its traceback is shown, and Python ends with 1.
    except QtamlError as error:
        typer.echo(f"qtaml: {_printable(str(error))}", err=True)
        sys.exit(exit_code(error))


_python_warning = warnings.formatwarning


def _as_line(message: Warning | str, category: type[Warning], *where: Any, **line: Any) -> str:
    """A warning for a terminal: what is meant for whoever asked stands without the place in the source."""
    if issubclass(category, ExtrapolationWarning):
        return f"caution: the {message}\n"
    return _python_warning(message, category, *where, **line)


def _printable(text: str) -> str:
    """A text for a terminal, control characters escaped: names from files and models may hold some."""
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)


def exit_code(error: QtamlError) -> int:
    """The exit code that tells what kind of error ended a command."""
    return 3 if isinstance(error, BudgetError) else 4 if isinstance(error, StoredFileError) else 2

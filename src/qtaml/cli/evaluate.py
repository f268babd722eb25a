"""`qtaml evaluate`: a metric of a stored network over independent reads."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from qtaml.cli.fault_option import DeviceOption, FaultOption, ReadProbabilityOption, WindowOption, another_fault
from qtaml.cli.metric_options import TEST_HELP, BatchSizeOption, MetricOption, TestData, chosen_metric
from qtaml.cli.options import JsonOption, LengthOption, SeedOption, StoredArgument, StoredModelOption, WeightsOption
from qtaml.cli.stored import load_stored
from qtaml.errors import ArgumentError
from qtaml.measuring import Yield, as_perplexity, evaluate
from qtaml.memory import read_artifact
from qtaml.model import returning
from qtaml.showing import panels_figure, save_figure


def evaluate_command(
    stored: StoredArgument,
    test: Annotated[Path, typer.Option(help=TEST_HELP)],
    metric: MetricOption = "accuracy",
    model: StoredModelOption = None,
    weights: WeightsOption = None,
    length: LengthOption = 128,
    trials: Annotated[
        int | None, typer.Option(help="The most reads of the memory (30 if not given), or reads of each chip (5).")
    ] = None,
    chips: Annotated[
        int | None, typer.Option(help="Measure each of so many chips: which share of them is good.", min=1)
    ] = None,
    above: Annotated[
        float | None, typer.Option(help="With --chips: the share of chips whose metric is at least this.")
    ] = None,
    rewrite: Annotated[
        bool,
        typer.Option(
            "--rewrite",
            help="Write each chip anew, knowing its weak cells; without --chips, each read is of another.",
        ),
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="With --chips: draw the share of chips over the metric (needs qtaml[plot]).")
    ] = None,
    p: ReadProbabilityOption = None,
    fault: FaultOption = None,
    device: DeviceOption = None,
    window: WindowOption = None,
    stop_width: Annotated[
        float | None,
        typer.Option(help="Stop when the interval over reads is not wider than this (perplexity: in nats)."),
    ] = None,
    batch_size: BatchSizeOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure a stored network over independent reads of the leaking memory, or chip by chip."""
    read_under = another_fault(p, fault, device, window)
    if chips is None and (above is not None or picture is not None):
        raise ArgumentError(f"--above and --picture need --chips, got {above} and {picture}")
    memory, network, spec = load_stored(read_artifact(stored), model, weights)
    if (output := getattr(memory.plan.settings, "output", None)) is not None:
        # What counted for the plan counts for its metric: the memory copies the network with it.
        returning(network, output)
    measured = chosen_metric(metric, TestData(test, spec, length, batch_size), network, memory)
    written = network if rewrite else None
    if chips is not None:
        if stop_width is not None:
            raise ArgumentError(f"--stop-width must be left out where --chips are given, got {stop_width:g}")
        found = evaluate(memory, measured, trials=trials, fault=read_under, seed=seed, chips=chips, rewrite=written)
        _show_chips(as_perplexity(found) if metric == "perplexity" else found, metric, above, picture, as_json=as_json)
        return
    asked: dict[str, Any] = {"trials": trials, "fault": read_under, "seed": seed, "rewrite": written}
    result = evaluate(memory, measured, stop_width=stop_width, **asked)
    # Measured in nats, in which a mean over reads is meaningful, and shown as perplexity.
    if metric == "perplexity":
        result = as_perplexity(result)
    typer.echo(result.to_json() if as_json else f"{metric} {result}", nl=not as_json)


def _show_chips(result: Yield, metric: str, above: float | None, picture: Path | None, *, as_json: bool) -> None:
    if picture is not None:
        picture = save_figure(panels_figure([result.panel(metric)]), picture)
        typer.echo(f"picture: {picture}", err=as_json)
    if not as_json:
        Console().print(result.table(above))
        return
    if above is not None:
        typer.echo(f"share of at least {above:g}: {result.share_above(above):.3f}", err=True)
    typer.echo(result.to_json(), nl=False)

"""`qtaml evaluate`: a metric of a stored network over independent reads."""

from pathlib import Path
from typing import Annotated

import typer

from qtaml.cli.fault_option import FaultOption, ReadProbabilityOption, another_fault
from qtaml.cli.metric_options import TEST_HELP, BatchSizeOption, MetricOption, TestData, chosen_metric
from qtaml.cli.options import JsonOption, LengthOption, SeedOption, StoredArgument, StoredModelOption, WeightsOption
from qtaml.cli.stored import load_stored
from qtaml.measuring import as_perplexity, evaluate
from qtaml.memory import read_artifact


def evaluate_command(
    stored: StoredArgument,
    test: Annotated[Path, typer.Option(help=TEST_HELP)],
    metric: MetricOption = "accuracy",
    model: StoredModelOption = None,
    weights: WeightsOption = None,
    length: LengthOption = 128,
    trials: Annotated[int, typer.Option(help="The most reads of the memory.")] = 30,
    p: ReadProbabilityOption = None,
    fault: FaultOption = None,
    stop_width: Annotated[
        float | None,
        typer.Option(help="Stop when the interval over reads is not wider than this (perplexity: in nats)."),
    ] = None,
    batch_size: BatchSizeOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure a stored network over independent reads of the leaking memory."""
    read_under = another_fault(p, fault)
    memory, network, spec = load_stored(read_artifact(stored), model, weights)
    measured = chosen_metric(metric, TestData(test, spec, length, batch_size), network, memory)
    result = evaluate(memory, measured, trials=trials, fault=read_under, seed=seed, stop_width=stop_width)
    # Measured in nats, in which a mean over reads is meaningful, and shown as perplexity.
    if metric == "perplexity":
        result = as_perplexity(result)
    typer.echo(result.to_json() if as_json else f"{metric} {result}", nl=not as_json)

"""`qtaml readback`: a dump of a hardware memory, its error rates, and the network that it holds."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from qtaml.cli.dumps import DumpWidthOption, read_dump
from qtaml.cli.metric_options import TEST_HELP, BatchSizeOption, MetricName, MetricOption, TestData, chosen_metric
from qtaml.cli.options import JsonOption, LengthOption, StoredArgument, StoredModelOption, WeightsOption
from qtaml.cli.stored import load_stored
from qtaml.measuring import Estimate, ObservedRate, measure, observed_errors, perplexity
from qtaml.memory import read_artifact


def readback_command(
    stored: StoredArgument,
    dump: Annotated[
        Path, typer.Argument(help="What the memory gave back: .bin, or text of $writememh (.mem, .hex or .txt).")
    ],
    word_bits: DumpWidthOption = None,
    test: Annotated[Path | None, typer.Option(help=TEST_HELP + " Without them only bits are compared.")] = None,
    metric: MetricOption = "accuracy",
    model: StoredModelOption = None,
    weights: WeightsOption = None,
    length: LengthOption = 128,
    batch_size: BatchSizeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a memory dump with the stored network: error rates of each bit position, and the network it holds."""
    artifact = read_artifact(stored)
    words = read_dump(dump, artifact.plan, word_bits)
    estimate = None
    if test is not None:
        memory, network, spec = load_stored(artifact, model, weights)
        chosen = chosen_metric(metric, TestData(test, spec, length, batch_size), network, memory)
        # The dump is the read: drawing errors as well (a seed) would count them twice.
        estimate = measure(memory.with_words(words).model(seed=None), chosen)
        if metric == "perplexity":
            # After averaging: the interval is that of the mean log-likelihood, and exp is increasing.
            estimate = estimate.mapped(perplexity)
    rows = observed_errors(artifact, words)
    if as_json:
        typer.echo(_as_json(rows, metric, estimate))
        return
    # As wide as the table: at the width of a terminal, or 80 in a pipe, Rich would fold the numbers.
    Console(width=146).print(rows.table())
    if estimate is not None:
        typer.echo(f"{metric} {estimate} (95% over {estimate.covers})")


def _as_json(rows: Sequence[ObservedRate], metric: MetricName, estimate: Estimate | None) -> str:
    observed = [asdict(row) | {"rate": row.rate} for row in rows]
    measured = None
    if estimate is not None:
        measured = {"metric": metric, "mean": estimate.value, "low": estimate.low, "high": estimate.high}
    return json.dumps({"bits": observed, "network": measured}, indent=2)

"""`qtaml report`: one HTML page about stored networks."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from torch import nn

from qtaml.cli.metric_options import TEST_HELP, BatchSizeOption, MetricOption, TestData, chosen_metric
from qtaml.cli.options import JsonOption, LengthOption, SeedOption, StoredModelOption, WeightsOption
from qtaml.cli.stored import load_stored
from qtaml.errors import ArgumentError
from qtaml.measuring import Metric
from qtaml.memory import Artifact, Memory, differences, read_artifact
from qtaml.showing import report

_LESS_IS_BETTER = ("perplexity", "kl")
_MEASURED_IN = {
    "perplexity": "negative log-likelihood (nats)",
    "kl": "divergence (nats)",
    "cosine": "cosine of outputs",
}


def report_command(
    stored: Annotated[list[Path], typer.Argument(help="Folders that `qtaml compensate` or `qtaml design` wrote.")],
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("report.html"),
    test: Annotated[Path | None, typer.Option(help=TEST_HELP + " Without them nothing is measured.")] = None,
    metric: MetricOption = "accuracy",
    model: StoredModelOption = None,
    weights: WeightsOption = None,
    length: LengthOption = 128,
    trials: Annotated[int, typer.Option(help="Reads of each measurement.", min=2)] = 30,
    chips: Annotated[int, typer.Option(help="Chips that are measured; 0 for none.", min=0)] = 60,
    bar: Annotated[
        float | None, typer.Option(help="What a good chip reaches; 5% off the metric without errors if not given.")
    ] = None,
    batch_size: BatchSizeOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Write one HTML page about stored networks: cells, metric, chips, reserve, tensors. It needs no server.

    With --model and --test the networks are measured, compared, and held against baselines; else the page shows what
    their plans say. --json prints every number of the page.
    """
    if test is not None and model is None:
        raise ArgumentError(f"--test needs the network: name it with --model, got {test}")
    artifacts = {name: read_artifact(path) for name, path in zip(_names(stored), stored, strict=True)}
    memories: dict[str, Memory | Artifact] = dict(artifacts)
    network: nn.Module | None = None
    measured: Metric | None = None
    if model is not None:
        for name, artifact in artifacts.items():
            memory, network, spec = load_stored(artifact, model, weights)
            memories[name] = memory
            if test is not None and measured is None:
                measured = chosen_metric(metric, TestData(test, spec, length, batch_size), network, memory)
    found = report(
        memories,
        measured,
        model=network if network is not None and _is_trained(memories, network) else None,
        metric_name=_MEASURED_IN.get(metric, metric),
        better="lower" if metric in _LESS_IS_BETTER else "higher",
        bar=bar,
        trials=trials,
        chips=chips,
        seed=seed,
        out=out,
        command=shlex.join(["qtaml", *sys.argv[1:]]),
    )
    typer.echo(found.to_json() if as_json else f"report: {out}", nl=not as_json)
    for missing in () if as_json else found.missing:
        typer.echo(missing)


def _names(paths: list[Path]) -> list[str]:
    """The folders by their last names, or in full where two are alike."""
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise ArgumentError(f"STORED must be different folders, got {', '.join(names)}")
    return names


def _is_trained(memories: dict[str, Memory | Artifact], network: nn.Module) -> bool:
    """Whether all stored networks are made of these weights: a factory may give untrained ones."""
    return not any(differences(memory, network) for memory in memories.values() if isinstance(memory, Memory))

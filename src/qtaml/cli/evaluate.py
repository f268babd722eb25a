"""`qtaml evaluate`: a metric of a stored network over independent reads."""

from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from torch import nn

from qtaml.cli.inputs import load_data, load_labelled, load_model, stored_spec
from qtaml.cli.options import JsonOption, LengthOption, SeedOption, WeightsOption
from qtaml.errors import ArgumentError, ModelError
from qtaml.evaluate import (
    Accuracy,
    Agreement,
    NegativeLogLikelihood,
    OutputCosine,
    OutputDivergence,
    SampleMetric,
    as_perplexity,
    check_causal,
    evaluate,
)
from qtaml.faults import Uniform
from qtaml.memory import Memory, load, read_manifest, store

MetricName = Literal["accuracy", "perplexity", "agreement", "kl", "cosine"]
_SIMILARITIES: dict[str, type[Agreement | OutputDivergence | OutputCosine]] = {
    "agreement": Agreement,
    "kl": OutputDivergence,
    "cosine": OutputCosine,
}


def evaluate_command(
    stored: Annotated[Path, typer.Argument(help="Folder that `qtaml compensate` or `qtaml design` wrote.")],
    test: Annotated[Path, typer.Option(help="Test inputs, and 'labels' for accuracy: .npz, .safetensors, or text.")],
    metric: Annotated[
        MetricName,
        typer.Option(
            help="accuracy; perplexity of a language model; or, against the clean network: agreement of the largest "
            "output, kl (divergence of class probabilities, nats), cosine of the outputs."
        ),
    ] = "accuracy",
    model: Annotated[
        str | None, typer.Option(help="The network: needed if it came from a factory, or was moved.")
    ] = None,
    weights: WeightsOption = None,
    length: LengthOption = 128,
    trials: Annotated[int, typer.Option(help="The most reads of the memory.")] = 30,
    p: Annotated[float | None, typer.Option("--p", help="Another flip probability than the plan's.")] = None,
    stop_width: Annotated[
        float | None,
        typer.Option(help="Stop when the interval over reads is not wider than this (perplexity: in nats)."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples that go through the network at once.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure a stored network over independent reads of the leaking memory."""
    spec = stored_spec(model, read_manifest(stored).source)
    network = load_model(spec, weights)
    memory = load(stored, network)
    if metric == "accuracy":
        measured: SampleMetric = Accuracy(*load_labelled(test, spec, length), batch_size=batch_size)
    elif metric == "perplexity":
        measured = _likelihood(network, test, spec, length, batch_size)
    else:
        _check_clean(network, memory)
        measured = _SIMILARITIES[metric](network, load_data(test, spec, length)[0], batch_size=batch_size)
    fault = None if p is None else Uniform(p)
    result = evaluate(memory, measured, trials=trials, fault=fault, seed=seed, stop_width=stop_width)
    if metric == "perplexity":
        result = as_perplexity(result)
    typer.echo(result.to_json() if as_json else f"{metric} {result}", nl=not as_json)


def _likelihood(
    network: nn.Module, test: Path, spec: str, length: int, batch_size: int | None
) -> NegativeLogLikelihood:
    tokens, _ = load_data(test, spec, length)
    if not isinstance(tokens, torch.Tensor):
        raise ArgumentError(f"{test} must hold one array, of tokens, for perplexity, got {', '.join(map(str, tokens))}")
    metric = NegativeLogLikelihood(tokens, batch_size=batch_size)
    check_causal(network, tokens)
    return metric


def _check_clean(network: nn.Module, memory: Memory) -> None:
    """Check that a network is the stored one, to which reads can be compared."""
    again = store(network, memory.plan)
    words = ((tensor.words, again.tensors[name].words) for name, tensor in memory.tensors.items())
    rest = ((tensor, again.rest[name]) for name, tensor in memory.rest.items())
    if not all(torch.equal(one, other) for pairs in (words, rest) for one, other in pairs):
        raise ModelError(
            "the network has other weights than the stored one, with which reads are compared: name the right one with "
            "--model and --weights"
        )

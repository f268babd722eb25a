"""The metrics that the command line offers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from torch import nn

from qtaml.cli.inputs import load_data, load_labelled
from qtaml.errors import ArgumentError, ModelError
from qtaml.measuring import (
    Accuracy,
    Agreement,
    NegativeLogLikelihood,
    OutputCosine,
    OutputDivergence,
    SampleMetric,
    check_causal,
)
from qtaml.memory import Memory, differences

MetricName = Literal["accuracy", "perplexity", "agreement", "kl", "cosine"]
MetricOption = Annotated[
    MetricName,
    typer.Option(
        help="accuracy; perplexity of a language model; or, against the clean network: agreement of the largest "
        "output, kl (divergence of class probabilities, nats), cosine of the outputs."
    ),
]
BatchSizeOption = Annotated[int | None, typer.Option(help="Samples that go through the network at once.")]
TEST_HELP = "Test inputs, and 'labels' for accuracy: .npz, .safetensors, or text."

_SIMILARITIES: dict[str, type[Agreement | OutputDivergence | OutputCosine]] = {
    "agreement": Agreement,
    "kl": OutputDivergence,
    "cosine": OutputCosine,
}


@dataclass(frozen=True)
class TestData:
    """Where test data come from.

    Attributes:
        path: a file, as `load_data` takes it.
        model: the network as the command line names it.
        length: tokens of a sample of a text.
        batch_size: samples that go through the network at once; None for all.
    """

    path: Path
    model: str
    length: int
    batch_size: int | None


def chosen_metric(name: MetricName, data: TestData, network: nn.Module, memory: Memory | None = None) -> SampleMetric:
    """The metric of this name; for perplexity the negative log-likelihood, of which `as_perplexity` is taken later.

    Args:
        name: its name.
        data: the test data.
        network: the network that was stored, to which reads are compared by some metrics.
        memory: the stored network; None where the network is not that of another file.

    Raises:
        ArgumentError: if the data do not fit the metric.
        StoredFileError: if they cannot be read.
        ModelError: if the network has other weights than the stored one and the metric compares with it, or it is no
            causal language model and perplexity is asked.
    """
    if name == "accuracy":
        return Accuracy(*load_labelled(data.path, data.model, data.length), batch_size=data.batch_size)
    inputs, _ = load_data(data.path, data.model, data.length)
    if name == "perplexity":
        if not isinstance(inputs, torch.Tensor):
            raise ArgumentError(
                f"{data.path} must hold one array, of tokens, for perplexity, got {', '.join(map(str, inputs))}"
            )
        likelihood = NegativeLogLikelihood(inputs, batch_size=data.batch_size)
        # A model that sees the next token gives a perplexity near 1, which looks excellent.
        check_causal(network, inputs)
        return likelihood
    # Against another network any similarity would be a number, and none would mean anything.
    if memory is not None and differences(memory, network):
        raise ModelError(
            "the network has other weights than the stored one, with which reads are compared: name the right one with "
            "--model and --weights"
        )
    return _SIMILARITIES[name](network, inputs, batch_size=data.batch_size)

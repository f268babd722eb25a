"""Reads per second of `qtaml.evaluate` next to the plain loop, on the five networks of the paper.

The plain loop is what a user would write: for each read a mask of eight Bernoulli planes, XOR, a copy of the model,
decoded weights put into it, and its accuracy on the test set. Both run the same forward passes, `evaluate` several of
them beside each other; the time of one is shown beside. Both may use all threads of torch. The networks are untrained:
their time is that of trained ones.
"""

import copy
from collections.abc import Callable

import torch
from torch import nn

import qtaml
from benchmarks.harness import Measurement, medians, threads
from qtaml.model import stored_weights
from qtaml.networks import NETWORKS, Data

READS = (10, 30, 100, 300)
SAMPLES = (16, 64, 360)
_PER_EVALUATION = 30


class PlainLoop:
    """The plain way to read a network: words of offset binary, one scale for each tensor."""

    def __init__(self, model: nn.Module, p: float, inputs: torch.Tensor, labels: torch.Tensor) -> None:
        self.model, self.p, self.inputs, self.labels = model, p, inputs, labels
        self.scales = {name: weight.abs().max() for name, weight in stored_weights(model).items()}
        self.words = {
            name: ((weight / self.scales[name] + 1) * 127.5).round().to(torch.uint8)
            for name, weight in stored_weights(model).items()
        }

    def masked(self) -> dict[str, torch.Tensor]:
        """The words with errors."""
        read = {}
        for name, words in self.words.items():
            mask = torch.zeros_like(words)
            for bit in range(8):
                mask |= (torch.rand(words.shape) < self.p).to(torch.uint8) << bit
            read[name] = words ^ mask
        return read

    def decoded(self, read: dict[str, torch.Tensor]) -> nn.Module:
        """A copy of the model with the weights that the words stand for."""
        model = copy.deepcopy(self.model)
        state = model.state_dict()
        for name, words in read.items():
            state[name].copy_((words.float() / 127.5 - 1) * self.scales[name])
        return model

    def accuracy(self, model: nn.Module) -> float:
        """Share of right answers."""
        with torch.no_grad():
            return float((model(self.inputs).argmax(1) == self.labels).double().mean())

    def read(self) -> float:
        """One read."""
        return self.accuracy(self.decoded(self.masked()))


def network(name: str) -> tuple[nn.Module, Data]:
    """A network of the paper, untrained, and its data."""
    torch.manual_seed(0)
    return NETWORKS[name].build().eval(), NETWORKS[name].data()


def of_network(name: str, repetitions: int) -> list[Measurement]:
    """Seconds of one read of a network, by the plain loop and by `qtaml.evaluate`, and of its forward pass alone."""
    model, data = network(name)
    p, inputs, labels = NETWORKS[name].p, data.test_inputs, data.test_labels
    plain = PlainLoop(model, p, inputs, labels)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=p, protected_bits=0))
    metric, ready, read = qtaml.Accuracy(inputs, labels), plain.masked(), memory.copy_of_model()
    seconds = dict(
        zip(
            ("plain", "masks", "copy", "forward", "evaluate", "read"),
            medians(
                [
                    plain.read,
                    plain.masked,
                    lambda: plain.decoded(ready),
                    lambda: plain.accuracy(model),
                    lambda: qtaml.evaluate(memory, metric, trials=_PER_EVALUATION),
                    lambda: memory.read_into(read, seed=0),
                ],
                repetitions,
            ),
            strict=True,
        )
    )
    with threads(1):
        alone, forward = medians([plain.read, lambda: plain.accuracy(model)], repetitions)
    split = ", ".join(f"{part} {1e3 * seconds[part]:.2f} ms" for part in ("masks", "copy", "forward"))
    weights = memory.plan.weights
    return [
        Measurement(
            "reads",
            f"{name}: read and evaluate",
            weights,
            "weights of a network",
            seconds["evaluate"] / _PER_EVALUATION,
            "plain loop",
            seconds["plain"],
            f"plain loop: {split}",
        ),
        Measurement(
            "reads",
            f"{name}: read alone",
            weights,
            "weights of a network",
            seconds["read"],
            "plain masks and copy",
            seconds["masks"] + seconds["copy"],
        ),
        Measurement(
            "reads",
            f"{name}: forward pass alone",
            weights,
            "weights of a network",
            seconds["forward"],
            "plain loop",
            seconds["plain"],
            "the most that one read after the other could gain",
        ),
        Measurement(
            "reads",
            f"{name}: read and evaluate",
            weights,
            "weights of a network",
            seconds["evaluate"] / _PER_EVALUATION,
            "plain loop, 1 thread",
            alone,
            f"of which its forward pass {1e3 * forward:.2f} ms",
        ),
    ]


def growth(counts: tuple[int, ...], samples: tuple[int, ...], repetitions: int) -> list[Measurement]:
    """Growth with reads, and with samples of 32 reads, of the smallest network; few samples share forward passes."""
    model, data = network("SmallCNN")
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=0))
    rows = []
    for unit, settings in (
        ("reads", [(reads, samples[0], reads) for reads in counts]),
        ("samples", [(number, number, 32) for number in samples]),
    ):
        for size, number, reads in settings:
            inputs, labels = data.test_inputs[:number], data.test_labels[:number]
            plain, metric = PlainLoop(model, 0.1, inputs, labels), qtaml.Accuracy(inputs, labels)
            own, reference = medians(
                [
                    lambda metric=metric, reads=reads: qtaml.evaluate(memory, metric, trials=reads),
                    lambda plain=plain, reads=reads: repeated(plain.read, reads),
                ],
                repetitions,
            )
            rows.append(Measurement(f"SmallCNN, {unit}", "evaluate", size, unit, own, "plain loop", reference))
    return rows


def repeated(function: Callable[[], object], times: int) -> None:
    """Call a function so many times."""
    for _ in range(times):
        function()


def measure(quick: bool = False) -> list[Measurement]:
    """Reads of the five networks, and growth with reads and samples."""
    if quick:
        return of_network("SmallCNN", 1) + growth((2, 3, 4), (4, 8, 16), 1)
    return [row for name in NETWORKS for row in of_network(name, 7)] + growth(READS, SAMPLES, 3)

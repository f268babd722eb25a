"""Reads per second of `qtaml.evaluate` next to the plain loop, on the five networks of the paper.

The plain loop is what a user would write: for each read a mask of eight Bernoulli planes, XOR, a copy of the model,
decoded weights put into it, and its accuracy on the test set. Both run the same forward passes, `evaluate` several of
them beside each other; the time of one is shown beside. Both may use all threads of torch. The networks are untrained:
their time is that of trained ones.
"""

import copy
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

import qtaml
from benchmarks.harness import Measurement, medians, threads
from qtaml.model import operations, stored_weights
from qtaml.networks import NETWORKS, Data

READS = (10, 30, 100, 300)
SAMPLES = (4, 16, 64, 360)
_FEW = (16, 64)
_PER_EVALUATION = 100
_SIDE = 1024


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


def of_network(name: str, samples: Sequence[int], repetitions: int, compiler: str = "inductor") -> list[Measurement]:
    """Seconds of one read of a network, by `qtaml.evaluate` and by the plain loop, and of its parts.

    Args:
        name: of the network.
        samples: sizes of test sets; the whole one comes on top.
        repetitions: how often each is timed.
        compiler: backend of `torch.compile`.
    """
    model, data = network(name)
    p, inputs, labels = NETWORKS[name].p, data.test_inputs, data.test_labels
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=p, protected_bits=0))
    rows = []

    def row(what: str, seconds: float, reference: str, reference_seconds: float, note: str = "") -> None:
        weights = memory.plan.weights
        rows.append(
            Measurement(
                "reads", f"{name}: {what}", weights, "weights of a network", seconds, reference, reference_seconds, note
            )
        )

    def reads(memory: qtaml.Memory, metric: qtaml.Accuracy) -> Callable[[], object]:
        return lambda: qtaml.evaluate(memory, metric, trials=_PER_EVALUATION)

    for number in samples:
        few = inputs[:number], labels[:number]
        plain = PlainLoop(model, p, *few)
        own, loop = medians([reads(memory, qtaml.Accuracy(*few)), plain.read], repetitions)
        row(f"{number} samples", own / _PER_EVALUATION, "plain loop", loop)
    plain, metric = PlainLoop(model, p, inputs, labels), qtaml.Accuracy(inputs, labels)
    compiled = qtaml.store(torch.compile(model, backend=compiler), memory.plan)
    begun = time.perf_counter()
    reads(compiled, metric)()
    first = time.perf_counter() - begun
    ready, read = plain.masked(), memory.reader(memory.copy_of_model())
    own, faster, loop, masks, copies, forward, alone = medians(
        [
            reads(memory, metric),
            reads(compiled, metric),
            plain.read,
            plain.masked,
            lambda: plain.decoded(ready),
            lambda: plain.accuracy(model),
            lambda: read(0),
        ],
        repetitions,
    )
    parts = f"masks {1e3 * masks:.2f} ms, copy {1e3 * copies:.2f} ms, forward {1e3 * forward:.2f} ms"
    row(f"{len(labels)} samples", own / _PER_EVALUATION, "plain loop", loop, f"plain loop: {parts}")
    seconds = first - faster
    row(
        f"{len(labels)} samples, torch.compile",
        faster / _PER_EVALUATION,
        "plain loop",
        loop,
        f"compiled once in {seconds:.1f} s",
    )
    row("read alone", alone, "plain masks and copy", masks + copies)
    square = torch.randn(_SIDE, _SIDE)
    with threads(1):
        loop, forward, product = medians(
            [plain.read, lambda: plain.accuracy(model), lambda: square @ square], repetitions
        )
    row(f"{len(labels)} samples", own / _PER_EVALUATION, "plain loop, 1 thread", loop)
    least = operations(model, inputs) * product / (2 * _SIDE**3)
    row("forward pass, 1 thread", forward, "a matrix product of as many operations", least)
    return rows


def growth(counts: tuple[int, ...], samples: tuple[int, ...], repetitions: int) -> list[Measurement]:
    """Growth with reads, and with samples of 32 reads, of the smallest network; few samples share forward passes."""
    model, data = network("SmallCNN")
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=0))
    rows = []
    some = samples[-2]
    for unit, what, settings in (
        ("reads", f"evaluate on {some} samples", [(reads, some, reads) for reads in counts]),
        ("samples", "evaluate with 32 reads", [(number, number, 32) for number in samples]),
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
            rows.append(Measurement(f"SmallCNN, {unit}", what, size, unit, own, "plain loop", reference))
    return rows


def repeated(function: Callable[[], object], times: int) -> None:
    """Call a function so many times."""
    for _ in range(times):
        function()


def measure(quick: bool = False) -> list[Measurement]:
    """Reads of the five networks, and growth with reads and samples."""
    if quick:
        return of_network("SmallCNN", (4,), 1, compiler="eager") + growth((2, 3, 4), (4, 8, 16), 1)
    return [row for name in NETWORKS for row in of_network(name, _FEW, 7)] + growth(READS, SAMPLES, 3)

"""The page on claims of others, from the rows of `outside_tables`: what they say, what is measured here, verdicts."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from reproduction.outside_tables import Row

HOLDS, FAILS, MIXED, NOT_MEASURED = "holds", "does not hold", "holds in part", "not measured"
NOT_COMPARED, UNDECIDED = "not comparable", "undecided"


class Claim(NamedTuple):
    """A claim, and how it is judged.

    Attributes:
        says: what the authors say in their abstract, in our words.
        check: verdict and the numbers for it, from the rows of its study.
    """

    says: str
    check: Callable[[Sequence["Row"]], tuple[str, str]]


def page(rows: "Sequence[Row]", manifest: Mapping[str, Any], picture: str) -> str:
    """The page as markdown.

    Args:
        rows: of `outside_tables.compute`.
        manifest: how they came to be.
        picture: link to the picture.
    """
    trainings, reads = len(manifest["training_seeds"]), manifest["trials"]
    lines = [
        "# Claims of others about flipped bits",
        "",
        "Three papers about bit errors in weights, on small networks of our own: the digits of scikit-learn, 8 x 8 "
        "pixels, 360 test samples. Networks, data and sizes are not theirs, so what is compared is the direction of an "
        "effect, not its size. Claims are those of the abstracts; the papers' tables were not read, and no number of "
        "theirs is reproduced. This page is written by "
        "`python -m reproduction outside_tables --trials 15 --trainings 4 --report docs/outside_tables.md`.",
        "",
        f"Means over {trainings} trainings and {reads} reads (for stuck cells {max(2, reads // 3)} chips) under seed "
        f"{manifest['seed']}; brackets hold 95% intervals over trainings and reads, on these test samples. Differences "
        "count where intervals do not meet. Biases and batch normalisation are outside the memory.",
        "",
        f"![Accuracy over the chance of an error]({picture})",
        "",
    ]
    for title, about, study, claims in _STUDIES:
        own = [row for row in rows if row.study == study]
        lines += [f"## {title}", "", about, "", "| they say | measured here | verdict |", "|---|---|---|"]
        for claim in claims:
            verdict, numbers = claim.check(own) if own else (NOT_MEASURED, "")
            lines.append(f"| {claim.says} | {numbers} | **{verdict}** |")
        lines += ["", *_grids(own), ""]
    return "\n".join(lines).rstrip() + "\n"


def _grids(rows: "Sequence[Row]") -> list[str]:
    """Accuracies of each network: a line for each storage, a column for each chance."""
    lines = []
    for network in dict.fromkeys(row.network for row in rows):
        own = [row for row in rows if row.network == network]
        chances = sorted({row.p for row in own})
        lines += [f"Accuracy of {network} in %, {100 * own[0].clean:.1f} outside the memory:", ""]
        if any(row.clean != own[0].clean for row in own):
            lines[-2] = f"Accuracy of {network} in % (outside the memory, by line: {_cleans(own)}):"
        lines.append(f"| |{''.join(f' {p:.3g} |' for p in chances)}")
        lines.append("|---" * (1 + len(chances)) + "|")
        for storage in dict.fromkeys(row.storage for row in own):
            cells = {row.p: row for row in own if row.storage == storage}
            lines.append(f"| {storage} |{''.join(f' {_shown(cells[p])} |' for p in chances if p in cells)}")
        lines.append("")
    return lines[:-1]


def _cleans(rows: "Sequence[Row]") -> str:
    return ", ".join(f"{name} {100 * clean:.1f}" for name, clean in {row.storage: row.clean for row in rows}.items())


def _shown(row: "Row") -> str:
    low, high = 100 * row.accuracy.low, 100 * row.accuracy.high
    error = "" if row.error is None else f"; {row.error:.1e}"
    return f"{100 * row.accuracy.value:.1f} [{low:.1f}, {high:.1f}]{error}"


def _pairs(
    rows: "Sequence[Row]", better: tuple[str, str], worse: tuple[str, str], chances: Sequence[float] | None = None
) -> tuple[int, int, int]:
    """At how many chances one (network, storage) is read better than another, worse, or neither by their intervals."""
    found = {(row.network, row.storage, row.p): row.accuracy for row in rows}
    above = below = neither = 0
    for network, storage, p in found:
        if (network, storage) == better and (*worse, p) in found and (chances is None or p in chances):
            one, other = found[network, storage, p], found[(*worse, p)]
            above += one.low > other.high
            below += one.high < other.low
            neither += one.low <= other.high and one.high >= other.low
    return above, below, neither


def _judged(pairs: Sequence[tuple[int, int, int]], what: str) -> tuple[str, str]:
    """The claim is that the first of each pair is better; ties say nothing."""
    above, below, neither = (sum(one) for one in zip(*pairs, strict=True))
    numbers = f"{what}: better at {above}, worse at {below}, no difference shown at {neither}"
    if not above + below:
        return NOT_MEASURED, numbers
    return (HOLDS if not below else FAILS if not above else MIXED), numbers


def _precision(rows: "Sequence[Row]") -> tuple[str, str]:
    order = [("INT8", "FP32"), ("INT8", "BF16"), ("INT8", "FP16"), ("FP8 E4M3", "FP16"), ("INT4", "INT8")]
    networks = [name for name in dict.fromkeys(row.network for row in rows) if not name.startswith("dense")]
    texts, pairs = [], []
    for one, other in order:
        own = [_pairs(rows, (network, one), (network, other)) for network in networks]
        above, below, _ = (sum(part) for part in zip(*own, strict=True))
        texts.append(f"{one} over {other} {above}:{below}")
        pairs += own
    verdict, _ = _judged(pairs, "")
    return verdict, "points where fewer bits are read better : worse: " + ", ".join(texts)


def _law(rows: "Sequence[Row]") -> tuple[str, str]:
    """Whether less expected squared error goes with no less accuracy, in pairs of formats of a network and chance."""
    agree = against = 0
    for one in rows:
        for other in rows:
            if (one.network, one.p) == (other.network, other.p) and (one.error or 0) < (other.error or 0):
                agree += one.accuracy.low > other.accuracy.high
                against += one.accuracy.high < other.accuracy.low
    verdict = NOT_MEASURED if not agree + against else HOLDS if not against else MIXED if agree else FAILS
    numbers = f"of pairs whose accuracies differ the format of less expected squared error is better in {agree}, worse "
    return verdict, f"{numbers}in {against}"


def _depth(rows: "Sequence[Row]") -> tuple[str, str]:
    pairs = [
        _pairs(rows, (f"dense {few}, {name}", storage), (f"dense {many}, {name}", storage))
        for name in ("ReLU", "tanh")
        for few, many in ((2, 4), (4, 8))
        for storage in ("INT8", "FP16")
    ]
    return _judged(pairs, "dense layers, 2 over 4 and 4 over 8")


def _bounded(rows: "Sequence[Row]") -> tuple[str, str]:
    pairs = [
        _pairs(rows, (f"dense {layers}, tanh", storage), (f"dense {layers}, ReLU", storage))
        for layers in (2, 4, 8)
        for storage in ("INT8", "FP16")
    ]
    return _judged(pairs, "tanh over ReLU in dense layers")


def _sparsity(rows: "Sequence[Row]") -> tuple[str, str]:
    return NOT_MEASURED, "nor are networks of look-up tables"


def _clipping(rows: "Sequence[Row]") -> tuple[str, str]:
    return _judged([_pairs(rows, ("convolutions", "clipped"), ("convolutions", "plain"))], "clipped over plain 8 bits")


def _randbet(rows: "Sequence[Row]") -> tuple[str, str]:
    return _judged(
        [_pairs(rows, ("convolutions", "RandBET"), ("convolutions", "clipped"))], "RandBET over clipping alone"
    )


def _generalises(rows: "Sequence[Row]") -> tuple[str, str]:
    from reproduction.outside_tables import TRAINED_AT

    other = [p for p in {row.p for row in rows} if p != TRAINED_AT]
    pairs = [_pairs(rows, ("convolutions", "RandBET"), ("convolutions", "plain"), other)]
    return _judged(pairs, f"trained at p = {TRAINED_AT}, read at others, over plain")


def _one_percent(rows: "Sequence[Row]") -> tuple[str, str]:
    plain, tuned = (next(row.clean for row in rows if row.storage == name) for name in ("plain", "RandBET"))
    loss = 100 * (plain - tuned)
    # A test sample is 0.28 points: a mean over few trainings does not tell 1 from its neighbours.
    verdict = HOLDS if loss <= 0.5 else FAILS if loss > 2 else UNDECIDED
    return verdict, f"clean accuracy lost by RandBET: {loss:.2f} points (mean over trainings, without interval)"


def _nearest(rows: "Sequence[Row]") -> tuple[str, str]:
    networks = list(dict.fromkeys(row.network for row in rows))
    pairs = [_pairs(rows, (network, "nearest reading"), (network, "as they are")) for network in networks]
    return _judged(pairs, "nearest reading over words as they are")


def _restored(rows: "Sequence[Row]") -> tuple[str, str]:
    """Whether at most 1 point is lost at low and moderate rates."""
    near = [row for row in rows if row.storage == "nearest reading" and row.p <= 0.04]
    lost = [100 * (row.clean - row.accuracy.value) for row in near]
    verdict = HOLDS if max(lost) <= 1 else MIXED if min(lost) <= 1 else FAILS
    return verdict, "points lost at up to 4% of the cells: " + ", ".join(
        f"{row.network} {row.p:.1%}: {one:.1f}" for row, one in zip(near, lost, strict=True)
    )


def _gain(rows: "Sequence[Row]") -> tuple[str, str]:
    gains = []
    for row in rows:
        if row.storage == "nearest reading" and abs(row.p - 0.04) < 0.005:
            other = next(
                one for one in rows if (one.network, one.p) == (row.network, row.p) and one.storage != row.storage
            )
            gains.append((row.network, 100 * (row.accuracy.value - other.accuracy.value)))
    text = ", ".join(f"{name} {gain:.1f} points" for name, gain in gains)
    return NOT_COMPARED, f"other networks and data; gain at 3.9% of the cells: {text}"


_STUDIES: tuple[tuple[str, str, str, tuple[Claim, ...]], ...] = (
    (
        "Number formats",
        "Bacellar et al., *From Arithmetic to Logic*, arXiv 2603.22770: expected squared error of weights under "
        "flips, in several formats, on MLPerf Tiny. Here: depthwise-separable and residual convolutions, as "
        "those of that suite in small, in six formats; stacks of 2, 4 and 8 dense layers, with ReLU and tanh. Float "
        "words are kept as they are, and infinity is read as the largest number, NaN as 0; INT8 and INT4 are evenly "
        "spaced up to the largest weight of a tensor. Columns are flip probabilities; beside each accuracy stands the "
        "exact expected squared error of the weights over their squares ([theory](theory.md) 1.2, 6.10). Precision and "
        "range are not told apart: what ruins floats is the range of their exponents, and INT4 is no better than INT8.",
        "formats",
        (
            Claim("Lower precision is favoured under flips of parameters.", _precision),
            Claim("Accuracies follow the expected squared error.", _law),
            Claim("Shallow depth is favoured.", _depth),
            Claim("Bounded activations are favoured.", _bounded),
            Claim("Sparsity is favoured; networks of look-up tables are the limit of these trends.", _sparsity),
        ),
    ),
    (
        "Training with random bit errors",
        "Stutz et al., *Bit Error Robustness for Energy-Efficient DNN Accelerators*, MLSys 2021 (RandBET). "
        "Here: SmallCNN in plain words of 8 bits, as trained; trained on with weights clipped at their root mean "
        "square; and with random errors of p = 0.02 besides (`qtaml.tune`). Columns are flip probabilities.",
        "training",
        (
            Claim("Weight clipping alone is already quite effective.", _clipping),
            Claim("Random bit errors in training improve robustness further.", _randbet),
            Claim("The approach generalises across voltages, that is, error rates.", _generalises),
            Claim("At most 1% of accuracy is lost against a normally trained network of 8 bits.", _one_percent),
        ),
    ),
    (
        "Stuck cells that the writer knows",
        "Hanif, Shafique, *FAQ: Mitigating the Impact of Faults in the Weight Memory of DNN Accelerators through "
        "Fault-Aware Quantization*, arXiv 2305.12590. Here: 8 bits a word; half of the stuck cells read 0, half 1; the "
        "writer stores for each weight the word whose reading is nearest (`qtaml.store(..., weak_cells=...)`, "
        "[theory](theory.md) 6.9), with no training. Columns are shares of stuck cells.",
        "stuck cells",
        (
            Claim("Nearest words mitigate stuck cells without training.", _nearest),
            Claim("Baseline accuracy is kept at low and moderate fault rates.", _restored),
            Claim(
                "At a fault rate of 0.04 accuracy rises by 76 points (ResNet-18) and 70 (VGG11), on CIFAR-10.", _gain
            ),
        ),
    ),
)
"""Title, what it is, the study of its rows, and its claims."""

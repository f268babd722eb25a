"""What TAC will save over equal protection, said from one calibration before any Monte Carlo."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.table import Table
from torch import nn

from qtaml import _files, _tables
from qtaml._figures import Curve, Panel, panels_figure
from qtaml.formats import EvenLevels, Format, Section, TensorFormat
from qtaml.model import Batches
from qtaml.planning.allocation import Options, error_bound
from qtaml.planning.keywords import calibrated, takes
from qtaml.planning.protection import protection_options
from qtaml.planning.settings import Predict
from qtaml.sensitivity import Calibration
from qtaml.theory import interior_range, saturation_ratio, tensor_scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WORTH_IT = 1.1
_HALVINGS = 50


@dataclass(frozen=True)
class TensorScore:
    """How much a tensor matters.

    Attributes:
        name: name of the tensor.
        weights: number of weights.
        score: a = gamma**2 x (largest weight)**2.
    """

    name: str
    weights: int
    score: float


@dataclass(frozen=True)
class Saving:
    """Overheads at which the predicted output errors of Uniform-MSP and of TAC are equal.

    Attributes:
        protected_bits: of Uniform-MSP.
        uniform_overhead: what they cost.
        tac_overhead: what TAC needs for the same predicted error.
    """

    protected_bits: int
    uniform_overhead: float
    tac_overhead: float

    @property
    def factor(self) -> float:
        """How many times less protection TAC needs."""
        return self.uniform_overhead / self.tac_overhead if self.tac_overhead > 0 else float("inf")


@dataclass(frozen=True)
class Prediction:
    """What the scores of a network say about TAC.

    Attributes:
        tensors: scores of the tensors, but for those that are not reached.
        saturation_ratio: rho*, the ratio of predicted errors of TAC and Uniform-MSP inside the interior range.
        interior: overheads between which rho* holds; None if there are none.
        savings: for each number of protected bits of Uniform-MSP.
        settings: what was asked, fault model and seed included.
        unreached: tensors that no calibration sample reaches; all that is said is about the others.
        versions: versions of what made the prediction.
    """

    tensors: tuple[TensorScore, ...]
    saturation_ratio: float
    interior: tuple[float, float] | None
    savings: tuple[Saving, ...]
    settings: Predict
    unreached: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=_files.versions)

    @property
    def pays(self) -> bool:
        """Whether TAC needs at least a tenth less than the first protected bit of Uniform-MSP."""
        return self.savings[0].factor >= _WORTH_IT

    def to_json(self) -> str:
        """The prediction as JSON."""
        return _files.to_json(self)

    def _repr_html_(self) -> str:
        return _tables.as_html(self.table())

    def plot(self) -> "Figure":
        """Overheads of Uniform-MSP and of TAC for the same predicted error (needs `qtaml[plot]`).

        Raises:
            QtamlError: if matplotlib is not installed.
        """
        bits = [float(saving.protected_bits) for saving in self.savings]
        curves = [
            Curve("Uniform-MSP", bits, [100 * saving.uniform_overhead for saving in self.savings]),
            Curve("TAC", bits, [100 * saving.tac_overhead for saving in self.savings]),
        ]
        title = f"Saturation ratio {self.saturation_ratio:.3g}"
        return panels_figure([Panel(curves, title, "protected bits of Uniform-MSP", "overhead (%)", legend="best")])

    def to_pandas(self) -> Any:
        """A data frame with a row for each tensor: its weights and its score.

        Raises:
            QtamlError: if pandas is not installed.
        """
        return _tables.as_frame([asdict(tensor) for tensor in self.tensors])

    def __str__(self) -> str:
        """The savings as a table."""
        return _tables.as_text(self.table())

    def table(self) -> Table:
        """The savings as a rich table."""
        where = f"{self.interior[0]:.1%} to {self.interior[1]:.1%}" if self.interior else "nowhere"
        verdict = "TAC pays" if self.pays else "TAC hardly pays: all tensors matter about alike"
        left_out = f"; no calibration sample reaches {', '.join(self.unreached)}" if self.unreached else ""
        table = _tables.captioned_table(
            f"{verdict}; saturation ratio {self.saturation_ratio:.3g}, valid at overheads from {where}",
            f"predicted from linear response; measure with `qtaml evaluate`{left_out}",
        )
        for column in ("Uniform-MSP bits", "its overhead", "TAC's overhead for the same error", "times less"):
            table.add_column(column, justify="right")
        for saving in self.savings:
            row = (f"{saving.uniform_overhead:.2%}", f"{saving.tac_overhead:.2%}", f"{saving.factor:.2f}")
            table.add_row(str(saving.protected_bits), *row)
        return table


@takes(Predict)
def predict(model: nn.Module, calibration: Batches, settings: Predict) -> Prediction:
    """Say from one calibration, without any read of a memory, what TAC will save over Uniform-MSP.

    Args:
        model: the trained network; it is not changed.
        calibration: a batch of inputs.
        settings: a record `qtaml.planning.Predict`; or its fields as keyword arguments:

    Returns:
        The prediction.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        ModelError: as `compensate`.

    Source:
        paper, theorem 4.6 and A.12; theory.md 1.5.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
        >>> prediction = predict(model, torch.randn(64, 8), p=0.1)
        >>> 0 < prediction.saturation_ratio <= 1
        True
    """
    return savings(calibrated(model, calibration, settings), settings)


def savings(calibration: Calibration, settings: Predict) -> Prediction:
    """`predict` for a network of which something was measured before; arguments and errors as there."""
    bits, fault, gains = settings.bits, settings.fault, calibration.gains
    base = Format(EvenLevels(bits, settings.encoding, settings.grid))
    unreached = tuple(name for name, gain in gains.items() if gain.source == "not reached")
    weights = {name: weight for name, weight in calibration.weights.items() if name not in unreached}
    raw = {name: TensorFormat((Section(weight.numel(), base),)) for name, weight in weights.items()}
    options = [protection_options(w, raw[name], gains[name], fault, 0) for name, w in weights.items()]
    scores = tensor_scores(
        [gains[name].squared for name in weights], [float(weight.abs().max()) for weight in weights.values()]
    ).tolist()
    sizes = [weight.numel() for weight in weights.values()]
    low, high = interior_range(scores, sizes, bits)
    return Prediction(
        tuple(TensorScore(*entry) for entry in zip(weights, sizes, scores, strict=True)),
        saturation_ratio(scores, sizes),
        (low / bits, high / bits) if low <= high else None,
        tuple(_saving(options, count, bits) for count in range(1, min(bits, 4) + 1)),
        settings,
        unreached,
    )


def _saving(options: list[Options], protected_bits: int, bits: int) -> Saving:
    """By halving: the error that a budget can reach falls with the budget."""
    plain = bits * sum(option.weights for option in options)
    wanted = sum(option.errors[protected_bits] for option in options)
    low, high = 0.0, protected_bits / bits
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if error_bound(options, plain * (1 + middle)) > wanted:
            low = middle
        else:
            high = middle
    return Saving(protected_bits, protected_bits / bits, high)

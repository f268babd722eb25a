"""Choose what each bit of a checkpoint is stored in, its words as they are: least expected error within a budget."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qtaml import _checks
from qtaml._progress import track
from qtaml.checkpoints.checkpoint_file import Checkpoint, CheckpointTensor
from qtaml.checkpoints.checkpoint_plan import (
    BitStorage,
    CheckpointPlan,
    IndependentFault,
    LeftOut,
    ProtectedField,
    ProtectedTensor,
)
from qtaml.checkpoints.fields import Bytes
from qtaml.checkpoints.flips import effects_of_flips, moments_of_fields, no_errors, stored_values, words_of
from qtaml.checkpoints.unit_law import weight_moments
from qtaml.checkpoints.unit_sample import sample_units
from qtaml.checkpoints.word_law import Rates
from qtaml.errors import ArgumentError, BudgetError, ModelError
from qtaml.faults import Asymmetric, FaultModel, FlipProbability, GivenFault, Uniform, given
from qtaml.formats import Nonfinite
from qtaml.planning.allocation import Allocation, Choice, Options, allocate
from qtaml.planning.side_values import SIDE_BITS, side_cells
from qtaml.protections import Decoder, Repetition, pareto_front

# The exact knapsack of 500 bits takes a second, and its time grows faster than that. With more bits the last step of
# the linear relaxation, which is left out, is a smaller part of the error than its estimate is known to.
_FEW = 500
# Scales of few words are worth votes that no menu of weights has: a flip may be worth 1e12 weights.
_FEW_WORDS, _MORE_COPIES = 2**14, (17, 21, 25, 31, 37, 45, 53, 63)
# Effects of flips depend on what the other bits leave: they are taken beside these shares of the error rates of the
# best plan so far. Measured on 15 budgets of three files: each share finds the best plan of some, of 0.75 to 1 times
# the error of the first; beside all of the rates alone, plans swing from one extreme to the other.
_SHARES = (0.0, 0.25, 0.5, 1.0)


def protect(
    checkpoint: Checkpoint,
    *,
    p: FlipProbability | None = None,
    fault: GivenFault | None = None,
    cells: float,
    gains: Mapping[str, float] | None = None,
    decoders: Sequence[Decoder] = ("none", "majority", "algebraic", "iterative"),
    rule: Nonfinite = "clamp",
    weights: int = 8192,
) -> CheckpointPlan:
    """Plan how a checkpoint is stored with its words as they are: nothing is quantised anew.

    Each bit of each field of each tensor is stored raw, protected, or not at all (and read as 0 or as 1). The expected
    squared error of the weights is linear in the error rate of each bit, so the choice is a knapsack; the effects of
    bits on each other are taken from the plan of the round before.

    Args:
        checkpoint: the file.
        p: flip probability of a cell; or
        fault: `Uniform` or `Asymmetric`: the law asks for bits that fail independently and all alike.
        cells: budget, as a share of the bits that the tensors take in the file: 1.0 is the file unprotected.
        gains: importance of a squared error of a weight of each tensor; if not given, errors count relative to the
            squares of the tensor's weights.
        decoders: what may be needed to read: "none", "majority", "algebraic", "iterative", "ideal".
        rule: what is read where a word is no finite number: "clamp", infinity as the largest one and NaN as 0, or
            "zero".
        weights: how many of each tensor are looked at; all of smaller ones.

    Returns:
        The plan, with its predicted error.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        BudgetError: if the budget is below the least one.
        ModelError: if the file holds no weights that are read, or weights that are no finite numbers.
        StoredFileError: if the file cannot be read.

    Source:
        theory.md 6.11.
    """
    memory = _independent(given(p, fault))
    _checks.positive("cells", cells)
    if rule == "keep":
        raise ArgumentError("rule must be 'clamp' or 'zero' for a plan, whose error must be finite, got 'keep'")
    if not checkpoint:
        raise ModelError(f"{checkpoint.source.path} holds no weights that are read")
    if gains is not None:
        _checks.covers("gains", gains, list(checkpoint))
    tensors = [
        _Tensor(one, None if gains is None else _checks.non_negative("gains", gains[one.name]), rule, weights)
        for one in track(list(checkpoint.values()), "reading weights")
    ]
    return _planned(checkpoint, tensors, memory, cells, decoders, rule)


def _independent(fault: FaultModel) -> IndependentFault:
    if not isinstance(fault, Uniform | Asymmetric):
        raise ArgumentError(f"fault must be Uniform or Asymmetric for a checkpoint, got {fault!r}")
    return fault


def _planned(
    checkpoint: Checkpoint,
    tensors: Sequence["_Tensor"],
    fault: IndependentFault,
    cells: float,
    decoders: Sequence[Decoder],
    rule: Nonfinite,
) -> CheckpointPlan:
    total = sum(one.importance for one in tensors)
    if not total:
        raise ArgumentError("gains must leave a tensor whose errors count, got only zeros")
    menu, budget, best = _Menu(fault, decoders), cells * checkpoint.bits, None
    rates: list[Mapping[str, Rates]] = [no_errors(one.tensor.format) for one in tensors]
    for share in track(_SHARES, "plans"):
        rows = list(zip(tensors, rates, strict=True))
        planes = [plane for one, own in track(rows, "effects of flips") for plane in one.planes(_part(own, share))]
        chosen = iter(_choose(planes, menu, budget, checkpoint.bits))
        stored = [one.stored(chosen, total, fault) for one in tensors]
        plan = CheckpointPlan(checkpoint.kind, fault, rule, tuple(stored), float(cells))
        if best is None or plan.error < best.error:
            best, rates = plan, [{field.name: field.rates(fault) for field in one.fields} for one in stored]
    assert best is not None
    return best


def _part(rates: Mapping[str, Rates], share: float) -> dict[str, Rates]:
    return {name: tuple((share * rise, share * fall) for rise, fall in own) for name, own in rates.items()}


class _Plane(NamedTuple):
    """All bits of one position of a field of a tensor.

    Attributes:
        words: how many.
        harm: what a flip of each stored 0, and of each stored 1, adds to the error of the plan, summed over all.
        constant: whether all are 0, and whether all are 1.
    """

    words: int
    harm: tuple[float, float]
    constant: tuple[bool, bool]


class _Tensor:
    """A tensor that is planned: some of its words, and what flips do to them."""

    def __init__(self, tensor: CheckpointTensor, gain: float | None, rule: Nonfinite, weights: int) -> None:
        self.tensor, self._rule = tensor, rule
        unit, self._sample = tensor.format, sample_units(tensor, weights)
        self._words = words_of(unit, self._sample.parts)
        stored = stored_values(tensor, self._words)
        power, _ = self._sample.total((stored**2).sum(1))
        # A tensor of zeros has to be read as zeros: its errors count as they are.
        self.power = power or 1.0
        self.importance = 1.0 if gain is None else gain * self.power
        self._constant = _constant_bits(tensor)
        if not power and not all(zeros.all() for zeros, _ in self._constant.values()):
            self._check_zeros(weights)

    def _check_zeros(self, weights: int) -> None:
        """Refuse a tensor of which only zeros were looked at where there is more."""
        if self._sample.factor > 1:
            raise ModelError(
                f"weights must be more than {weights} for {self.tensor.name}: all that were looked at are 0, "
                "others are not"
            )

    def planes(self, rates: Mapping[str, Rates]) -> Iterator[_Plane]:
        """Each bit of each field in turn, beside errors at these rates."""
        scale = self.importance / self.power
        for field, effects in effects_of_flips(self.tensor.format, self._words, self._rule, rates):
            bits = self._words[field.name][:, field.word_of]
            zeros, ones = self._constant[field.name]
            for bit, effect in enumerate(effects):
                is_one = bits >> bit & 1
                harm = [scale * self._sample.total((effect * (is_one == value)).sum(1))[0] for value in (0, 1)]
                constant = bool(zeros[bit]), bool(ones[bit])
                yield _Plane(self.tensor.words(field.name), (harm[0], harm[1]), constant)

    def stored(self, chosen: Iterator[BitStorage], total: float, fault: IndependentFault) -> ProtectedTensor:
        """The entry of the plan from what its planes are stored in, taken from the choices in their order."""
        fields = tuple(
            ProtectedField(field.name, self.tensor.words(field.name), tuple(next(chosen) for _ in range(field.bits)))
            for field in self.tensor.format.fields
        )
        error, spread = self._error({field.name: field.rates(fault) for field in fields})
        return ProtectedTensor(
            self.tensor.name,
            self.tensor.format.name,
            self.tensor.shape,
            self.tensor.bits,
            fields,
            self.power,
            self.importance / total,
            error,
            spread,
        )

    def _error(self, rates: Mapping[str, Rates]) -> tuple[float, float]:
        """Expected squared error at some rates over the power, and its standard error."""
        unit = self.tensor.format
        moments = weight_moments(unit.value, moments_of_fields(unit, self._words, self._rule, rates))
        error, spread = self._sample.total(np.broadcast_to(moments.error, moments.stored.shape).sum(1))
        return error / self.power, spread / self.power


class _Menu:
    """What planes may be stored in."""

    def __init__(self, fault: IndependentFault, decoders: Sequence[Decoder]) -> None:
        self._rates, self._decoders = fault.mean_rates, decoders
        self._longest = max(one.block[0] for one in pareto_front(*self._rates, decoders=decoders))
        cells = side_cells(fault, 1, tuple(decoders)) / SIDE_BITS
        self._left_out = LeftOut(0, cells), LeftOut(1, cells)
        self._votes = [Repetition.best(copies, *self._rates) for copies in _MORE_COPIES if "majority" in decoders]
        self._known: dict[int, list[tuple[BitStorage, float, float]]] = {}

    def of(self, plane: _Plane) -> list[tuple[float, float, BitStorage]]:
        """Cells, harm, and storage, by ascending cells and falling harm."""
        found = [
            (one.cells_for(plane.words), rise * plane.harm[0] + fall * plane.harm[1], one)
            for one, rise, fall in self._fitting(min(plane.words, max(self._longest, _FEW_WORDS)))
            if not isinstance(one, LeftOut) or _may_leave_out(plane, one.value)
        ]
        better: list[tuple[float, float, BitStorage]] = []
        for option in sorted(found, key=lambda one: one[:2]):
            if not better or option[1] < better[-1][1]:
                better.append(option)
        return better

    def _fitting(self, words: int) -> list[tuple[BitStorage, float, float]]:
        """Storage for so many words, and its error rates: shorter codes for fewer words."""
        if words not in self._known:
            front = pareto_front(*self._rates, decoders=self._decoders, bits=words)
            votes = self._votes if words < _FEW_WORDS else []
            self._known[words] = [(one, *one.residual(*self._rates)) for one in (*self._left_out, *front, *votes)]
        return self._known[words]


def _may_leave_out(plane: _Plane, value: int) -> bool:
    """Whether a plane may be read as one value without being stored."""
    # Where all words that were looked at have the value, but others have not, what those would lose is not known.
    return plane.constant[value] or plane.harm[1 - value] != 0


def _choose(planes: Sequence[_Plane], menu: _Menu, budget: float, bits: int) -> list[BitStorage]:
    """What each plane is stored in."""
    menus = [menu.of(plane) for plane in planes]
    options = [
        Options(plane.words, tuple(one[0] / plane.words for one in own), tuple(one[1] for one in own))
        for plane, own in zip(planes, menus, strict=True)
    ]
    least = sum(own[0][0] for own in menus)
    if least > budget:
        raise BudgetError(f"cells must be at least {least / bits:.4g}, got {budget / bits:.4g}", least / bits - 1)
    method: Allocation = "integer" if len(planes) <= _FEW else "split"
    choices: Sequence[Choice] = allocate(options, budget, method)
    return [own[choice.low][2] for own, choice in zip(menus, choices, strict=True)]


def _any_of(rows: Bytes) -> Bytes:
    """Bits that are 1 in any row."""
    # NumPy goes through the rows one by one, which takes long for many short ones: first many side by side.
    count, width = rows.shape
    beside = max(1, min(count, 4096 // width))
    whole = count // beside * beside
    wide = np.bitwise_or.reduce(rows[:whole].reshape(-1, beside * width), axis=0).reshape(beside, width)
    return np.asarray(np.bitwise_or.reduce(np.concatenate([wide, rows[whole:]]), axis=0))


def _constant_bits(tensor: CheckpointTensor) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """For each field, which of its bits are 0 in all words of the tensor, and which 1."""
    ones = [np.zeros(part.width, dtype=np.uint8) for part in tensor.parts]
    zeros = [np.zeros(part.width, dtype=np.uint8) for part in tensor.parts]
    for piece in tensor.pieces():
        for index, rows in enumerate(tensor.raw(*piece)):
            ones[index] |= _any_of(rows)
            zeros[index] |= _any_of(~rows)
    found = {}
    for field in tensor.format.fields:
        has_one, has_zero = (np.unpackbits(seen[field.part], bitorder="little")[field.places] for seen in (ones, zeros))
        found[field.name] = np.asarray(has_one.max(0) == 0), np.asarray(has_zero.max(0) == 0)
    return found

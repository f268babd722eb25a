"""Choose what each bit of a checkpoint is stored in, its words as they are: least expected error within a budget."""

from collections.abc import Mapping, Sequence

import numpy as np

from qtaml import _checks
from qtaml._progress import track
from qtaml.checkpoints.budget_search import least_error
from qtaml.checkpoints.checkpoint_file import Checkpoint, CheckpointTensor
from qtaml.checkpoints.checkpoint_plan import (
    CheckpointPlan,
    FieldError,
    IndependentFault,
    ProtectedField,
    ProtectedTensor,
)
from qtaml.checkpoints.fields import Field
from qtaml.checkpoints.seen_words import SeenWords, bits_seen, seen_words
from qtaml.checkpoints.storage_menu import StorageMenu
from qtaml.checkpoints.tensor_law import FieldReads, TensorLaw, only_errors_of
from qtaml.checkpoints.tensor_search import TensorSearch, TensorWay
from qtaml.checkpoints.unit_sample import sample_units
from qtaml.checkpoints.unit_words import stored_values
from qtaml.checkpoints.word_range import WordRange, key_places
from qtaml.errors import ArgumentError, BudgetError, ModelError
from qtaml.faults import Asymmetric, FaultModel, FlipProbability, GivenDevice, GivenFault, Several, Uniform
from qtaml.faults.choice import of_memory
from qtaml.formats import Nonfinite
from qtaml.protections import Decoder


def protect(
    checkpoint: Checkpoint,
    *,
    p: FlipProbability | None = None,
    fault: GivenFault | None = None,
    device: GivenDevice | None = None,
    window: float | None = None,
    cells: float,
    gains: Mapping[str, float | Mapping[str, float]] | None = None,
    decoders: Sequence[Decoder] = ("none", "majority", "algebraic", "iterative"),
    rule: Nonfinite = "clamp",
    weights: int = 8192,
) -> CheckpointPlan:
    """Plan how a checkpoint is stored with its words as they are: nothing is quantised anew.

    Each bit of each field of each tensor is stored raw, protected, or not at all (and read as 0 or as 1). The range of
    the exponents of float words, and of words that weights share, may be kept beside them: what is read outside of it
    is taken for the nearest inside. The expected squared error of the weights follows exactly; the plan is the best of
    a search, and says what no such plan can be better than.

    Args:
        checkpoint: the file.
        p: flip probability of a cell; or
        fault: `Uniform` or `Asymmetric`: the law asks for bits that fail independently and all alike; or
        device: as for `qtaml.design`; a measured cell counts by the upper end of its band.
        window: with a device, s between refreshes; that of the preset if not given.
        cells: budget, as a share of the bits that the tensors take in the file: 1.0 is the file unprotected.
        gains: importance of a squared error of a weight of each tensor, or of one that each field of it makes, as
            `field_gains` measures them (a field that is not named counts by the largest of those that are); if not
            given, errors count relative to the squares of the tensor's weights.
        decoders: what may be needed to read: "none", "majority", "algebraic", "iterative", "ideal".
        rule: what is read where a word is no finite number: "clamp", infinity as the largest one and NaN as 0, or
            "zero".
        weights: how many of each tensor are looked at; all of smaller ones.

    Returns:
        The plan, with its predicted error and a lower bound of it.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        BudgetError: if the budget is below the least one.
        ModelError: if the file holds no weights that are read, or weights that are no finite numbers.
        StoredFileError: if the file cannot be read.

    Source:
        theory.md 6.11.
    """
    memory = _independent(of_memory(p, fault, device, window), device)
    _checks.positive("cells", cells)
    if rule == "keep":
        raise ArgumentError("rule must be 'clamp' or 'zero' for a plan, whose error must be finite, got 'keep'")
    if not checkpoint:
        raise ModelError(f"{checkpoint.source.path} holds no weights that are read")
    if gains is not None:
        _checks.covers("gains", gains, list(checkpoint))
    tensors = [
        _Tensor(one, None if gains is None else _field_gains(one, gains[one.name]), rule, weights)
        for one in track(list(checkpoint.values()), "reading weights")
    ]
    return _planned(checkpoint, tensors, memory, cells, decoders, rule)


def _field_gains(tensor: CheckpointTensor, given: float | Mapping[str, float]) -> list[float]:
    """The gain of each field of a tensor."""
    names = [field.name for field in tensor.format.fields]
    if not isinstance(given, Mapping):
        return [_checks.non_negative("gains", given)] * len(names)
    if not given:
        raise ArgumentError(f"gains must name a field of {tensor.name}, one of {', '.join(names)}, got none")
    for name in given:
        _checks.one_of(f"gains of {tensor.name}", name, names)
    known = {name: _checks.non_negative("gains", gain) for name, gain in given.items()}
    return [known.get(name, max(known.values())) for name in names]


def _independent(fault: FaultModel, device: GivenDevice | None) -> IndependentFault:
    if device is not None and isinstance(fault, Several):
        fault = fault.members[-1]
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
    menu, budget = StorageMenu(fault, decoders), cells * checkpoint.bits
    searches = [one.search(menu, total) for one in tensors]
    least = sum(float(plane.cells[0]) for one in searches for plane in one.menus)
    if least > budget:
        share = least / checkpoint.bits
        raise BudgetError(f"cells must be at least {share:.4g}, got {cells:.4g}", share - 1)
    points, bound = least_error(searches, budget)
    stored = [
        one.stored(search, point.way, total) for one, search, point in zip(tensors, searches, points, strict=True)
    ]
    return CheckpointPlan(checkpoint.kind, fault, rule, tuple(stored), float(cells), bound)


class _Tensor:
    """A tensor that is planned: some of its words, and their law."""

    def __init__(self, tensor: CheckpointTensor, gains: list[float] | None, rule: Nonfinite, weights: int) -> None:
        self.tensor, self._sample = tensor, sample_units(tensor, weights)
        unit, words = self._sample.unit, self._sample.words
        power, _ = self._sample.total((stored_values(tensor.name, unit, words) ** 2).sum(1))
        # A tensor of zeros has to be read as zeros: its errors count as they are.
        self.power = power or 1.0
        self.importance = 1.0 if gains is None else max(gains) * self.power
        # Shares of the largest gain: that of whole errors, and what those of each field count beyond it.
        shares = [1.0] if gains is None or not max(gains) else [gain / max(gains) for gain in gains]
        self._whole, self._alone = min(shares), [share - min(shares) for share in shares]
        self._law = TensorLaw(unit, words, rule, whole=self._whole, alone=self._alone)
        self._seen = seen_words(tensor)
        if not power and not all(field.zeros.all() for field in self._seen.values()):
            self._check_zeros(weights)
        self._looked_at = {field.name: bits_seen(field, words[field.name]) for field in tensor.format.fields}

    def _check_zeros(self, weights: int) -> None:
        """Refuse a tensor of which only zeros were looked at where there is more."""
        if self._sample.factor > 1:
            raise ModelError(
                f"weights must be more than {weights} for {self.tensor.name}: all that were looked at are 0, "
                "others are not"
            )

    def search(self, menu: StorageMenu, total: float) -> TensorSearch:
        """The search for its plans; `total` is the importance of all tensors."""
        planes, ranges = [], []
        for field in self.tensor.format.fields:
            seen, words = self._seen[field.name], self.tensor.words(field.name)
            has_zero, has_one = self._looked_at[field.name]
            # Where all words that were looked at have a value, but others have not, what those would lose is not known.
            allowed = zip(seen.zeros | has_one, seen.ones | has_zero, strict=True)
            of_bits = [menu.of(words, (bool(zero), bool(one))) for zero, one in allowed]
            planes.append([menu.held(bool(one)) for one in seen.ones] if field.divides else of_bits)
            ranges.append(_ranges(seen, field, menu.side_value))
        scale = self.importance / (self.power * total)
        return TensorSearch(self._law, planes, ranges, scale * self._sample.factor)

    def stored(self, search: TensorSearch, way: TensorWay, total: float) -> ProtectedTensor:
        """The entry of the plan."""
        bits = iter([menu.ways[place] for menu, place in zip(search.menus, way.bits, strict=True)])
        reads = search.reads(way)
        fields = tuple(
            ProtectedField(
                field.name,
                self.tensor.words(field.name),
                tuple(next(bits) for _ in one.rates),
                one.range,
                self._of_field(reads, place, total),
            )
            for place, (field, one) in enumerate(zip(self.tensor.format.fields, reads, strict=True))
        )
        expected, spread = self._expected(reads)
        return ProtectedTensor(
            self.tensor.name,
            self.tensor.format.name,
            self.tensor.shape,
            self.tensor.bits,
            fields,
            self.power,
            self._whole * self.importance / total,
            expected / self.power,
            spread / self.power,
        )

    def _expected(self, reads: Sequence[FieldReads]) -> tuple[float, float]:
        """Expected squared error of all weights, and its standard error."""
        error = self._law.moments(reads).error
        return self._sample.total(np.broadcast_to(error, self._law.shape).sum(1))

    def _of_field(self, reads: Sequence[FieldReads], place: int, total: float) -> FieldError | None:
        """The error of a field alone, where it counts more than that of others."""
        if not any(self._alone) or not self._alone[place]:
            return None
        expected, spread = self._expected(only_errors_of(reads, place))
        return FieldError(self._alone[place] * self.importance / total, expected / self.power, spread / self.power)


def _ranges(seen: SeenWords, field: Field, cells: float) -> list[WordRange | None]:
    """No range, and that of the words that are there."""
    _, bits = key_places(field)
    if field.divides or seen.range is None or seen.range == (0, (1 << bits) - 1):
        return [None]
    return [None, WordRange(*seen.range, cells)]

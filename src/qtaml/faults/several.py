"""Memories of which a chip is one: flip probabilities known by their range, models each of which may be true."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.errors import ArgumentError
from qtaml.faults.base import BitErrorRates, FaultModel, WordLaw
from qtaml.faults.clustered import Clustered
from qtaml.faults.independent import Asymmetric, PerBit, Ramp, Uniform
from qtaml.faults.multi_level import MultiLevel
from qtaml.faults.static_cells import StaticCells
from qtaml.faults.tensor_variation import TensorVariation
from qtaml.protections import BitProtection

OneFault = Uniform | Asymmetric | PerBit | Ramp | StaticCells | MultiLevel | Clustered | TensorVariation
"""Union of all fault models of one memory; a new one is added here."""

# For the worst of a range its ends would do: of 45 plans tried (words of 4 and 7 bits, raw and with votes, fitted for
# the range or for either end, p up to 0.2), each had its largest expected squared error at the upper end. Members in
# between count in averages and among chips. Since the ends count in full, the mean error over five is 3 to 17% above
# that over an even spread of log p where the ends differ by a factor of 4 (15 of the plans): on the safe side.
_MEMBERS_OF_A_RANGE = 5
# The law of a word is one matrix of the bits that fail together: 8 MiB for 10 bits, 32 GiB for 16.
_LARGEST_BITS = 10


@dataclass(frozen=True)
class Several(FaultModel):
    """A chip is one of several memories, the same one for all that is stored on it.

    What is read of the same chip has the errors of one member. Averaged over chips, the law of a word is the mixture
    sum_k w_k P_k: its bits are dependent, since a wrong bit makes a bad member likelier. Words, and tensors, depend on
    each other in the same way. Where a read names no chip, it is one of a chip of its own.

    Attributes:
        members: the memories that a chip may be; at least one.
        weights: how often each occurs, in any unit. None where nothing is known of that: then a plan is made for the
            worst of them, and a law or a read of an unknown chip takes them as equally likely.

    Raises:
        ArgumentError: if there is no member, one is itself `Several`, the weights are not as many, one is below 0 or
            all are 0, or no word has a length that all members hold; from the law, if more than 10 bits fail together.

    Example:
        >>> lot = Several((Uniform(0.05), Uniform(0.2)), weights=(3, 1))
        >>> round(lot.rates(bits=1).p01[0], 12)
        0.0875
        >>> round(float(lot.law(bits=2).groups[0][0, 3]), 6)  # both bits wrong: more than 0.0875 x 0.0875
        0.011875
        >>> {lot.of_chip(chip) for chip in range(20)} == set(lot.members)
        True
    """

    members: tuple[Annotated[OneFault, Field(discriminator="kind")], ...]
    weights: tuple[float, ...] | None = None
    kind: Literal["several"] = field(default="several", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", _checked_members(self.members))
        if self.weights is not None:
            object.__setattr__(self, "weights", _checked_weights(self.weights, len(self.members)))
        if not any(self.holds(bits) for bits in range(1, 17)):
            raise ArgumentError(f"members must hold words of one length, got {list(self.members)!r}")

    def __str__(self) -> str:
        """The members, of more than three the first and the last, with their weights."""
        names = [str(member) for member in self.members]
        if len(names) > 3:
            names[1:-1] = [f"... ({len(names) - 2} more)"]
        weights = "" if self.weights is None else f", weights {', '.join(f'{one:g}' for one in self.weights)}"
        return f"one of {', '.join(names)}{weights}"

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each member among the chips: the weights over their sum; equal ones where there are none."""
        weights = self.weights or (1.0,) * len(self.members)
        return tuple(weight / sum(weights) for weight in weights)

    def law(self, bits: int) -> WordLaw:
        """Exact law of a word of `bits` bits, averaged over chips."""
        return self._mixture.law(bits)

    def rates(self, bits: int) -> BitErrorRates:
        """Exact marginal error rates of each bit position of words of `bits` bits."""
        return self._mixture.rates(bits)

    def holds(self, bits: int) -> bool:
        """Whether words of `bits` bits can be stored in every member."""
        return all(member.holds(bits) for member in self.members)

    def behind(self, protections: Sequence[BitProtection]) -> FaultModel:
        """The same faults as seen behind one protection for each bit position, bit 0 first."""
        return _behind(self, tuple(protections))

    def of_chip(self, chip: int) -> FaultModel:
        """The memory of one chip: one of the members, as often as its weight says."""
        return self._mixture.member(chip).of_chip(chip)

    def of_read(self, seed: int) -> FaultModel:
        """The memory of one read of a chip of its own; see `FaultModel.of_read`."""
        return self._mixture.member(child_seed(seed, "chip")).of_read(seed)

    def corrupt(
        self, words: torch.Tensor, *, bits: int = 8, seed: int, place: str = "", in_place: bool = False
    ) -> torch.Tensor:
        """Words as read once, on a chip of its own; see `FaultModel.corrupt`."""
        return self._mixture.corrupt(words, bits=bits, seed=seed, place=place, in_place=in_place)

    @property
    def _mixture(self) -> "_Mixture":
        return _Mixture(self.members, self.shares)


@dataclass(frozen=True)
class _Mixture(FaultModel):
    """One of several fault models, each with its share, for all words of a read."""

    members: tuple[FaultModel, ...]
    shares: tuple[float, ...]

    def law(self, bits: int) -> WordLaw:
        laws = [member.law(bits) for member in self.members]
        first, last = _differing(laws, bits)
        if last - first > _LARGEST_BITS:
            raise ArgumentError(f"bits must be at most {_LARGEST_BITS} where they fail together, got {last - first}")
        if last == first:
            return laws[0]
        # Bits that fail alike in all members, such as ideally protected ones, stay independent of the others.
        matrices = (_matrix(_part(law, first, last)) for law in laws)
        mixed = sum(share * matrix for share, matrix in zip(self.shares, matrices, strict=True))
        return WordLaw((*_part(laws[0], 0, first), np.asarray(mixed), *_part(laws[0], last, bits)))

    def rates(self, bits: int) -> BitErrorRates:
        rates = [member.rates(bits) for member in self.members]
        p01, p10 = (
            tuple(
                float(sum(s * p for s, p in zip(self.shares, position, strict=True)))
                for position in zip(*of_members, strict=True)
            )
            for of_members in ([one.p01 for one in rates], [one.p10 for one in rates])
        )
        return BitErrorRates(p01, p10)

    def behind(self, protections: Sequence[BitProtection]) -> FaultModel:
        return _Mixture(tuple(member.behind(protections) for member in self.members), self.shares)

    def member(self, chip: int) -> FaultModel:
        """The member that a chip is."""
        # 63 bits of a hash, as a number from 0 to 1.
        place = child_seed(chip, "member") / 2**63
        index = int(np.searchsorted(np.cumsum(self.shares), place, side="right"))
        # The sum of shares may round to below 1; and a member of weight 0 is never drawn.
        return self.members[min(index, int(np.flatnonzero(self.shares)[-1]))]

    def of_read(self, seed: int) -> FaultModel:
        return self.member(child_seed(seed, "chip")).of_read(seed)

    def corrupt(
        self, words: torch.Tensor, *, bits: int = 8, seed: int, place: str = "", in_place: bool = False
    ) -> torch.Tensor:
        return self.of_read(seed).corrupt(words, bits=bits, seed=seed, place=place, in_place=in_place)


@lru_cache(maxsize=256)
def _behind(fault: Several, protections: tuple[BitProtection, ...]) -> FaultModel:
    return fault._mixture.behind(protections)


def over_range(make: Callable[[float], Any], p: Sequence[float]) -> Any:
    """The memories whose flip probability lies in a range: five of them, evenly spaced in log p, both ends included.

    Args:
        make: the fault model of a flip probability.
        p: (low, high), of which low is above 0 and high below 1/2; the two may be equal.

    Returns:
        `Several`, of unknown weights; for equal ends the one model.

    Raises:
        ArgumentError: if `p` is not as said.

    Example:
        >>> [round(one.p, 3) for one in over_range(Uniform, (0.05, 0.2)).members]
        [0.05, 0.071, 0.1, 0.141, 0.2]
    """
    ends = tuple(p)
    if len(ends) != 2:
        raise ArgumentError(f"p must be one flip probability, or the two ends of a range, got {ends!r}")
    low, high = (_checks.flip_probability(f"p[{place}]", end) for place, end in enumerate(ends))
    if not 0 < low <= high:
        raise ArgumentError(f"p must be a range from a low end above 0 to a high end that is not below, got {ends!r}")
    if low == high:
        return make(low)
    inner = np.geomspace(low, high, _MEMBERS_OF_A_RANGE)[1:-1]
    # The ends as they were given: geomspace may miss them by a rounding error.
    return Several(tuple(make(float(one)) for one in (low, *inner, high)))


def _checked_members(members: Sequence[Any]) -> tuple[Any, ...]:
    if isinstance(members, FaultModel) or not isinstance(members, Sequence) or not members:
        raise ArgumentError(f"members must be one or more fault models such as Uniform(0.1), got {members!r}")
    for number, member in enumerate(members):
        if not isinstance(member, FaultModel):
            raise ArgumentError(f"members[{number}] must be a fault model such as Uniform(0.1), got {member!r}")
        # Flattened, three equally likely members of which one stands for ten would have other weights than are meant.
        if isinstance(member, Several):
            raise ArgumentError(f"members[{number}] must be one memory: name its members instead, got {member!r}")
    return tuple(members)


def _checked_weights(weights: Sequence[float], members: int) -> tuple[float, ...]:
    checked = tuple(_checks.non_negative(f"weights[{number}]", weight) for number, weight in enumerate(weights))
    if len(checked) != members:
        raise ArgumentError(f"weights must be as many as members, {members}, got {len(checked)}")
    _checks.positive("sum of weights", sum(checked))
    return checked


def _differing(laws: Sequence[WordLaw], bits: int) -> tuple[int, int]:
    """First bit in which laws differ, and the one after the last; whole groups. Equal where none do."""
    if any(_starts(law) != _starts(laws[0]) for law in laws):
        return 0, bits
    starts = (*_starts(laws[0]), bits)
    unequal = [
        number
        for number, group in enumerate(laws[0].groups)
        if any(not np.array_equal(group, law.groups[number]) for law in laws)
    ]
    return (starts[unequal[0]], starts[unequal[-1] + 1]) if unequal else (0, 0)


def _starts(law: WordLaw) -> tuple[int, ...]:
    """The first bit of each group."""
    widths = [len(group).bit_length() - 1 for group in law.groups]
    return tuple(sum(widths[:number]) for number in range(len(widths)))


def _part(law: WordLaw, first: int, last: int) -> tuple[NDArray[np.float64], ...]:
    """The groups of the bits from one to before another."""
    return tuple(group for start, group in zip(_starts(law), law.groups, strict=True) if first <= start < last)


def _matrix(groups: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Probability of reading each value, given the stored one, of groups that fail independently."""
    matrix: NDArray[np.float64] = np.ones((1, 1))
    for group in groups:
        # The right factor of a Kronecker product varies fastest: the less significant bits stand there.
        matrix = np.asarray(np.kron(group, matrix), dtype=np.float64)
    return matrix

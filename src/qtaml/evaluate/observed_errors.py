"""Which errors did a memory really make, and are they those that the plan assumes?"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from scipy import stats

from qtaml.evaluate.intervals import binomial_interval
from qtaml.formats import BlockCode, Protection
from qtaml.memory import Artifact, check_words, regions


@dataclass(frozen=True)
class ObservedRate:
    """How often bits of one value, at one position under one protection, were read wrong.

    Attributes:
        word_bits: length of their words.
        bit: bit position, 0 for the least significant.
        protection: what protects them.
        stored: the bit that was stored, 0 or 1.
        wrong: how many were read wrong.
        of: how many there are.
        low: lower end of the interval of the rate, for errors that are independent of each other.
        high: upper end.
        assumed: the rate that the plan assumes.
        at_most: the plan assumes an upper bound: for block codes, whose rates were measured.
        p_value: probability of a count as far off, were the assumed rate right.
    """

    word_bits: int
    bit: int
    protection: Protection
    stored: int
    wrong: int
    of: int
    low: float
    high: float
    assumed: float
    at_most: bool
    p_value: float

    @property
    def rate(self) -> float:
        """The rate observed."""
        return self.wrong / self.of


def observed_errors(
    stored: Artifact, words: Mapping[str, torch.Tensor], *, confidence: float = 0.95
) -> list[ObservedRate]:
    """Error rates of each bit position in words that were read back, beside those that the plan assumes.

    Args:
        stored: what was stored.
        words: what was read, for each tensor, as for `Memory.with_words`.
        confidence: coverage of each interval, in (0, 1).

    Returns:
        A row for each word length, bit position, protection and stored bit of which there are any; longest words and
        most significant bits first.

    Raises:
        ArgumentError: if the words do not fit.

    Example:
        >>> from qtaml.planning import uniform_msp
        >>> from qtaml.memory import store
        >>> model = torch.nn.Linear(100, 10)
        >>> memory = store(model, uniform_msp(model, p=0.1, protected_bits=7))
        >>> flipped = {name: tensor.words ^ 1 for name, tensor in memory.tensors.items()}
        >>> rows = observed_errors(memory.artifact, flipped)
        >>> [(row.bit, row.stored, row.rate, row.assumed) for row in rows[-2:]], rows[-1].p_value < 1e-9
        ([(0, 0, 1.0, 0.1), (0, 1, 1.0, 0.1)], True)
    """
    counts: dict[tuple[int, int, Protection, int, float], list[int]] = defaultdict(lambda: [0, 0])
    for entry in stored.plan.tensors:
        check_words(entry, words.get(entry.name))
        before, after = (one.cpu().reshape(-1).int() for one in (stored.tensors[entry.name].words, words[entry.name]))
        for region in regions(entry.storage):
            if not region.format.bits:
                continue
            rates = region.format.rates(stored.plan.fault)
            for bit in region.bits:
                ones, flipped = before >> bit & 1 == 1, (before ^ after) >> bit & 1 == 1
                for value, assumed in ((0, rates.p01[bit]), (1, rates.p10[bit])):
                    key = region.format.bits, bit, region.format.protections[bit], value, assumed
                    for span in region.spans:
                        these = ones[span] if value else ~ones[span]
                        counts[key][0] += int((flipped[span] & these).sum())
                        counts[key][1] += int(these.sum())
    rows = []
    for (word_bits, bit, protection, value, assumed), (wrong, of) in counts.items():
        if of:
            at_most = isinstance(protection, BlockCode)
            low, high = binomial_interval(wrong / of, of, confidence)
            p_value = stats.binomtest(wrong, of, assumed, alternative="greater" if at_most else "two-sided").pvalue
            rows.append(
                ObservedRate(word_bits, bit, protection, value, wrong, of, low, high, assumed, at_most, float(p_value))
            )
    return sorted(
        rows, key=lambda row: (-row.word_bits, -row.bit, row.protection.cells, str(row.protection), row.stored)
    )

"""The masks that PyTorch draws on other devices than the CPU follow the same law; here they are drawn on the CPU."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from qtaml.faults import MultiLevel, WordLaw, multi_level, static_cells
from qtaml.formats import transition_matrix
from qtaml.sampling import error_mask, flip, flip_asymmetric, sampler, torch_digits
from tests.reference.error_masks import mask_probabilities
from tests.reference.statistics import assert_counts_follow, assert_rate, assert_uncorrelated, counts_of, set_bits
from tests.tolerances import FALSE_ALARM

WORDS = 2**21
SAME_FOR_ALL = (0.1,) * 8
DIFFERENT = (0.5, 0.3, 0.26, 0.1, 1 / 3, 0.05, 0.2, 0.45)
ASCENDING = (1e-3, 0.002, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 1 / 3, 0.35, 0.4, 0.45, 0.49, 0.5)

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@pytest.mark.parametrize("probability", [1e-9, 1e-300, 5e-324, 0.05, 0.1, 1 / 3, 0.4999999999999999, 0.5, 1 - 2**-53])
def test_digits_sum_to_the_probability_itself(probability: float) -> None:
    """The binary digits that the sampler compares with add up to the very float, so nothing is rounded."""
    patterns = torch_digits.binary_digits([probability])
    total = sum(Fraction(pattern & 1, 2**place) for place, pattern in enumerate(patterns, start=1))
    assert total == Fraction(probability)


def test_every_sequence_of_random_digits_once() -> None:
    """With all 2**12 sequences of random digits, of equal weight, exactly p x 2**12 of them are errors.

    Twelve digits go beyond the nine of one pass, so the lanes that are still undecided after it are covered.
    """
    places = 12
    numerators = (1, 5, 819, 1024, 2047, 2048, 3000, 4095)
    probabilities = [numerator / 2**places for numerator in numerators]
    sequences = torch.arange(2**places)
    upcoming = iter(range(places))

    def next_digit(count: int) -> torch.Tensor:
        place = next(upcoming)
        # Lanes go on beyond the first pass only if all their digits so far were the same as those of p.
        alive = (
            sequences[sequences % 2**torch_digits._DIGITS_PER_PASS == 0]
            if place >= torch_digits._DIGITS_PER_PASS
            else None
        )
        digit = (sequences if alive is None else alive) >> place & 1
        assert len(digit) == count
        return -digit

    undecided = torch.full((2**places,), -1, dtype=torch.int64)
    error = torch_digits._decide(undecided, torch_digits.binary_digits(probabilities), next_digit)
    errors_of_words = error.numpy().view(np.uint8).reshape(-1, 8)
    assert set_bits(errors_of_words[:, 0].astype(np.int64), 8) == list(numerators)
    assert (errors_of_words == errors_of_words[:, :1]).all()


@pytest.mark.slow
def test_lanes_of_torch_have_all_bits_random() -> None:
    """Each of the 64 bits that torch's generator fills is set half of the time, and none go together (finds 1 %)."""
    lanes = torch_digits._random_lanes(0, torch.device("cpu"))(2**17).numpy().view(np.uint64)
    columns = np.stack([(lanes >> np.uint64(position) & np.uint64(1)).astype(float) for position in range(64)], axis=1)
    for successes in columns.sum(axis=0):
        assert_rate(int(successes), len(lanes), 0.5, FALSE_ALARM / 64)
    assert_uncorrelated(columns, columns, FALSE_ALARM, skip_diagonal=True)


@pytest.mark.parametrize("probabilities", [SAME_FOR_ALL, DIFFERENT])
def test_masks_follow_the_product_law(probabilities: tuple[float, ...]) -> None:
    """The 256 masks occur as often as the product law says (finds a root mean square relative error of 0.8 %)."""
    mask = torch.empty(WORDS, dtype=torch.uint8)
    torch_digits.draw_mask(mask, probabilities, seed=0)
    assert_counts_follow(counts_of(mask.numpy(), 8), mask_probabilities(probabilities), FALSE_ALARM)


@pytest.mark.slow
def test_static_and_multi_level_cells_follow_their_law() -> None:
    """Words of 3 bits, read 2**18 times each as on another device, occur as the transition matrix says (finds 2 %)."""
    rates = np.array([[[0.0, 0.1], [0.2, 0.3], [0.5, 1.0]], [[0.1, 0.2], [0.0, 0.0], [1.0, 0.2]]])
    cell = ((0.7, 0.2, 0.1, 0.0), (0.0, 1.0, 0.0, 0.0), (0.25, 0.25, 0.25, 0.25), (0.05, 0.1, 0.2, 0.65))
    groups = (cell, ((0.9, 0.1), (0.3, 0.7)))
    means = rates.mean(axis=2)
    for stored in range(8):
        words = torch.full((2**18,), stored, dtype=torch.uint8)
        for read, law in (
            (static_cells._read_elsewhere(words, rates, seed=stored, cells=3), WordLaw.of_bits(means[0], means[1])),
            (multi_level._read_elsewhere(words, groups, seed=stored), MultiLevel(groups).law(3)),
        ):
            assert_counts_follow(counts_of(read.numpy(), 3), transition_matrix(law)[stored], FALSE_ALARM / 16)


@needs_cuda
@pytest.mark.parametrize("probabilities", [SAME_FOR_ALL, DIFFERENT, ASCENDING])
def test_cuda_draws_from_the_same_law(probabilities: tuple[float, ...]) -> None:
    """On a CUDA device the masks have the exact law, repeat with the seed, and flip in place (finds 0.8 %)."""
    mask = error_mask((WORDS,), probabilities, seed=0, device="cuda")
    assert torch.equal(mask, error_mask((WORDS,), probabilities, seed=0, device="cuda"))
    words = torch.zeros(WORDS, dtype=mask.dtype, device="cuda")
    assert torch.equal(flip(words, probabilities, seed=0, in_place=True), mask)
    host = mask.cpu().numpy().astype(np.int64)
    assert_counts_follow(counts_of(host & 255, 8), mask_probabilities(probabilities[:8]), FALSE_ALARM)
    for successes, probability in zip(set_bits(host, len(probabilities)), probabilities, strict=True):
        assert_rate(successes, WORDS, probability, FALSE_ALARM / 16)


@needs_cuda
def test_without_triton_pytorch_draws_the_same_law_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 256 masks occur as often as the product law says, and asymmetric ones likewise."""
    monkeypatch.setattr(sampler, "fused_kernel", lambda device: None)
    mask = error_mask((2**21,), DIFFERENT, seed=0, device="cuda").cpu().numpy()
    assert_counts_follow(counts_of(mask, 8), mask_probabilities(DIFFERENT), FALSE_ALARM)
    ones = torch.full((2**21,), 255, dtype=torch.uint8, device="cuda")
    wrong = (flip_asymmetric(ones, (0.0,) * 8, DIFFERENT, seed=0) ^ ones).cpu().numpy()
    assert_counts_follow(counts_of(wrong, 8), mask_probabilities(DIFFERENT), FALSE_ALARM)

"""One of `p=` and `fault=` says how the memory fails."""

import pytest

from qtaml.errors import ArgumentError
from qtaml.faults import PerBit, Uniform, given


def test_a_probability_means_uniform_errors() -> None:
    """`p=` is short for the fault model of the paper."""
    assert given(0.05, None) == Uniform(0.05)


def test_a_fault_model_is_taken_as_it_is() -> None:
    """`fault=` takes any fault model."""
    fault = PerBit((0.1, 0.0))
    assert given(None, fault) is fault


@pytest.mark.parametrize(("p", "fault"), [(None, None), (0.1, Uniform(0.1))])
def test_both_or_neither_is_refused(p: float | None, fault: Uniform | None) -> None:
    """The message says that exactly one is wanted."""
    with pytest.raises(ArgumentError, match="give exactly one of p and fault"):
        given(p, fault)


def test_what_is_no_fault_model_is_refused() -> None:
    """A bare number as `fault=` is a likely slip."""
    with pytest.raises(
        ArgumentError, match=r"fault must be a fault model, or a sequence, each a fault model, or None, got 0\.1"
    ):
        given(None, 0.1)


def test_a_probability_out_of_range_is_refused() -> None:
    """`p=` is checked like that of the fault model."""
    with pytest.raises(ArgumentError, match=r"p must be a flip probability in \[0, 0\.5\), got 0\.5"):
        given(0.5, None)

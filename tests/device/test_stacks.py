"""Stacks against theory.md 4 and against quadrature through the whole profile."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtaml.device import Layer, Profile, Rectangular, Stack
from qtaml.errors import ArgumentError

ONO = (Layer(3.15, 3.0, 0.42, 3.9), Layer(2.1, 6.0, 0.40, 7.5), Layer(3.15, 4.0, 0.42, 3.9))

layers = st.builds(Layer, st.floats(1.0, 4.0), st.floats(0.5, 4.0), st.floats(0.1, 0.6), st.floats(2.0, 25.0))


def as_profile(stack):
    """The same stack as a potential and a mass over the depth, for quadrature."""
    borders = np.cumsum([layer.thickness for layer in stack.layers])
    fields = np.array([stack.displacement / layer.permittivity for layer in stack.layers])
    drops = np.concatenate([[0.0], np.cumsum(fields * [layer.thickness for layer in stack.layers])])
    starts = np.concatenate([[0.0], borders])
    heights = np.array([layer.height for layer in stack.layers])
    masses = np.array([layer.mass for layer in stack.layers])

    def index(x):
        return np.minimum(np.searchsorted(borders, x), len(heights) - 1)

    def potential(x):
        i = index(x)
        return heights[i] - drops[i] - fields[i] * (x - starts[i])

    return Profile(potential, float(borders[-1]), lambda x: masses[index(x)], breakpoints=tuple(borders[:-1].tolist()))


def test_oxide_nitride_oxide_of_the_theory(check_printed):
    """The worked example of theory.md 4, by the closed form and by quadrature."""
    stack = Stack(ONO, displacement=1.5)
    check_printed(stack.action(), "59.944")
    check_printed(as_profile(stack).action(), "59.944")


@settings(max_examples=40, deadline=None)
@given(st.lists(layers, min_size=1, max_size=4), st.floats(0.0, 3.0))
def test_closed_form_equals_quadrature(stack_layers, displacement):
    """Any one to four layers in any field: the sum over layers is the integral through the whole profile."""
    stack = Stack(tuple(stack_layers), displacement=displacement)
    assert stack.action() == pytest.approx(as_profile(stack).action(), rel=1e-9, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(layers, min_size=2, max_size=4), st.floats(0.0, 2.0), st.floats(0.05, 0.95))
def test_share_cuts_the_stack_at_its_depth(stack_layers, displacement, share):
    """A cut within a layer, at whatever layer that is, equals quadrature up to there."""
    stack = Stack(tuple(stack_layers), displacement=displacement)
    assert float(stack.actions(share=share)) == pytest.approx(
        float(as_profile(stack).actions(share=share)), rel=1e-7, abs=1e-7
    )


def test_one_layer_is_a_rectangular_barrier():
    """The displacement over the permittivity is the field, and all the rest is the barrier's."""
    single = Stack((Layer(3.15, 2.0, 0.42, 3.9),), displacement=1.5)
    tilted = Rectangular(3.15, 2.0, 0.42, field=1.5 / 3.9)
    assert single.action(0.2) == pytest.approx(tilted.action(0.2), rel=1e-14)
    assert float(single.action_slopes(0.2)) == pytest.approx(float(tilted.action_slopes(0.2)), rel=1e-14)


def test_cutting_a_layer_in_two_changes_nothing():
    """A border within one material is none: potential drops are carried over borders rightly."""
    whole = Stack((Layer(3.15, 2.0, 0.42), Layer(2.1, 3.0, 0.4, 7.5)), displacement=1.0)
    cut = Stack((Layer(3.15, 0.7, 0.42), Layer(3.15, 1.3, 0.42), Layer(2.1, 3.0, 0.4, 7.5)), displacement=1.0)
    assert cut.action() == pytest.approx(whole.action(), rel=1e-14)


def test_only_the_varied_layer_becomes_thicker():
    """Spread and inverses vary one layer; the others keep their thickness."""
    stack = Stack(ONO, displacement=1.5, varied=1)
    thicker = stack.thickened(0.5)
    assert [layer.thickness for layer in thicker.layers] == [3.0, 6.5, 4.0]
    assert thicker.thickness == 6.5
    assert thicker.action() == pytest.approx(float(stack.actions(extra=0.5)), rel=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": ()}, r"layers must hold at least one Layer, got \(\)"),
        ({"displacement": -1.0}, "displacement must be at least 0, got -1.0"),
        ({"varied": 3}, "varied must be a whole number from 0 to 2, got 3"),
    ],
)
def test_impossible_stacks_are_refused(arguments, message):
    """The message names the argument, its value and what is allowed."""
    with pytest.raises(ArgumentError, match=message):
        Stack(**({"layers": ONO} | arguments))


def test_impossible_layers_are_refused():
    """The message names the argument, its value and what is allowed."""
    with pytest.raises(ArgumentError, match=r"permittivity must be above 0, got -3\.9"):
        Layer(3.15, 1.0, 0.42, -3.9)


def test_energy_above_every_layer_is_refused():
    """An electron that no layer holds back is an error, as with one barrier."""
    with pytest.raises(ArgumentError, match=r"energy must be below the barrier height of 3\.15 eV, got 3\.2"):
        Stack(ONO).action(3.2)

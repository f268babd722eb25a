"""Insulators against the table of theory.md 2.1."""

import pytest

from qtaml.device import INSULATORS, insulator
from qtaml.errors import ArgumentError

TABLE = [  # name, 2 kappa in 1/nm, nm per decade
    ("sio2", "11.79", "0.195"),
    ("sio2_franz", "9.50", "0.242"),
    ("si3n4", "9.39", "0.245"),
    ("al2o3", "8.22", "0.280"),
    ("hfo2", "5.2", None),
    ("zro2", "5.42", "0.425"),
    ("hbn", "9.15", "0.252"),
]


@pytest.mark.parametrize(("name", "decay", "decade"), TABLE)
def test_decay_of_each_insulator(name, decay, decade, check_printed):
    """Twice the decay constant and the thickness for a decade of leakage."""
    check_printed(insulator(name).action_per_nm, decay)
    if decade is not None:
        check_printed(insulator(name).nm_per_decade, decade)


def test_every_insulator_has_a_source_and_its_sureness():
    """No bare numbers."""
    for name, entry in INSULATORS.items():
        assert entry.name == name
        assert entry.source
        assert entry.sureness in {"high", "medium", "low"}


def test_unknown_insulator_is_refused():
    """With near names and the list of all."""
    with pytest.raises(ArgumentError, match=r"insulator must be one of 'sio2', .*, got 'SiO2' \(did you mean 'sio2'"):
        insulator("SiO2")

"""Where the paper errs or overclaims: the numbers, and the paragraphs made of them."""

import json

import pytest

from qtaml.laboratory.result_file import save_result
from reproduction import remarks
from reproduction.remarks_text import remarks_texts
from reproduction.results import load_results

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


@pytest.fixture(scope="module")
def rows(laboratory):
    """Few random networks, two chips; all budgets, which the paragraphs name."""
    return remarks.compute(laboratory, random_networks=3, chips=2)


def value(rows, quantity):
    """The number of a quantity."""
    (found,) = [row.value.value for row in rows if row.quantity == quantity]
    return found


def test_every_point_has_a_number(rows):
    """Eleven points, and no quantity of a point twice."""
    assert sorted({row.point for row in rows}) == list(range(1, 12))
    assert len({(row.point, row.quantity) for row in rows}) == len(rows)


def test_the_papers_factor_makes_a_bias_under_protection(rows):
    """It helps a plain word and harms a protected one; the exact correction helps both."""
    for protected in remarks.PROTECTED:
        none, paper, exact = (
            value(rows, f"RMS bias, correction {way}, {protected} protected bits") for way in ("none", "paper", "exact")
        )
        assert exact < none
        assert (paper < none) == (protected == 0)


def test_only_a_new_step_amplifies_the_variance(rows):
    """1/(1-2p)**2 at p = 0.1 is 1.5625; quantisation of the weights moves it by less than a thousandth."""
    assert value(rows, "variance over uncorrected, exact correction, step kept, 2 protected bits") == pytest.approx(1)
    recomputed = value(rows, "variance over uncorrected, paper's factor, step recomputed, 2 protected bits")
    assert recomputed == pytest.approx(1 / 0.8**2, rel=1e-3)


def test_numbers_that_theory_knows(rows):
    """Capacities, the rounding bound, the knife edge (theory.md 0.3, 0.4, 0.7), the largest weight."""
    assert value(rows, "capacity of a cell, symmetric errors") == pytest.approx(0.531, abs=1e-3)
    assert value(rows, "worst cost of whole bits, split, 2 tensors") <= value(rows, "bound of split")
    assert value(rows, "oxide between p = 1e-6 and p = 0.1, 100 electrons") == pytest.approx(0.049, abs=1e-3)
    assert value(rows, "error of the largest weight, integer grid") == pytest.approx(1)
    assert value(rows, "error of the largest weight, half_step grid") == pytest.approx(0, abs=1e-9)
    assert value(rows, "cells for a protected bit, Shannon limit") < value(rows, "cells for a protected bit, LDPC")


def test_a_smaller_full_scale_is_better(rows):
    """In dB; it is the best of many."""
    clipped, largest = "signal to noise, best full scale", "signal to noise, full scale at the largest weight"
    assert value(rows, clipped) > value(rows, largest) + 3


def test_every_point_has_a_paragraph_with_its_numbers(rows, laboratory, tmp_path):
    """Eleven of them; a missing number is named."""
    path = tmp_path / "remarks.json"
    save_result(path, remarks.REMARKS.title, rows, laboratory.manifest())
    texts = remarks_texts(load_results(tmp_path, ["remarks"])["remarks"])
    assert len(texts) == 11
    assert len({title for title, _ in texts}) == 11
    assert "knife edge" in texts[7][1]
    assert "0.049 nm for 100 electrons" in texts[7][1]

    record = json.loads(path.read_text())
    record["rows"] = [row for row in record["rows"] if row["quantity"] != "rho*"]
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"'quantity': 'rho\*'"):
        remarks_texts(load_results(tmp_path, ["remarks"])["remarks"])

"""Measurements are made once, kept, and do not depend on how they were made."""

import pytest

import qtaml
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory, Measured
from qtaml.measuring import Estimate
from qtaml.planning import ByHand, Tac, UniformMsp

CASES = [Case("SmallCNN", UniformMsp(p=0.1, protected_bits=bits)) for bits in (0, 2)]


def records_of(folder):
    """Path and time of each kept measurement."""
    return {path: path.stat().st_mtime_ns for path in (folder / "measurements").iterdir()}


@pytest.fixture
def mine(laboratory_beside, tmp_path):
    """A laboratory of its own records."""
    return laboratory_beside(tmp_path)


@pytest.mark.slow
def test_what_is_measured_is_not_measured_again(mine):
    """Neither by the same laboratory nor by another on the folder, and not for a case that is asked twice."""
    first = mine.measure([*CASES, CASES[0]])
    assert first[0] == first[2]
    before = records_of(mine.folder)
    assert len(before) == 2
    again = Laboratory(mine.folder, trials=2, training_seeds=(0,), workers=1).measure(CASES)
    assert again == first[:2]
    assert records_of(mine.folder) == before


def test_an_interrupted_run_goes_on(mine):
    """What is missing is measured, with the same numbers; the rest stays."""
    whole = mine.measure(CASES)
    before = records_of(mine.folder)
    lost = next(path for path in before if '"protected_bits": 2.0' in path.read_text())
    lost.unlink()
    again = mine.measure(CASES)
    assert [one.values.tolist() for one in again] == [one.values.tolist() for one in whole]
    after = records_of(mine.folder)
    assert after.keys() == before.keys()
    assert [path for path in before if after[path] != before[path]] == [lost]


@pytest.mark.parametrize("content", ["", '{"task": 1', '{"overhead": 0.0}'])
def test_a_damaged_record_is_named(mine, content):
    """The error says which file, and that it is no record."""
    mine.measure(CASES[:1])
    (path,) = records_of(mine.folder)
    path.write_text(content)
    with pytest.raises(qtaml.StoredFileError, match=rf"{path.name} is not a valid Record"):
        mine.measure(CASES[:1])


@pytest.mark.long
def test_numbers_do_not_depend_on_the_number_of_processes(mine, laboratory_beside, tmp_path):
    """One process and two give the same bits."""
    (tmp_path / "two").mkdir()
    parallel = laboratory_beside(tmp_path / "two", workers=2)
    cases = [*CASES, Case("SmallCNN", Tac(p=0.1, overhead=0.03))]
    one, two = mine.measure(cases), parallel.measure(cases)
    for first, second in zip(one, two, strict=True):
        assert first.values.tolist() == second.values.tolist()
        assert (first.overhead, first.clean) == (second.overhead, second.clean)
        assert first.records[0].predicted_error == second.records[0].predicted_error


def test_methods_see_the_same_errors(mine):
    """The difference of a case to itself is exactly 0; that of two protections is sharper than each alone."""
    plain, protected = mine.measure(CASES)
    assert plain.minus(plain) == Estimate(0.0, 0.0, 0.0, "reads")
    assert protected.minus(plain).value == pytest.approx(protected.estimate.value - plain.estimate.value)


def test_the_interval_of_one_training_covers_test_samples_too(mine):
    """Of several trainings it is over trainings; a single one has no spread, and its test samples must count."""
    (measured,) = mine.measure(CASES[1:])
    result = measured.records[0].result
    assert result.covers == "reads and test samples"
    assert measured.estimate == result.estimate
    twice = Measured(measured.records * 2)
    assert twice.estimate.value == measured.estimate.value
    assert twice.estimate != measured.estimate


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Case("BigCNN", Tac(p=0.1, overhead=0.03)), "network must be one of 'SmallCNN'"),
        (Case("SmallCNN", ByHand(p=0.1)), "method must be one of 'uniform_msp', 'tac'.* got 'by_hand'"),
    ],
)
def test_what_does_not_exist_is_refused(mine, case, message):
    """Each names the argument, its value and what is allowed; nothing is kept."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        mine.measure([case])
    assert not (mine.folder / "measurements").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 1}, "trials must be a whole number of at least 2, got 1"),
        ({"training_seeds": (-1,)}, "training_seeds must be a whole number of at least 0, got -1"),
        ({"workers": -2}, "workers must be a whole number of at least 1, got -2"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, message):
    """Each names the argument, its value and what is allowed."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        Laboratory(tmp_path, **arguments)

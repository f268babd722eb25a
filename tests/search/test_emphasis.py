"""Search over the emphasis on each tensor."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from qtaml.search.emphasis import Emphasis, evolved, exchanged, improved

NAMES = ["first", "second", "third"]
WANTED = {"first": 8.0, "second": 0.1, "third": 1.0}


@dataclass(frozen=True)
class Found:
    """How far an emphasis is from the one that is wanted; unsettled ones look a tenth worse."""

    emphasis: Emphasis
    error: float
    settled: bool = False


def attempt(emphasis, near=None):
    """Steps, as those of whole blocks: small changes of emphasis change nothing."""
    return Found(emphasis, 1.1 * sum(abs(round(4 * np.log(emphasis[name] / WANTED[name]))) for name in NAMES) + 0.11)


def settled(one, near=None):
    """As it really is; what was tuned for another one is of no use here."""
    return one if one.settled or near else replace(one, error=one.error / 1.1, settled=True)


@pytest.mark.parametrize("seed", range(5))
def test_generations_find_what_is_wanted(seed):
    """From equal emphasis, over plateaus; the outcomes differ, and the best stands first and is settled."""
    equal = attempt(dict.fromkeys(NAMES, 1.0))
    found = evolved([equal], NAMES, attempt, settled, trials=240, seed=seed)
    assert found[0].error < 0.15 * equal.error
    errors = [one.error for one in found]
    assert errors == sorted(set(errors))
    assert found[0].settled


def test_the_same_seed_finds_the_same():
    """Nothing is drawn but by the seed."""
    runs = [evolved([attempt(WANTED | {"third": 9.0})], NAMES, attempt, settled, trials=24, seed=3) for _ in range(2)]
    assert runs[0] == runs[1]


def test_without_trials_the_best_start_is_settled():
    """No child is drawn."""
    starts = [attempt(dict.fromkeys(NAMES, 2.0)), attempt(WANTED)]
    found = evolved(starts, NAMES, attempt, settled, trials=0, seed=0)
    assert found == [settled(starts[1]), starts[0]]


def test_single_changes_lower_the_error():
    """Of a few trials, for networks that cannot afford more."""
    equal = attempt(dict.fromkeys(NAMES, 1.0))
    assert improved([equal], NAMES, attempt, trials=12).error < 0.6 * equal.error


def test_exchanges_go_on_from_what_is_a_little_worse():
    """Two together may do what neither does alone, and what was gone on from once is not again."""
    heights, asked = [5.0, 5.2, 1.0, 9.0, 9.5, 0.5], []

    def near(one):
        asked.append(one.emphasis["place"])
        places = [place for place in (one.emphasis["place"] - 1, one.emphasis["place"] + 1) if 0 <= place < 6]
        return (Found({"place": place}, heights[place]) for place in places)

    start = Found({"place": 0}, heights[0])
    assert exchanged([start], near, lambda one: one, most=6)[0].error == 1.0
    assert asked == list(dict.fromkeys(asked))
    assert exchanged([start], near, lambda one: one, most=1)[0] is start

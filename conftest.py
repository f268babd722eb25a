"""Settings that tests and doctests share: it stands here, since a conftest in tests/ would not reach doctests."""

import os
import random
from collections.abc import Generator

import numpy as np
import pytest
import torch
from hypothesis import settings

# The same examples on every run, so that a failure is a change of the code; HYPOTHESIS_PROFILE=default explores.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def seed_everything() -> None:
    """Give the global generators of torch, NumPy and Python the state that every test begins with."""
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """No test draws unseeded: neither its order nor the choice of other tests changes what it draws."""
    seed_everything()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
    """Fixtures of a module or of the session are made before `_seeded` runs, for whichever test asks first."""
    if fixturedef.scope != "function":
        seed_everything()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that draws when it is imported would have other numbers after other modules: it is an error."""
    before = _states()
    report = yield
    if report.passed and _states() != before:
        report.outcome, report.longrepr = "failed", f"{collector.nodeid} draws from a global generator on import"
    return report


def _states() -> tuple[bytes, bytes, int]:
    """From what torch and NumPy draw next. Python's generator is left out, since rich draws from it on import."""
    _, keys, position, *_ = np.random.get_state(legacy=True)
    return torch.get_rng_state().numpy().tobytes(), keys.tobytes(), position

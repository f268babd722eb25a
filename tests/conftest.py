"""One laboratory for all tests, of a tiny size: networks are trained once for the whole run."""

import os
from dataclasses import replace

import numpy as np
import pytest

from qtaml.device import RetentionData, fit_retention
from qtaml.laboratory.laboratory import Laboratory
from qtaml.networks import RECIPES, Data, LanguageModel, python_sources
from reproduction import real_networks
from tests import stand_ins


def tiny_text():
    """A few windows of the text."""
    train, test = python_sources()
    return Data(train[:64, :-1], train[:64, 1:], test[:8, :-1], test[:8, 1:], calibration_samples=4)


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory):
    """Two reads of one trained network; the folder is shared by the processes of pytest-xdist, but by no two runs."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "laboratory"
    with pytest.MonkeyPatch.context() as patch:
        small = replace(RECIPES["LanguageModel"], build=lambda: LanguageModel(16, blocks=1), data=tiny_text)
        patch.setitem(RECIPES, "LanguageModel", small)
        patch.setattr(real_networks, "NETWORKS", stand_ins.networks())
        yield Laboratory(folder, trials=2, training_seeds=(0,), workers=1, load=real_networks.load)


@pytest.fixture(scope="session")
def laboratory_beside(laboratory):
    """A function that makes a laboratory with records of its own in a folder, and the trained networks of all tests."""
    laboratory.network("SmallCNN", 0)

    def call(folder, **arguments):
        (folder / "networks").symlink_to(laboratory.folder / "networks")
        return Laboratory(folder, **{"trials": 2, "training_seeds": (0,), "workers": 1} | arguments)

    return call


@pytest.fixture(scope="session")
def measured_cell():
    """A cell that was fitted to 200 retention times, of 50 us to 20 ms."""
    times = np.exp(np.random.default_rng(0).normal(-7.0, 1.0, 200))
    return fit_retention(RetentionData(times, times, np.full(200, 300.0), np.ones(200)), tail=False)

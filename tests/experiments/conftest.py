"""One laboratory for all experiments at a tiny size: networks are trained once for the whole test run."""

import pytest

from qtaml.experiments.laboratory import Laboratory


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory):
    """Two reads of one trained network; the folder is shared by the processes of pytest-xdist."""
    folder = tmp_path_factory.getbasetemp().parent / "laboratory"
    return Laboratory(folder, trials=2, training_seeds=(0,), workers=1)

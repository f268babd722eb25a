"""Output of published simulators, kept as fixtures."""

import csv
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"


def rows(name):
    """Rows of a CSV file, whose comment lines say where it comes from."""
    lines = (FIXTURES / name).read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def cacti():
    """What CACTI prints of arrays of 1 MiB."""
    return rows("cacti_1MiB.csv")


def nvsim():
    """What NVSim prints of an SRAM of 1 MiB, by way of NVMExplorer."""
    return rows("nvmexplorer_sram.csv")[0]

"""A digit network stored in three ways, measured and compared on one page: docs/example_report.html.

python examples/report.py [REPORT.html]
"""

import sys
from pathlib import Path

import qtaml
from qtaml.networks import trained

P = 0.10


def main() -> None:
    """Train or load the network, plan, store, measure, write the page."""
    model, data = trained("SmallCNN", cache="out/networks")
    calibration = data.calibration
    # The first is what the others are compared with.
    plans = {
        "TAC, 5% more cells": qtaml.compensate(model, calibration, p=P, overhead=0.05),
        "design, votes and tables": qtaml.design(
            model, calibration, p=P, cells=0.5, decoders=("none", "table", "majority")
        ),
        "design, every decoder": qtaml.design(model, calibration, p=P, cells=0.3),
    }
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/example_report.html")
    found = qtaml.report(
        {name: qtaml.store(model, plan) for name, plan in plans.items()},
        qtaml.Accuracy(data.test_inputs, data.test_labels),
        model=model,
        out=out,
        command="python examples/report.py",
    )
    for one in found.comparisons:
        print(f"{one.first} minus {one.second}: {one.difference:.4f}")
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

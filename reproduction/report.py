"""From the results of a folder to the page on the paper's claims."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from qtaml import _files
from reproduction import allocations, least_overhead, linear_response, mismatch, other_faults, overhead_curve, rounding
from reproduction.catalog import CATALOG, PAPER
from reproduction.claims import CLAIMS
from reproduction.page import Finding, Part, reproduction_page
from reproduction.remarks_text import remarks_texts
from reproduction.results import Results, load_results

CHOICES = (
    "Networks: SmallCNN and WideCNN as the paper's sizes give them. DeepCNN: four convolutions of 16, 16, 32 and 32 "
    "channels and two linear layers (49,680 weights in 6 tensors). ResCNN: 16 channels throughout (26,384 weights in "
    "7 tensors). Transformer: hidden width 48, feed-forward width 96, 38,400 weights in 10 tensors; the label is "
    "(first + last token) mod vocabulary.",
    "Data and training: the scikit-learn digits with a fixed split, 20% of them for testing; calibration on 64 "
    "training samples, so that no test sample is used twice (the paper takes them from the test set).",
    "Flip probabilities: 0.10 for the convolutional networks, 0.05 for the transformer.",
    f"Overhead of TAC where SmallCNN meets other faults than planned for: {mismatch.OVERHEAD:.0%} (calibration "
    f"mismatch), {other_faults.OVERHEAD:.0%} (other fault models). Uniform-MSP beside it: 12.5% and 25%.",
    "Overheads of curves: " + ", ".join(f"{one:.2%}" for one in overhead_curve.OVERHEADS if one) + " (table 2), "
    + ", ".join(f"{one:.1%}" for one in allocations.OVERHEADS) + " (figure 3), "
    + ", ".join(f"{one:.2%}" for one in least_overhead.OVERHEADS) + " (figure 5).",
    "Uniform-MSP exists at whole numbers of protected bits. Both readings are given: the first whole number that "
    "reaches the target, and mixed k, where part of the weights of each tensor has one bit more. The budget for 95% "
    "of clean accuracy is found by halving a bracket of the measured curve, for TAC and mixed k alike.",
    "Random networks of table 7: scores log-uniform over three decades, sizes log-uniform from 100 to 100 000 "
    f"weights, budgets uniform where rho* holds; {rounding.NETWORKS} for each number of tensors, "
    f"{rounding.INTEGER_NETWORKS} for the exact allocation.",
    "Mean correction: the exact one (theory of this package) is the default; the paper's factor with a new step is "
    "measured beside it where the paper makes a claim about it (tables 3 and 9).",
    "A.7: changes of " + ", ".join(f"{one:g}" for one in linear_response.EPSILONS) + " in units of the weights.",
)  # fmt: skip
"""Where the paper's text lost a number, or says none."""


def findings(results: Results) -> dict[str, tuple[Finding, ...]]:
    """What became of each claim, by the result with which it is told."""
    found: dict[str, tuple[Finding, ...]] = {}
    for claim in CLAIMS:
        outcome = claim.check(results)
        finding = Finding(claim.where, claim.says, outcome.measured, outcome.verdict, outcome.why)
        found[claim.results[0]] = (*found.get(claim.results[0], ()), finding)
    return found


def write_page(folder: Path, path: Path, names: Sequence[str]) -> None:
    """Write the page of an experiment that has one, if it alone is named; else the one on the paper's claims.

    Args:
        folder: where `python -m reproduction` wrote results.
        path: the page, markdown; pictures are linked from it.
        names: of experiments.

    Raises:
        StoredFileError: if a result is missing, or the page cannot be written; the message names it.
    """
    own = CATALOG[names[0]].page if len(names) == 1 else None
    if own is None:
        write_report(folder, path)
        return
    result = load_results(folder, names)[names[0]]
    picture = Path(os.path.relpath(folder / f"{names[0]}.png", path.parent)).as_posix()
    _files.write_text(path, own(result.rows, result.manifest, picture))


def write_report(folder: Path, path: Path) -> None:
    """Write the page on the paper's claims from the results of a folder.

    Args:
        folder: where `python -m reproduction` wrote all results of the paper.
        path: the page, markdown; pictures are linked from it.

    Raises:
        StoredFileError: if a result is missing, or the page cannot be written; the message names it.
    """
    results = load_results(folder, list(PAPER))
    found = findings(results)
    link = Path(os.path.relpath(folder, path.parent)).as_posix()
    parts = [
        Part(name, PAPER[name].title, found.get(name, ()), f"{link}/{name}.png" if PAPER[name].draw else None)
        for name in PAPER
        if name != "remarks"
    ]
    _files.write_text(
        path, reproduction_page(_introduction(results), parts, remarks_texts(results["remarks"]), CHOICES)
    )


def _introduction(results: Results) -> Sequence[str]:
    manifests: list[Mapping[str, object]] = [result.manifest for result in results.values()]
    first = manifests[0]
    minutes = sum(float(str(one["seconds"])) for one in manifests) / 60
    trainings = {len(result.manifest["training_seeds"]) for result in results.values()}
    reads = {one["trials"] for one in manifests}
    return (
        "The paper released no code, and its text lost most of its numbers. This page sets each claim that is still "
        "known beside what this implementation measures. It is written by `make reproduce`, which computes every "
        f"table and figure anew; the results shown took {minutes:.0f} minutes in all, measurements that were there "
        "already not counted. `python -m reproduction NAME` makes one of them.",
        f"Every accuracy is a mean over {_numbers(trainings)} trained networks and {_numbers(reads)} reads of each, "
        f"under seed {first['seed']}; brackets hold 95% intervals over trainings and reads. Differences are paired: "
        "all methods see the same random errors. Verdicts are computed from the rows, a condition counting as met "
        "only beyond its interval where there is one: a claim holds if all its conditions are met, in part if some "
        "are. No experiment was changed to agree. Where the paper's words or lost numbers leave room, the criterion is "
        "named; those for random protection (figure 8), for pairs of networks (table 5) and "
        "for the two corrections (table 3) were settled after first results had been seen.",
    )


def _numbers(values: set[object] | set[int]) -> str:
    return " or ".join(sorted(map(str, values)))

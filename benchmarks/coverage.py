"""How often intervals hold the truth: `python -m benchmarks.coverage`, results/coverage.json, docs/coverage.md."""

import argparse
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.coverage_page import PAGE, Coverage, Row, page
from qtaml import _files, faults
from qtaml._progress import track
from qtaml._random import child_seed
from qtaml.measuring import Accuracy, OutputCosine, OutputDivergence
from qtaml.measuring.caution import caution_of
from qtaml.measuring.intervals import crossed_interval, reads_interval, samples_interval
from qtaml.measuring.mean_intervals import UNBOUNDED, Bounds
from qtaml.measuring.metrics import SampleMetric
from qtaml.measuring.monte_carlo import LEAST_READS, RISK_LEFT
from qtaml.measuring.reads import scores_of_reads
from qtaml.memory import store
from qtaml.model import evaluation_mode, outputs
from qtaml.networks import Data, trained
from qtaml.planning import uniform_msp

Numbers = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int, int], tuple[Numbers, float | Numbers]]
"""From repetitions, reads and samples: scores, shape (repetitions, reads, samples), and their expectation."""

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results" / "coverage.json"
CONFIDENCE = 0.95
REPETITIONS = 2000
READS = (3, 5, 30, 100)
SAMPLES = (10, 20, 100, 1000)
MOST_SCORES = 10_000
"""Larger tables are drawn in two of the ways only, those of `ALL_SIZES`."""
ALL_SIZES = ("accuracy 0.97 logistic, samples 3, reads 0.3", "log-likelihood, perplexity lognormal (0.3, 0.7, 0.5)")
LEVELS = (0.005, 0.03, 0.1, 0.5, 0.9, 0.97, 0.995)
LOSS = (0.0, np.inf)
_AT_ONCE = 4_000_000
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(120)


def difficulty(level: float, of_samples: float, of_reads: float) -> Draw:
    """Right or wrong by a logistic model: samples of normal difficulty, reads of normal quality; mean `level`."""
    spread = float(np.hypot(of_samples, of_reads))
    weights = _WEIGHTS / _WEIGHTS.sum()
    middle = scipy.optimize.brentq(lambda m: weights @ scipy.special.expit(m + spread * _NODES) - level, -60, 60)

    def draw(generator: np.random.Generator, repetitions: int, reads: int, samples: int) -> tuple[Numbers, float]:
        def normal(*shape: int) -> NDArray[np.float32]:
            return generator.standard_normal((repetitions, *shape), dtype=np.float32)

        effects = (
            np.float32(middle) + np.float32(of_reads) * normal(reads, 1) + np.float32(of_samples) * normal(1, samples)
        )
        right = generator.random(effects.shape, dtype=np.float32) * (1 + np.exp(-effects)) < 1
        return right.astype(np.float64), level

    return draw


def hard_samples(level: float) -> Draw:
    """Few samples that are nearly always wrong, and many that are right in all reads but one of a thousand."""
    share = (1 - level - 0.001) / (0.8 - 0.001)

    def draw(generator: np.random.Generator, repetitions: int, reads: int, samples: int) -> tuple[Numbers, float]:
        hard = generator.random((repetitions, 1, samples)) < share
        right = np.where(hard, generator.beta(1, 4, hard.shape), 0.999)
        return (generator.random((repetitions, reads, samples)) < right).astype(np.float64), level

    return draw


def lognormal(of_reads: float, of_samples: float, of_both: float) -> Draw:
    """Losses whose logarithm is normal, with spread over reads, over samples, and of both together."""

    def draw(generator: np.random.Generator, repetitions: int, reads: int, samples: int) -> tuple[Numbers, float]:
        def normal(*shape: int) -> Numbers:
            return generator.standard_normal((repetitions, *shape))

        logs = of_reads * normal(reads, 1) + of_samples * normal(1, samples) + of_both * normal(reads, samples)
        return np.exp(logs), float(np.exp((of_reads**2 + of_samples**2 + of_both**2) / 2))

    return draw


def cosines(scale: float, of_reads: float, of_samples: float, of_both: float) -> Draw:
    """Cosines 1 - 2 x / (1 + x) for lognormal distances x."""
    loss = lognormal(of_reads, of_samples, of_both)
    spread = float(np.sqrt(of_reads**2 + of_samples**2 + of_both**2))
    truth = float((_WEIGHTS / _WEIGHTS.sum()) @ (1 - 2 * scipy.special.expit(np.log(scale) + spread * _NODES)))
    return lambda *sizes: (1 - 2 * (x := scale * loss(*sizes)[0]) / (1 + x), truth)


def numbers(of_reads: float, of_samples: float, of_both: float) -> Draw:
    """Normal scores."""
    loss = lognormal(of_reads, of_samples, of_both)
    return lambda *sizes: (np.log(loss(*sizes)[0]), 0.0)


def from_table(table: Numbers) -> Draw:
    """Reads and samples of a table that was measured, drawn with replacement: its mean is the truth."""

    def draw(generator: np.random.Generator, repetitions: int, reads: int, samples: int) -> tuple[Numbers, float]:
        rows = generator.integers(0, table.shape[0], (repetitions, reads, 1))
        columns = generator.integers(0, table.shape[1], (repetitions, 1, samples))
        return table[rows, columns], float(table.mean())

    return draw


class CrossEntropy:
    """Cross-entropy of each sample: a metric as a user would write it."""

    bounds = LOSS

    def __init__(self, inputs: torch.Tensor, labels: torch.Tensor) -> None:
        self._inputs, self._labels = inputs, labels

    def scores(self, model: nn.Module) -> torch.Tensor:
        """Loss of each sample."""
        with evaluation_mode(model) as network, torch.no_grad():
            return nn.functional.cross_entropy(outputs(network, self._inputs), self._labels, reduction="none")


def network_tables(model: nn.Module, data: Data, p: float, reads: int) -> dict[str, Numbers]:
    """Scores of a network, two of eight bits protected, in many reads of its test samples, by metric."""
    memory = store(model, uniform_msp(model, p=p, protected_bits=2))
    seeds = [child_seed(0, "coverage", read) for read in range(reads)]
    metrics: dict[str, SampleMetric] = {
        "accuracy": Accuracy(data.test_inputs, data.test_labels),
        "cross-entropy": CrossEntropy(data.test_inputs, data.test_labels),
        "divergence": OutputDivergence(model, data.test_inputs),
        "cosine": OutputCosine(model, data.test_inputs),
    }
    fault = faults.Uniform(p)
    return {
        name: np.stack([np.asarray(one, dtype=np.float64) for one in scores_of_reads(memory, metric, seeds, fault)])
        for name, metric in metrics.items()
    }


def sizes(name: str) -> Iterator[tuple[int, int]]:
    """Numbers of reads and of samples of what is drawn under a name."""
    for samples in SAMPLES:
        for reads in READS:
            if samples * reads <= MOST_SCORES or name in ALL_SIZES:
                yield reads, samples


def summary(
    kind: str,
    drawn: str,
    samples: int,
    reads: int,
    ends: list[tuple[Numbers, Numbers, Numbers]],
    cautions: list[str] | None = None,
) -> Row:
    """A row from (low, high, truth) of all repetitions, and what was said of each; nothing if not given."""
    low, high, truth = (np.concatenate([np.atleast_1d(part[place]) for part in ends]) for place in range(3))
    below, above, width = truth < low, truth > high, high - low
    held = float(1 - below.mean() - above.mean())
    rounded = (round(float(share), 4) for share in (held, below.mean(), above.mean()))
    free = np.array([not said for said in cautions or [""] * len(width)])
    without = round(float((~(below | above))[free].mean()), 4) if free.any() else None
    widths = float(np.median(width)), float(width.min())
    return Row(kind, drawn, samples, reads, *rounded, *widths, len(width), round(float(free.mean()), 4), without)


def crossed(kind: str, drawn: str, draw: Draw, reads: int, samples: int, repetitions: int, bounds: Bounds) -> Row:
    """Coverage of the interval over reads and test samples."""
    generator = np.random.default_rng(child_seed(1, kind, drawn, reads, samples))
    at_once, ends, cautions = max(1, _AT_ONCE // (reads * samples)), [], []
    for done in range(0, repetitions, at_once):
        scores, truth = draw(generator, min(at_once, repetitions - done), reads, samples)
        proportion = kind.startswith("accuracy")
        low, high = crossed_interval(scores, CONFIDENCE, proportion=proportion, bounds=bounds)
        ends.append((low, high, np.broadcast_to(truth, low.shape)))
        cautions += [caution_of(table, (0.0, 1.0) if proportion else bounds) for table in scores]
    return summary(kind, drawn, samples, reads, ends, cautions)


def values_of_reads(kind: str, generator: np.random.Generator, repetitions: int, reads: int) -> tuple[Numbers, float]:
    """One number for each read, shape (repetitions, reads), and its expectation."""
    shape = (repetitions, reads)
    if kind == "accuracy":
        # Of 100 samples, equally difficult; the memory is not equally good in all reads.
        share = float((_WEIGHTS / _WEIGHTS.sum()) @ scipy.special.expit(3.6 + 0.5 * _NODES))
        quality = scipy.special.expit(3.6 + 0.5 * generator.standard_normal(shape))
        return generator.binomial(100, quality) / 100, share
    if kind == "loss":
        return np.exp(0.5 * generator.standard_normal(shape)), float(np.exp(0.125))
    if kind == "number, skewed":
        return 1 - 0.1 * generator.exponential(1.0, shape), 0.9
    return generator.standard_normal(shape), 0.0


KINDS_OF_READS = {
    "accuracy": "share of 100 samples, mean 96%, quality of reads logistic-normal (0.5)",
    "loss": "lognormal (0.5)",
    "number": "normal",
    "number, skewed": "1 minus an exponential number",
}


def ends_of_reads(kind: str, values: Numbers, confidence: float) -> tuple[Numbers, Numbers]:
    """The interval over reads of values of a kind."""
    answers = 100 if kind == "accuracy" else None
    return reads_interval(values, confidence, bounds=bounds_of_reads(kind), answers=answers)


def bounds_of_reads(kind: str) -> Bounds:
    """The least and the greatest value of a kind."""
    return {"accuracy": (0.0, 1.0), "loss": LOSS}.get(kind, UNBOUNDED)


def of_reads(kind: str, reads: int, repetitions: int) -> Row:
    """Coverage of the interval over reads, on the same samples."""
    values, truth = values_of_reads(kind, np.random.default_rng(child_seed(2, kind, reads)), repetitions, reads)
    low, high = ends_of_reads(kind, values, CONFIDENCE)
    cautions = [caution_of(one[:, None], bounds_of_reads(kind)) for one in values]
    ends = [(low, high, np.full(low.shape, truth))]
    return summary(f"{kind}, reads only", KINDS_OF_READS[kind], 100, reads, ends, cautions)


def stopped(kind: str, target: int, repetitions: int, most: int = 300) -> Row:
    """Coverage where reading stops as soon as the interval is as narrow as about `target` reads make it."""
    values, truth = values_of_reads(kind, np.random.default_rng(child_seed(3, kind, target)), repetitions, most)
    width = 2 * 1.96 * float(values.std()) / target**0.5
    found = np.zeros((3, repetitions))
    left = np.arange(repetitions)
    for reads in range(LEAST_READS, most + 1):
        low, high = ends_of_reads(kind, values[left, :reads], 1 - RISK_LEFT * (1 - CONFIDENCE))
        stop = (high - low <= width) | (reads == most)
        found[:, left[stop]] = low[stop], high[stop], np.full(int(stop.sum()), reads)
        left = left[~stop]
        if not len(left):
            break
    ends = [(found[0], found[1], np.full(repetitions, truth))]
    drawn = f"{KINDS_OF_READS[kind]}; width of {target} reads"
    return summary(f"{kind}, stopped early", drawn, 100, round(float(found[2].mean())), ends)


def of_samples(kind: str, samples: int, repetitions: int) -> Row:
    """Coverage of the interval over test samples of one network."""
    generator = np.random.default_rng(child_seed(4, kind, samples))
    level = float(kind.split()[1]) if kind.startswith("accuracy") else 0.0
    ends, cautions, truth = [], [], level or float(np.exp(0.5 * 0.8**2))
    for _ in range(repetitions):
        scores = generator.random(samples) < level if level else np.exp(0.8 * generator.standard_normal(samples))
        found = samples_interval(scores.astype(np.float64), CONFIDENCE, proportion=bool(level), bounds=LOSS)
        ends.append((np.array([found.low]), np.array([found.high]), np.array([truth])))
        cautions.append(caution_of(scores[None], (0.0, 1.0) if level else LOSS))
    return summary(f"{kind}, one network", "independent samples; losses lognormal (0.8)", samples, 1, ends, cautions)


def crossed_cases(tables: dict[str, dict[str, Numbers]]) -> Iterator[tuple[str, str, Draw, Bounds]]:
    """Kind, how it is drawn, draw and bounds of all intervals over reads and test samples."""
    for level in LEVELS:
        name = f"accuracy {level:g}"
        yield name, "logistic, samples 3, reads 0.3", difficulty(level, 3, 0.3), (0.0, 1.0)
        if level >= 0.5:
            yield name, "logistic, samples 1.5, reads 0.2", difficulty(level, 1.5, 0.2), (0.0, 1.0)
            yield name, "logistic, samples 3, reads 1", difficulty(level, 3, 1), (0.0, 1.0)
            yield name, "few hard samples", hard_samples(level), (0.0, 1.0)
    for spread in ((0.1, 0.4, 0.2), (0.3, 0.7, 0.5), (0.3, 1.2, 0.6)):
        yield "log-likelihood, perplexity", f"lognormal {spread}", lognormal(*spread), LOSS
    for spread in ((0.5, 0.5, 0.5), (0.8, 0.8, 0.5)):
        yield "divergence", f"lognormal {spread}", lognormal(*spread), LOSS
    for scale in (0.003, 0.1):
        drawn = f"1 - 2x/(1+x), x = {scale:g} lognormal (0.5, 0.7, 0.4)"
        yield "cosine", drawn, cosines(scale, 0.5, 0.7, 0.4), (-1.0, 1.0)
    for spread in ((0.3, 1, 0.5), (1, 0.3, 0.3)):
        yield "number", f"normal {spread}", numbers(*spread), UNBOUNDED
    for drawn, of_metric in tables.items():
        for kind, table in of_metric.items():
            bounds = {"accuracy": (0.0, 1.0), "cosine": (-1.0, 1.0)}.get(kind, LOSS)
            yield f"{kind} {table.mean():.3g}", drawn, from_table(table), bounds


def rows(repetitions: int, reads: int, flip_probabilities: tuple[float, ...]) -> list[Row]:
    """All rows.

    Args:
        repetitions: tables for each.
        reads: reads of the network that is measured.
        flip_probabilities: at which it is read.
    """
    network = trained("SmallCNN")
    tables = {f"SmallCNN at p = {p:g}, {reads} reads": network_tables(*network, p, reads) for p in flip_probabilities}
    tasks: list[Callable[[], Row]] = []
    for kind, drawn, draw, bounds in crossed_cases(tables):
        for count, samples in sizes(f"{kind} {drawn}"):
            tasks.append(partial(crossed, kind, drawn, draw, count, samples, repetitions, bounds))
    for kind in KINDS_OF_READS:
        tasks += [partial(of_reads, kind, count, repetitions) for count in READS]
        tasks += [partial(stopped, kind, target, repetitions) for target in (12, 20, 50, 100)]
    for kind in ("accuracy 0.5", "accuracy 0.97", "accuracy 0.995", "loss"):
        tasks += [partial(of_samples, kind, samples, repetitions) for samples in SAMPLES]
    return [task() for task in track(tasks, "simulating")]


def main() -> None:
    """Simulate, and write results and page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--page", action="store_true", help="only write the page anew, from the results")
    if parser.parse_args().page:
        coverage = _files.from_json(Coverage, RESULTS.read_bytes(), str(RESULTS))
    else:
        start = time.perf_counter()
        found = tuple(rows(REPETITIONS, 400, (0.03, 0.1, 0.2)))
        date, seconds = datetime.now(UTC).strftime("%Y-%m-%d"), round(time.perf_counter() - start, 1)
        coverage = Coverage("python -m benchmarks.coverage", date, seconds, _files.versions(), found)
        _files.write_text(RESULTS, _files.to_json(coverage))
    _files.write_text(PAGE, page(coverage))


if __name__ == "__main__":
    main()

"""`qtaml.report`: measure stored networks and write the page about them."""

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from qtaml.faults import AnyFault
from qtaml.measuring import Metric
from qtaml.memory import Artifact, Memory
from qtaml.overview import Better, Overview, Stored, summarise
from qtaml.planning import Plan
from qtaml.showing.page import page_path
from qtaml.showing.report_page import save_report


def report(
    stored: Mapping[str, Stored] | Memory | Artifact | Plan,
    metric: Metric | None = None,
    *,
    out: str | Path | None = None,
    model: nn.Module | None = None,
    metric_name: str = "",
    better: Better = "higher",
    bar: float | None = None,
    along: Mapping[float, AnyFault] | None = None,
    axis: str = "",
    trials: int = 30,
    chips: int = 60,
    seed: int = 0,
    command: str = "",
) -> Overview:
    """Measure stored networks, and write one HTML page that shows what was found.

    The page is a single file: it loads nothing and sends nothing, and works without a server, on a phone, on paper and
    with a keyboard. What was not given it says. Reads: `trials` for each network, baseline and place on the axis, and
    five for each chip.

    Args:
        stored: a stored network, or several by name, which are compared with the first. A `Memory` is measured; of an
            `Artifact` or a `Plan` without `model` the page shows what they say by themselves.
        metric: as for `qtaml.evaluate`; nothing is measured without it.
        out: the file, which ends in .html; none is written if not given (`qtaml.showing.save_report` writes it later).
        model: the trained network. With it everything can be measured, and trained weights, baselines and limits are
            shown; it has to be the one that is stored, to the bit.
        metric_name: what the metric is called; by its class if not given.
        better: which values of the metric are the good ones.
        bar: value of the metric that a good chip reaches; 5% off the metric without errors if not given.
        along: other memories to read from, by their place on an axis, such as {window: fault}; other flip
            probabilities if not given.
        axis: name of that axis, with its unit; has to be given with `along`.
        trials: reads of each measurement, at least 2.
        chips: chips that are measured; 0 for none.
        seed: of all errors.
        command: what makes the page again, to be shown in it.

    Returns:
        What was measured; its JSON holds every number of the page.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        ModelError: if a model fails.
        StoredFileError: if the file cannot be written.

    Example:
        >>> import torch
        >>> from qtaml.measuring import Accuracy
        >>> from qtaml.memory import store
        >>> from qtaml.planning import uniform_msp
        >>> model = nn.Linear(8, 4)
        >>> inputs = torch.randn(40, 8)
        >>> memory = store(model, uniform_msp(model, p=0.1, protected_bits=4))
        >>> found = report(memory, Accuracy(inputs, model(inputs).argmax(1)), model=model, trials=2, chips=2)
        >>> found.metric, len(found.references), found.missing
        ('accuracy', 6, ())
    """
    if out is not None:
        page_path(out)
    if isinstance(stored, Memory | Artifact | Plan):
        stored = {f"{_plan(stored).method}, {_plan(stored).cells:.3g} cells": stored}
    found = summarise(
        stored,
        metric,
        model=model,
        metric_name=metric_name,
        better=better,
        bar=bar,
        along=along,
        axis=axis,
        trials=trials,
        chips=chips,
        seed=seed,
        command=command,
    )
    if out is not None:
        save_report(found, out)
    return found


def _plan(one: Memory | Artifact | Plan) -> Plan:
    return one if isinstance(one, Plan) else one.plan

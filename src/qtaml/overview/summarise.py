"""Everything that a report shows of stored networks, measured where it can be."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from torch import nn

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault
from qtaml.measuring import Estimate, Metric, Result, SampleMetric, Yield, evaluate, measure, paired_difference
from qtaml.memory import Artifact, Memory, attach, differences, store
from qtaml.model import named_tensors
from qtaml.overview.plan_overview import plan_overview, point_at, weights_overviews, words_sha256
from qtaml.overview.records import Better, Comparison, CurvePoint, NetworkOverview, Overview, Reference
from qtaml.overview.references import baseline_plans, limits
from qtaml.planning import Plan

Stored = Memory | Artifact | Plan
"""A stored network: with its model, without it, or only how it is stored."""

_FACTORS = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0)
_LARGEST_P = 0.45
_GOOD = 0.05
"""Share of the metric without errors that a good chip may lose, unless a bar is given."""


def summarise(
    stored: Mapping[str, Stored],
    metric: Metric | None = None,
    *,
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
    """Measure what a report shows of stored networks.

    Args:
        stored: names and stored networks: a `Memory`, which can be measured; an `Artifact` or a `Plan`, of which
            without `model` only is shown what they say.
        metric: as for `evaluate`; nothing is measured without it.
        model: the trained network. With it everything can be measured, and trained weights, baselines and limits are
            shown; it has to be the one that is stored, to the bit.
        metric_name: what the metric is called; by its class if not given.
        better: which values of the metric are the good ones.
        bar: value of the metric that a good chip reaches; 5% off the metric without errors if not given.
        along: other memories to read from, by their place on an axis, such as {window: fault}. Ten flip
            probabilities around the planned one if not given, for fault models that have a `p`.
        axis: name of that axis, with its unit; has to be given with `along`.
        trials: reads of each measurement, at least 2.
        chips: chips that are measured, five reads each; 0 for none.
        seed: of all errors.
        command: what makes the report again, to be shown in it.

    Returns:
        The overview.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        ModelError: if a model is not the one that is stored, or fails.

    Example:
        >>> from qtaml.planning import uniform_msp
        >>> plan = uniform_msp(nn.Linear(8, 4), p=0.1, protected_bits=1)
        >>> shown = summarise({"linear": plan})
        >>> shown.networks[0].cells, shown.networks[0].tensors[0].by_bit[0].protection
        (1.125, 'ideal')
        >>> print(shown.missing[0])
        Words of linear are not known: neither its weights nor their errors are shown.
    """
    _checks.integer("chips", chips, 0)
    _checks.integer("trials", trials, 2)
    given_bar = None if bar is None else _checks.real("bar", bar)
    if not stored:
        raise ArgumentError("stored must hold at least one stored network, got none")
    if (along is None) != (not axis):
        raise ArgumentError(f"along and axis must be given together, got {along} and {axis!r}")
    if model is not None:
        stored = {name: _of_trained(name, one, model) for name, one in stored.items()}
    memories = {name: one for name, one in stored.items() if isinstance(one, Memory)}
    ask = _Measuring(metric, trials, chips, seed, model)
    places, planned = _places(stored, along)
    trained = None if model is None or not isinstance(metric, SampleMetric) else measure(model, metric)
    shown = [_network(name, one, model, ask, places) for name, one in stored.items()]
    references = _references(stored, model, ask)
    clean = trained or next((one.without_errors for one in shown if one.without_errors), None)
    bar = None if clean is None else _bar(clean, better) if given_bar is None else given_bar
    shown = [replace(one, holds_to=_holds_to(one, bar, better, planned)) for one in shown]
    return Overview(
        networks=tuple(shown),
        metric=(metric_name or _name(metric)) if bar is not None else "",
        is_share=getattr(metric, "bounds", None) == (0.0, 1.0),
        better=better,
        bar=bar,
        trained=trained,
        axis=(axis or "flip probability p") if places else "",
        planned=planned,
        references=references,
        comparisons=ask.comparisons(memories),
        missing=_missing(stored, metric, model, references, bool(places), chips),
        trials=trials if bar is not None else 0,
        seed=seed,
        command=command,
    )


class _Measuring:
    """One metric, and how often it is measured; nothing is where there is no metric.

    Plans for words that are written for each chip are measured so, where the trained network is known.
    """

    def __init__(self, metric: Metric | None, trials: int, chips: int, seed: int, model: nn.Module | None) -> None:
        self.metric, self.trials, self.chip_count, self.seed, self._model = metric, trials, chips, seed, model

    def result(self, memory: Memory, fault: AnyFault | None = None) -> Result | None:
        if self.metric is None:
            return None
        rewrite = self._rewrite(memory)
        return evaluate(memory, self.metric, trials=self.trials, fault=fault, seed=self.seed, rewrite=rewrite)

    def chips(self, memory: Memory) -> Yield | None:
        if self.metric is None or not self.chip_count:
            return None
        return evaluate(memory, self.metric, chips=self.chip_count, seed=self.seed, rewrite=self._rewrite(memory))

    def _rewrite(self, memory: Memory) -> nn.Module | None:
        return self._model if memory.plan.by_chip else None

    def without_errors(self, memory: Memory) -> Estimate | None:
        if self.metric is None:
            return None
        model = memory.model(seed=None)
        if isinstance(self.metric, SampleMetric):
            return measure(model, self.metric)
        value = float(self.metric(model))
        return Estimate(value, value, value, "these test samples")

    def comparisons(self, memories: Mapping[str, Memory]) -> tuple[Comparison, ...]:
        # Reads of words that are written for each chip have nothing in common with others.
        if self.metric is None or len(memories) < 2 or any(one.plan.by_chip for one in memories.values()):
            return ()
        (first, base), *others = memories.items()
        return tuple(
            Comparison(name, first, paired_difference(other, base, self.metric, trials=self.trials, seed=self.seed))
            for name, other in others
        )


def _of_trained(name: str, one: Stored, model: nn.Module) -> Memory:
    """A stored network as a memory of the trained network that it was made of."""
    if isinstance(one, Plan):
        return store(model, one)
    memory = attach(one, model) if isinstance(one, Artifact) else one
    if found := differences(memory, model):
        raise ArgumentError(f"model must be the trained network that {name!r} stores, to the bit; {found[0]}")
    return memory


def _bar(clean: Estimate, better: Better) -> float:
    if clean.value == 0:
        raise ArgumentError("bar must be given where the metric without errors is 0, of which 5% are nothing")
    return clean.value - (_GOOD if better == "higher" else -_GOOD) * abs(clean.value)


def _name(metric: Metric | None) -> str:
    """The class of a metric in words; the name of a function."""
    name = getattr(metric, "__name__", type(metric).__name__)
    return "".join(f" {one.lower()}" if one.isupper() else one for one in name).strip(" <>")


Places = Mapping[float, AnyFault | None]
"""Places on the axis, and the memory there; None for that of each plan with this flip probability."""


def _places(stored: Mapping[str, Stored], along: Mapping[float, AnyFault] | None) -> tuple[Places, float | None]:
    """The places, and where the first plan is."""
    plans = [_plan(one) for one in stored.values()]
    if along is not None:
        planned = next((at for at, fault in along.items() if fault == plans[0].fault), None)
        return dict(sorted(along.items())), planned
    own = [p for plan in plans if isinstance(p := getattr(plan.fault, "p", None), float) and p > 0]
    if len(own) < len(plans):
        return {}, None
    ends = {round(own[0] * factor, 12) for factor in _FACTORS} | set(own)
    return dict.fromkeys(sorted(p for p in ends if p <= max(_LARGEST_P, *own))), own[0]


def _at(place: float, fault: AnyFault | None, plan: Plan) -> AnyFault:
    return cast(AnyFault, replace(cast(Any, plan.fault), p=place)) if fault is None else fault


def _plan(one: Stored) -> Plan:
    return one if isinstance(one, Plan) else one.plan


def _network(
    name: str,
    one: Stored,
    model: nn.Module | None,
    ask: _Measuring,
    places: Places,
) -> NetworkOverview:
    shown = plan_overview(name, _plan(one))
    if isinstance(one, Plan):
        return shown
    artifact = one.artifact if isinstance(one, Memory) else one
    trained = None if model is None else named_tensors(model)
    shown = replace(shown, details=weights_overviews(artifact, trained, ask.seed), words_sha256=words_sha256(artifact))
    points = [point_at(artifact, at, _at(at, fault, artifact.plan)) for at, fault in places.items()]
    if isinstance(one, Memory) and ask.metric is not None:
        result = ask.result(one)
        points = [_measured(point, one, ask, result) for point in points]
        shown = replace(shown, result=result, chips=ask.chips(one), without_errors=ask.without_errors(one))
    return replace(shown, curve=tuple(points))


def _measured(point: CurvePoint, memory: Memory, ask: _Measuring, planned: Result | None) -> CurvePoint:
    # What is planned for is measured already, with the same reads.
    result = planned if planned and point.fault == planned.fault else ask.result(memory, point.fault)
    return replace(point, metric=result.estimate if result else None)


def _holds_to(network: NetworkOverview, bar: float | None, better: Better, planned: float | None) -> float | None:
    if bar is None or planned is None:
        return None
    last = None
    for point in network.curve:
        if point.at >= planned:
            if point.metric is None or (point.metric.low < bar if better == "higher" else point.metric.high > bar):
                break
            last = point.at
    return last


def _references(stored: Mapping[str, Stored], model: nn.Module | None, ask: _Measuring) -> tuple[Reference, ...]:
    first = _plan(next(iter(stored.values())))
    found = list(limits({name: _plan(one) for name, one in stored.items()}, model))
    for name, plan in baseline_plans(model, first) if model is not None and ask.metric is not None else ():
        result = ask.result(store(cast(nn.Module, model), plan))
        note = f"the same most significant bits protected in every tensor, by the paper's ideal code; {plan.fault}"
        found.append(Reference(name, "baseline", plan.cells, result.estimate if result else None, note))
    return tuple(found)


def _missing(
    stored: Mapping[str, Stored],
    metric: Metric | None,
    model: nn.Module | None,
    references: Sequence[Reference],
    curve: bool,
    chips: int,
) -> tuple[str, ...]:
    told = []
    plans = [name for name, one in stored.items() if isinstance(one, Plan)]
    alone = [name for name, one in stored.items() if not isinstance(one, Memory)]
    if plans:
        told.append(f"Words of {', '.join(plans)} are not known: neither its weights nor their errors are shown.")
    if metric is None:
        told.append("No metric was given: nothing was measured, and what is said of errors is predicted.")
    elif alone:
        told.append(f"The network of {', '.join(alone)} is not known: it was not measured.")
    if model is None:
        told.append("The trained network was not given: no baselines, no limit for its weights.")
    elif metric is not None and not any(one.kind == "baseline" for one in references):
        told.append("Uniform-MSP cannot store these tensors in this memory: there are no baselines.")
    if not curve:
        told.append("No other memories were given, and the fault model has no flip probability p: there are no curves.")
    if metric is not None and not chips:
        told.append("No chips were measured.")
    return tuple(told)

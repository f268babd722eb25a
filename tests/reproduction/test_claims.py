"""Verdicts on hand-made rows: each follows from the intervals, never from the name of the claim."""

from types import SimpleNamespace

import pytest

from qtaml.measuring import Estimate
from reproduction import claims_accuracy, claims_theory
from reproduction.catalog import CATALOG, PAPER
from reproduction.claims import CLAIMS
from reproduction.results import Result

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


def row(half=0.01, **fields):
    """A row; a tuple (estimate,) is an estimate with an interval of `half` on both sides."""
    named = {}
    for name, value in fields.items():
        if isinstance(value, tuple):
            (mean,) = value
            named[name] = Estimate(mean, mean - half, mean + half, "reads")
        else:
            named[name] = value
    return SimpleNamespace(**named)


def results(**rows):
    """Results by name."""
    return {name: Result(tuple(own), {}) for name, own in rows.items()}


def test_every_claim_is_decided_by_results_of_the_paper():
    """So a full run is all that the report needs."""
    assert {name for claim in CLAIMS for name in claim.results} <= PAPER.keys() <= CATALOG.keys()
    assert len({claim.says for claim in CLAIMS}) == len(CLAIMS)


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [((0.95, 0.90), "holds"), ((0.95, 0.96), "does not hold"), ((0.95, 0.945), "does not hold")],
)
def test_a_small_budget_wins_beyond_its_interval(accuracies, verdict):
    """At 2% against 12.5%; intervals that touch do not decide."""
    tac, uniform = accuracies
    rows = [
        row(method="TAC", overhead=0.02, spent=0.02, accuracy=(tac,), clean=0.99),
        row(method="Uniform-MSP", overhead=0.125, spent=0.125, accuracy=(uniform,), clean=0.99),
    ]
    assert claims_accuracy.small_budget(results(table2=rows)).verdict == verdict


def test_a_budget_hardly_smaller_wins_in_part():
    """10% against 12.5% is not several times the price."""
    rows = [
        row(method="TAC", overhead=0.1, spent=0.1, accuracy=(0.95,), clean=0.99),
        row(method="Uniform-MSP", overhead=0.125, spent=0.125, accuracy=(0.9,), clean=0.99),
    ]
    outcome = claims_accuracy.small_budget(results(table2=rows))
    assert outcome.verdict == "holds in part"
    assert "1.25 times" in outcome.why


@pytest.mark.parametrize(
    ("ahead", "verdict"), [((0.02, 0.03), "holds"), ((0.02, 0.0), "holds in part"), ((-0.1, 0.0), "does not hold")]
)
def test_mismatch_is_judged_at_the_worst_plan(ahead, verdict):
    """Two flip probabilities in use; a better plan does not help the worst."""
    rows = [row(method="TAC", p_calibrated=0.1, p_deployed=0.1, accuracy=(0.99,), ahead=(0.5,))]
    rows += [
        row(method="TAC", p_calibrated=0.02, p_deployed=p, accuracy=(0.9,), ahead=(gain,))
        for p, gain in zip((0.1, 0.2), ahead, strict=True)
    ]
    outcome = claims_accuracy.under_mismatch(results(figure4=rows))
    assert outcome.verdict == verdict
    assert "planned for 0.02" in outcome.measured


def budget(network, whole, mixed=2.0, rho=0.1):
    """A row of table 5."""
    return row(
        half=0.05,
        network=network,
        factor_whole=(whole,),
        factor_mixed=(mixed,),
        tac=(0.1,),
        uniform_whole=(0.2,),
        saturation_ratio=(rho,),
        interior_from=0.2,
    )


@pytest.mark.parametrize(
    ("factors", "verdict"),
    [((4.0, 40.0), "holds"), ((4.0, 20.0), "holds in part"), ((0.9, 2.0), "does not hold")],
)
def test_the_papers_range_of_factors(factors, verdict):
    """More than once on each network, and as far as the paper says."""
    rows = [budget("DeepCNN", factors[0]), budget("WideCNN", factors[1])]
    assert claims_accuracy.reduction(results(table5=rows)).verdict == verdict


@pytest.mark.parametrize(
    ("wide", "deep", "verdict"),
    [(30.0, 3.0, "holds"), (30.0, 5.0, "holds in part"), (5.0, 30.0, "does not hold")],
)
def test_the_order_of_factors(wide, deep, verdict):
    """SmallCNN and ResCNN have 5; the transformer does not count."""
    rows = [budget(name, 5.0) for name in ("SmallCNN", "ResCNN")]
    rows += [budget("WideCNN", wide), budget("DeepCNN", deep), budget("Transformer", 100.0)]
    assert claims_accuracy.reduction_order(results(table5=rows)).verdict == verdict


@pytest.mark.parametrize(
    ("other", "verdict", "decided"),
    [((2.0, 0.9), "holds", 1), ((20.0, 0.9), "does not hold", 1), ((2.0, 0.1), "does not hold", 0)],
)
def test_the_order_that_rho_predicts(other, verdict, decided):
    """Only pairs with both intervals apart count; without any, nothing is shown."""
    factor, rho = other
    rows = [budget("a", 10.0, rho=0.1), budget("b", factor, rho=rho)]
    outcome = claims_accuracy.score_pairs(results(table5=rows))
    assert outcome.verdict == verdict
    assert f"the intervals decide {decided};" in outcome.why


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [((0.1, 0.6, 0.02, 0.1), "holds"), ((0.1, 0.6, 0.02, 0.02), "holds in part"), ((0, 0, 0, 0), "does not hold")],
)
def test_the_parts_of_tac(gains, verdict):
    """Each gains, and the last more where errors are more frequent."""
    mean, bits, both, both_later = gains
    rows = [
        part
        for way in ("exact", "paper")
        for p, last in ((0.1, both), (0.2, both_later))
        for part in (
            SimpleNamespace(p=p, way=way, part="none", gain=None),
            row(p=p, way=way, part="mean correction only", gain=(mean,)),
            row(p=p, way=way, part="bits only", gain=(bits,)),
            row(p=p, way=way, part="both (TAC)", gain=(last,)),
        )
    ]
    assert claims_accuracy.components(results(table3=rows)).verdict == verdict


@pytest.mark.parametrize(
    ("always", "never", "verdict"),
    [(0.3, 0.0, "holds"), (0.3, -0.2, "holds in part"), (0.0, -0.2, "does not hold")],
)
def test_adaptive_correction(always, never, verdict):
    """Needed on ResCNN by the paper's factor, and never behind."""
    rows = [
        row(network="ResCNN", overhead=0.03, way=way, choice=choice, adaptive_ahead=(ahead,))
        for way in ("exact", "paper")
        for choice, ahead in (("always", always), ("never", never), ("adaptive", 0.0))
    ]
    assert claims_accuracy.adaptive(results(table9=rows)).verdict == verdict


@pytest.mark.parametrize(("lead", "verdict"), [(0.25, "holds"), (0.1, "holds in part"), (-0.1, "does not hold")])
def test_the_lead_over_magnitude(lead, verdict):
    """24 points at most, by the greedy allocation."""
    rows = [
        row(part="accuracy", scoring="magnitude", allocation=allocation, overhead=0.02, behind_tac=(lead,))
        for allocation in ("greedy", "split")
    ]
    assert claims_accuracy.over_magnitude(results(figure9=rows)).verdict == verdict


def law(panel, theory, measured):
    """A row of figure 1."""
    return row(panel=panel, x=1.0, theory=theory, measured=(measured,))


@pytest.mark.parametrize(("misses", "verdict"), [(1, "holds"), (9, "holds in part")])
def test_some_intervals_may_miss(misses, verdict):
    """Of ten 95% intervals one is no wonder, nine are."""
    rows = [law("distribution", 0.5 if number < misses else 0.0, 0.0) for number in range(10)]
    rows += [law(panel, 0.0, 0.0) for panel in ("mean", "variance", "top_bit_share")]
    rows += [row(panel="output_kurtosis", x=x, theory=3 / x, measured=(3 / x,)) for x in (1.0, 64.0)]
    assert claims_theory.laws(results(figure1=rows)).verdict == verdict


@pytest.mark.parametrize(
    ("worst", "mean", "verdict"),
    [(1.29, 1.25, "holds"), (1.29, 1.1, "holds in part"), (1.6, 1.25, "holds in part"), (4.5, 2.5, "does not hold")],
)
def test_the_rounding_cost_of_many_tensors(worst, mean, verdict):
    """From 3.9 for two tensors: smaller, and at the bound, neither still above it nor fallen through it."""
    kinds = {"greedy": ((2, 3.9, 1.8), (30, worst, mean)), "split": ((2, 1.2, 1.1), (30, 1.2, 1.1))}
    rows = [
        row(
            allocation=way,
            equal_sizes=False,
            tensors=tensors,
            networks=9,
            worst=most,
            mean=(own,),
            bound=1.26374,
        )
        for way, sizes in kinds.items()
        for tensors, most, own in sizes
    ]
    assert claims_theory.correction_shrinks(results(table7=rows)).verdict == verdict


@pytest.mark.parametrize(("classifier", "verdict"), [(100.0, "holds"), (1.0, "holds in part")])
def test_the_scores_of_the_transformer(classifier, verdict):
    """Four orders of magnitude, embedding, classifier; the last feed-forward matrices bare."""
    scores = {"embedding.weight": 1e4, "encoder.layers.0.linear1.weight": 10.0, "classifier.weight": classifier}
    scores |= {"encoder.layers.1.linear1.weight": 0.5}
    rows = [
        row(part="tensor", tensor=name, score=(score,), protected=(0.0,), overhead=0.125)
        for name, score in scores.items()
    ]
    assert claims_theory.transformer_scores(results(figure6=rows)).verdict == verdict


@pytest.mark.parametrize(("measured", "verdict"), [(0.1, "holds"), (0.5, "does not hold")])
def test_the_measured_ratio(measured, verdict):
    """Overlapping intervals agree; budgets at which nothing is measured do not count."""
    fields = {"network": "a", "allocation": "greedy", "saturation_ratio": (0.1,), "whole": (0.1,), "overhead": 0.25}
    fields |= {"interior_from": (0.2,), "interior_to": (0.9,), "measured_small_p": (0.1,)}
    rows = [row(**fields, measured=(measured,)), row(**(fields | {"overhead": 0.05}), measured=None)]
    outcome = claims_theory.ratio_measured(results(table1=rows))
    assert outcome.verdict == verdict
    assert "1 of these budgets lie" in outcome.why

"""What became of the paper's claims about laws, scores and predictions. Every verdict is computed from rows."""

from scipy import stats

from reproduction import error_law
from reproduction.results import Outcome, Results, number, overlap, share
from reproduction.scores import tensor_label

_CHANCE = 0.999
_SIZES = {"SmallCNN": (38_160, 4), "WideCNN": (151_072, 4), "DeepCNN": (None, 6), "ResCNN": (None, 7)}
"""Weights and tensors that the paper states or that its layers give; None where its text lost the widths."""
_FOUR_ORDERS = 10**3.5
_NEAR = 0.1
_CLOSE = 0.05


def laws(results: Results) -> Outcome:
    """95% intervals may miss now and then, but not more often than chance allows."""
    result = results["figure1"]
    conditions, told, failing = [], [], []
    for panel, (quantity, _) in error_law.PANELS.items():
        rows = result.where(panel=panel)
        missed = sum(not row.measured.low <= row.theory <= row.measured.high for row in rows)
        conditions.append(missed <= stats.binom.ppf(_CHANCE, len(rows), 1 - error_law.CONFIDENCE))
        told.append(f"{quantity} {len(rows) - missed} of {len(rows)}")
        failing += [quantity] * (not conditions[-1])
    sums = sorted(result.where(panel="output_kurtosis"), key=lambda row: row.x)
    gaussian = sums[0].measured.low > sums[-1].measured.high
    return Outcome.of(
        [*conditions, gaussian],
        f"95% intervals that hold the exact value: {', '.join(told)}; excess kurtosis by number of weights in a sum: "
        f"{sums[0].x:g}: {number(sums[0].measured)}, {sums[-1].x:g}: {number(sums[-1].measured)}",
        (f"More intervals miss than chance allows: {', '.join(failing)}. " if failing else
         "No more intervals miss than chance allows. ")
        + f"Sums of errors {'become' if gaussian else 'do not become'} more Gaussian.",
    )  # fmt: skip


def networks(results: Results) -> Outcome:
    """Sizes of table 4."""
    rows = {row.network: row for row in results["table4"].rows}
    same = [
        rows[name].tensors == tensors and weights in (None, rows[name].weights)
        for name, (weights, tensors) in _SIZES.items()
    ]
    residual = rows["ResCNN"].residual_tensors > 0
    return Outcome.of(
        [*same, residual],
        "; ".join(
            f"{row.network} {row.weights:,} weights in {row.tensors} tensors, clean {share(row.clean)}"
            for row in rows.values()
        ),
        "Sizes that the paper's text keeps are met; the others are chosen near to what is left of it."
        if all(same)
        else "Not all sizes that the paper's text keeps are met.",
    )


def transformer_scores(results: Results) -> Outcome:
    """Scores of figure 6."""
    rows = sorted(results["figure6"].where(part="tensor"), key=lambda row: -row.score.value)
    spread = rows[0].score.value / rows[-1].score.value
    embedding = rows[0].tensor.startswith("embedding") and rows[0].score.low > rows[1].score.high
    classifier = rows[1].tensor.startswith("classifier") and rows[1].score.low > rows[2].score.high
    last = [row for row in rows if row.tensor.startswith("encoder.layers.1.linear")]
    bare = all(row.protected.high < 0.05 for row in last)
    ranks = {"largest": embedding, "second": classifier}
    return Outcome.of(
        [spread >= _FOUR_ORDERS, embedding, classifier, bare],
        "; ".join(f"{tensor_label(row.tensor)} {number(row.score)}" for row in rows),
        f"They span a factor of {spread:,.0f}. Beyond the intervals the embedding is "
        f"{'' if ranks['largest'] else 'not '}the largest and the classifier {'' if ranks['second'] else 'not '}the "
        f"second; at {last[0].overhead:.1%} overhead the last feed-forward matrices are "
        f"{'unprotected' if bare else 'protected too'}.",
    )


def smallest_ratio(results: Results) -> Outcome:
    """rho* of the transformer in table 1."""
    rows = {row.network: row for row in results["table1"].rows}
    own = rows["Transformer"]
    below = [own.saturation_ratio.high < row.saturation_ratio.low for name, row in rows.items() if row is not own]
    return Outcome.of(
        below,
        "; ".join(f"{name} {number(row.saturation_ratio)}" for name, row in rows.items()),
        f"Its rho* lies below that of {sum(below)} of {len(below)} other networks, beyond the intervals.",
    )


def ratio_measured(results: Results) -> Outcome:
    """rho* against measured ratios of table 1, allocation of the paper."""
    rows = [row for row in results["table1"].where(allocation="greedy") if row.measured is not None]
    met = [overlap(row.saturation_ratio, row.measured) for row in rows]
    small = sum(overlap(row.whole, row.measured_small_p) for row in rows)
    inside = sum(row.interior_from.value <= row.overhead <= row.interior_to.value for row in rows)
    return Outcome.of(
        met,
        "; ".join(
            f"{row.network} at {row.overhead:.1%}: rho* {number(row.saturation_ratio)}, whole bits "
            f"{number(row.whole)}, measured {number(row.measured)}"
            for row in rows
        ),
        f"rho* and the measured ratio overlap in {sum(met)} of {len(met)} cases; {inside} of these budgets lie where "
        f"rho* holds. The prediction with whole bits and the ratio measured at p = 0.01, where the output answers "
        f"linearly, overlap in {small}.",
    )


def correction_small(results: Results) -> Outcome:
    """Table 8: what whole bits cost."""
    rows = results["table8"].where(allocation="greedy")
    bound = results["table7"].rows[0].bound
    below = [row.correction.high <= bound for row in rows]
    few = [row for row in rows if row.tensors == min(one.tensors for one in rows)]
    many = [row for row in rows if row.tensors == max(one.tensors for one in rows)]
    shrinks = max(row.correction.value for row in many) < max(row.correction.value for row in few)
    return Outcome.of(
        [all(below), shrinks],
        "; ".join(
            f"{row.network} ({row.tensors} tensors) at {row.overhead:.1%} {number(row.correction)}" for row in rows
        ),
        f"At most {bound:.4f}, interval included, in {sum(below)} of {len(below)} cases; the worst of the networks "
        f"with most tensors is {'smaller' if shrinks else 'not smaller'} than the worst of those with fewest.",
    )  # fmt: skip


def correction_shrinks(results: Results) -> Outcome:
    """Table 7: over random networks. What approaches a value comes near it from above and does not fall through it."""
    result = results["table7"]
    greedy = sorted(result.where(allocation="greedy", equal_sizes=False), key=lambda row: row.tensors)
    split = result.where(allocation="split")
    few, many, bound = greedy[0], greedy[-1], greedy[0].bound
    shrinks = many.mean.high < few.mean.low and many.worst < few.worst
    reached, below = many.worst <= bound * (1 + _CLOSE), many.mean.high < bound / (1 + _CLOSE)
    kept = all(row.worst <= bound * (1 + 1e-9) for row in split)
    return Outcome.of(
        [shrinks, reached and not below],
        f"greedy, worst of {few.networks}: {few.worst:.3f} for {few.tensors} tensors, {many.worst:.3f} for "
        f"{many.tensors} (mean {number(few.mean, '.3f')} and {number(many.mean, '.3f')}); split: worst "
        f"{max(row.worst for row in split):.3f} of any number; bound {bound:.5f}",
        f"It {'shrinks' if shrinks else 'does not shrink'} with the number of tensors. The worst network of "
        f"{many.tensors} tensors {'comes' if reached else 'does not come'} within {_CLOSE:.0%} of the bound, and the "
        f"mean {'has fallen' if below else 'has not fallen'} below it by more than that"
        f"{', on the way to 1.5/ln 4 = 1.082 (theory.md 1.6)' if below else ''}. With one tensor split the bound "
        f"{'is never exceeded' if kept else 'is exceeded'}, for any number of tensors.",
    )


def calibration_cost(results: Results) -> Outcome:
    """Table 6: passes and seconds."""
    rows = {row.estimator: row for row in results["table6"].rows}
    probes, sensitivity, magnitude = (rows[name] for name in ("Gaussian probes", "sensitivity", "magnitude"))
    times = probes.seconds.value / sensitivity.seconds.value
    free = magnitude.forward == magnitude.backward == 0
    least = min((row for row in rows.values() if row.error.value > 0), key=lambda row: row.seconds_to_error.value)
    return Outcome.of(
        [free, 0.5 < times < 2],
        "; ".join(
            f"{row.estimator} {row.forward} forward and {row.backward} backward passes, {number(row.seconds, '.2g')} s"
            for row in rows.values()
        ),
        f"The paper's probes take {times:.2g} times as long as sensitivity; fastest to "
        f"a standard error of 5%: {least.estimator}, {number(least.seconds_to_error, '.2g')} s.",
    )


def linear_range(results: Results) -> Outcome:
    """A.7: gains by size of the changes."""
    rows = results["a7"].where(part="probe")
    sizes = sorted({row.epsilon for row in rows})
    linear = [
        all(row.gain_ratio.low >= 1 - _NEAR and row.gain_ratio.high <= 1 + _NEAR for row in rows if row.epsilon <= size)
        for size in sizes
    ]
    limit = max((size for size, holds in zip(sizes, linear, strict=True) if holds), default=0.0)
    sigma = min(row.tunnelling_sigma.value for row in rows)
    large = [row for row in rows if row.epsilon == sizes[-1]]
    return Outcome.of(
        [limit >= 0.01, sigma > limit],
        f"all tensors within {_NEAR:.0%} of linear up to ε = {limit:g}; at ε = {sizes[-1]:g} "
        + ", ".join(f"{tensor_label(row.tensor)} {number(row.gain_ratio, '.2f')}" for row in large),
        f"The errors of unprotected weights at p = 0.1 are larger (standard deviation {sigma:.2g} and more): "
        "they lie outside this range, as the paper says." if sigma > limit
        else "It holds at the size of the memory's errors too.",
    )  # fmt: skip


def prediction(results: Results) -> Outcome:
    """A.7: measured over predicted errors, and their order."""
    result = results["a7"]
    rows = [
        row for row in result.where(part="prediction", network="SmallCNN") if row.storage in ("unprotected", "TAC 5%")
    ]
    orders = result.where(part="order")
    kept = [row.agreement.low > 0.5 for row in orders]
    return Outcome.of(
        kept,
        "SmallCNN, measured over predicted: "
        + "; ".join(f"{row.storage}, p = {row.p:g}: {number(row.ratio, '.2f')}" for row in rows)
        + ". Kendall's tau: "
        + "; ".join(f"{row.network}, p = {row.p:g}: {number(row.agreement, '.2f')}" for row in orders),
        f"The order of storages agrees (Kendall's tau above 0.5 beyond its interval) in {sum(kept)} of {len(kept)} "
        "cases.",
    )


def blind_to_the_classifier(results: Results) -> Outcome:
    """Figure 9: where magnitude puts the classifier."""
    rows = results["figure9"].where(part="score")
    rank = {}
    for scoring in ("magnitude", "sensitivity", "TAC"):
        order = sorted((row for row in rows if row.scoring == scoring), key=lambda row: -row.relative_score.value)
        rank[scoring] = next(place for place, row in enumerate(order, 1) if row.tensor.startswith("classifier"))
    tensors = len({row.tensor for row in rows})
    return Outcome.of(
        [rank["magnitude"] == tensors, rank["sensitivity"] <= 3, rank["TAC"] <= 3],
        f"rank of the classifier among {tensors} tensors: "
        + ", ".join(f"{place} by {scoring}" for scoring, place in rank.items()),
        f"Magnitude ranks it {'last' if rank['magnitude'] == tensors else 'not last'}; "
        f"{sum(rank[one] <= 3 for one in ('sensitivity', 'TAC'))} of the two measured scores put it among the first "
        "three.",
    )

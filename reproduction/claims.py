"""What the paper claims, and what became of it: each claim with the function that decides it from results."""

from collections.abc import Callable
from dataclasses import dataclass

from reproduction import claims_accuracy as accuracy
from reproduction import claims_theory as theory
from reproduction.results import Outcome, Results


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        results: names of the results that decide it; it is told with the first.
        where: its place in the paper.
        says: what it says; most numbers are lost from the paper's text.
        check: decides it.
    """

    results: tuple[str, ...]
    where: str
    says: str
    check: Callable[[Results], Outcome]


CLAIMS: tuple[Claim, ...] = (
    Claim(
        ("figure1",),
        "sections 3 and 5.1, figure 1",
        "The closed forms of distribution, mean, variance and share of the top bit match Monte Carlo, and sums of "
        "errors become more Gaussian with their width.",
        theory.laws,
    ),
    Claim(
        ("table1",),
        "section 5.6, tables 1 and 8",
        "The transformer has the smallest rho* of all networks.",
        theory.smallest_ratio,
    ),
    Claim(
        ("table1",),
        "theorem 4.6, section 4.5 and table 1",
        "rho* predicts, at any budget, the output error of TAC over that of Uniform-MSP (numbers lost).",
        theory.ratio_measured,
    ),
    Claim(
        ("table2",),
        "section 5.2, table 2",
        "TAC at a small overhead surpasses Uniform-MSP at several times the cost (numbers lost).",
        accuracy.small_budget,
    ),
    Claim(
        ("figure2",),
        "section 5.2, figure 2",
        "Without compensation the network collapses below random performance (flip probability lost).",
        accuracy.collapse,
    ),
    Claim(
        ("table3",),
        "section 5.2, table 3",
        "Mean correction and protected bits each gain, both together more, and this synergy grows with the noise.",
        accuracy.components,
    ),
    Claim(
        ("figure3",),
        "section 5.3, figure 3",
        "Scores differ by nearly three orders of magnitude; conv1 and fc2 are protected first, fc1 last.",
        accuracy.first_and_last,
    ),
    Claim(
        ("figure4",),
        "section 5.4, figure 4",
        "Even under the worst mismatch TAC exceeds Uniform-MSP of a much larger overhead (taken as 25%) at every "
        "deployed p.",
        accuracy.under_mismatch,
    ),
    Claim(
        ("figure4",),
        "section 5.4, figure 4",
        "The worst case is the largest underestimate, and a realistic mismatch costs few points (numbers lost).",
        accuracy.forgiving,
    ),
    Claim(("table4",), "section 5.5, table 4", "Four networks and a transformer of given sizes.", theory.networks),
    Claim(
        ("table5",),
        "abstract, section 5.5, table 5",
        "TAC reaches 95% of clean accuracy with 3.4 to 33.6 times less overhead than Uniform-MSP.",
        accuracy.reduction,
    ),
    Claim(
        ("table5",),
        "section 5.5, table 5",
        "The reduction is largest on WideCNN and smallest on DeepCNN.",
        accuracy.reduction_order,
    ),
    Claim(
        ("table5",),
        "abstract, sections 4.5 and 5.5",
        "rho* predicts these gains in advance: the smaller rho*, the larger the reduction.",
        accuracy.score_pairs,
    ),
    Claim(
        ("figure5",),
        "section 5.5, figure 5",
        "TAC's advantage is largest at small budgets and is gone where both methods saturate.",
        accuracy.saturation_of_both,
    ),
    Claim(
        ("figure6",),
        "section 5.6, figure 6",
        "The transformer's scores span four orders of magnitude, the embedding's is the largest, the classifier's the "
        "second; the last feed-forward matrices are left unprotected.",
        theory.transformer_scores,
    ),
    Claim(
        ("figure7",),
        "section 5.7, figure 7",
        "TAC beats a dearer Uniform-MSP (taken as 12.5% and 25%) under all seven non-uniform fault models.",
        accuracy.other_noise,
    ),
    Claim(
        ("figure7",),
        "section 5.7, figure 7",
        "TAC stays within few points (number lost, taken as 5) of its accuracy under uniform faults.",
        accuracy.other_noise_change,
    ),
    Claim(
        ("figure8",),
        "section 5.8, figure 8",
        "On the digit CNN any sensible scoring reaches the same plateau.",
        accuracy.plateau,
    ),
    Claim(
        ("figure8",),
        "section 5.8, figure 8",
        "Random protection is far below every sensible one.",
        accuracy.random_far_below,
    ),
    Claim(
        ("figure8",),
        "section 5.8, figure 8",
        "Mean correction puts full TAC above its bit allocation alone.",
        accuracy.correction_gain,
    ),
    Claim(
        ("figure9",),
        "abstract, section 5.9, figure 9",
        "On the transformer TAC's scores beat magnitude by up to 24 points at small budgets.",
        accuracy.over_magnitude,
    ),
    Claim(
        ("figure9",),
        "section 5.9, figure 9",
        "Scoring by sensitivity does about as well as TAC's (numbers lost).",
        accuracy.sensitivity_equal,
    ),
    Claim(
        ("figure9",),
        "section 5.9, figure 9b",
        "Magnitude gives the classifier the smallest score of all, sensitivity and TAC a high one.",
        theory.blind_to_the_classifier,
    ),
    Claim(
        ("table6",),
        "section 5.9, table 6",
        "Magnitude needs no calibration; TAC and sensitivity take about the same time (numbers lost).",
        theory.calibration_cost,
    ),
    Claim(
        ("table7",),
        "A.13, table 7",
        "What whole bits cost shrinks with the number of tensors and approaches 1.26374.",
        theory.correction_shrinks,
    ),
    Claim(
        ("table8", "table7"),
        "A.13, table 8",
        "On the paper's networks whole bits cost little (numbers lost, taken as at most 1.26374), and less the more "
        "tensors there are.",
        theory.correction_small,
    ),
    Claim(
        ("table9",),
        "section 5.5, C.1, table 9",
        "Residual networks need the measured choice of which means to correct; it is never the worse choice.",
        accuracy.adaptive,
    ),
    Claim(
        ("a7",),
        "A.7",
        "The output answers linearly to small changes of every tensor (limit lost, taken as 0.01), and less so to "
        "errors as large as those of the memory.",
        theory.linear_range,
    ),
    Claim(
        ("a7",),
        "A.7",
        "Linear response keeps the order of allocations, even where it misses the size of the errors (factors lost).",
        theory.prediction,
    ),
)

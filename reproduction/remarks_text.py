"""The eleven points of theory.md section 7 as short paragraphs, with the numbers of `remarks` in them."""

from collections.abc import Callable
from typing import Any

from reproduction import remarks
from reproduction.results import Result, number, points, share

_Row = Callable[[str], Any]


def remarks_texts(result: Result) -> tuple[tuple[str, str], ...]:
    """Title and paragraph of each point.

    Args:
        result: of the experiment "remarks", at its full size.

    Raises:
        StoredFileError: if a number is missing.
    """
    return tuple((title, text(_rows_of(result, point))) for point, (title, text) in enumerate(_POINTS, 1))


def _rows_of(result: Result, point: int) -> _Row:
    return lambda quantity: result.one(point=point, quantity=quantity)


def _value(row: Any, form: str = ".3g") -> str:
    return number(row.value, form)


def _share(row: Any, form: str = ".1f") -> str:
    return share(row.value, form)


def _factor(of: _Row) -> str:
    bias = {
        (way, k): of(f"RMS bias, correction {way}, {k} protected bits")
        for way in ("none", "paper", "exact")
        for k in (0, 3)
    }
    return (
        f"The factor 1/(1-2p) undoes the drift of a plain word: at p = 0.1 the RMS bias of fc1 falls from "
        f"{_value(bias['none', 0])} to {_value(bias['paper', 0])} of the largest weight. Protected bits do not drift, "
        "so the factor then makes a bias instead of removing one: with three protected bits it is "
        f"{_value(bias['none', 3])} uncorrected, {_value(bias['paper', 3])} with the factor, and "
        f"{_value(bias['exact', 3])} with the exact correction, which moves a weight only within the cell that its "
        "protected bits choose."
    )


def _forward(of: _Row) -> str:
    return (
        "The paper assumes that electrons only escape, yet lets stored zeros and ones fail alike. Where only ones are "
        "lost, as often on average, a TAC plan for symmetric errors at 5% overhead reads "
        f"{_share(of('accuracy, planned for symmetric, read with forward-only errors'))} instead of "
        f"{_share(of('accuracy, planned for and read with symmetric errors'))}; a plan for the true errors gains "
        f"{points(of('gain of planning for forward-only errors').value)}. Such a cell carries "
        f"{_value(of('capacity of a cell, forward-only errors'))} bits, the symmetric one "
        f"{_value(of('capacity of a cell, symmetric errors'))}."
    )


def _amplified(of: _Row) -> str:
    keep, new = (
        of(f"variance over uncorrected, {name}, 2 protected bits")
        for name in ("exact correction, step kept", "paper's factor, step recomputed")
    )
    return (
        "The paper explains why correction can hurt by an amplified variance. That is the price of a larger "
        "quantisation step, not of the correction: with two protected bits the variance of what is read from fc1 is "
        f"{_value(new)} times the uncorrected one where the step follows the corrected weights, and {_value(keep)} "
        "times where the step is kept. The bias of point 1 is another explanation of the harm."
    )


def _ratio(of: _Row) -> str:
    ratios = ", ".join(f"{_value(of(f'rho at {one:.1%} overhead'))} at {one:.1%}" for one in remarks.OVERHEADS)
    return (
        "rho* is the ratio of output errors only where every tensor has some protected bits and none has all. On "
        f"SmallCNN, where it is {_value(of('rho*'))}, that begins at {_share(of('overhead from which rho* holds'))} "
        f"overhead. By water filling the predicted ratio is {ratios} overhead: below the range it is larger than rho*, "
        "and changes continuously with the budget. It is not piecewise constant."
    )


def _bound(of: _Row) -> str:
    few, many = remarks.TENSORS
    worst = {
        (method, count): _value(of(f"worst cost of whole bits, {method}, {count} tensors"), ".4f")
        for method in ("greedy", "integer", "split")
        for count in (few, many)
    }
    return (
        "1.2637 is given as an asymptotic value. It is a bound for any network "
        f"({_value(of('bound of split'), '.5f')}) if one tensor may have two depths of protection, and none at all "
        f"otherwise. Over random networks of {few} and of {many} tensors whole bits cost at worst "
        f"{worst['split', few]} and {worst['split', many]} with one tensor split, {worst['integer', few]} and "
        f"{worst['integer', many]} with the exact integer program, {worst['greedy', few]} and {worst['greedy', many]} "
        "with the greedy rule."
    )


def _greedy(of: _Row) -> str:
    told = "; ".join(
        f"at {one:.1%} overhead {_value(of(f'error of greedy over the exact optimum at {one:.1%} overhead'), '.3f')} "
        f"times (worst training {_value(of(f'the same, worst training at {one:.1%} overhead'), '.3f')}), with "
        f"{_share(of(f'budget that the exact optimum leaves at {one:.1%} overhead'))} of the budget left by the optimum"
        for one in remarks.OVERHEADS
    )
    return (
        "The paper calls the greedy rule optimal and the budget tight. Tensors of different sizes need not fit a "
        "budget, and the rule can miss the optimum. Its predicted error on SmallCNN over that of the exact optimum: "
        f"{told}."
    )


def _codes(of: _Row) -> str:
    told = ", ".join(
        f"{name}: {_value(of(f'cells for a protected bit, {name}'))} cells, at most "
        f"{of(f'errors left, {name}').value.value:.2g} of the bits still wrong, overhead "
        f"{_share(of(f'overhead of a 5% plan, {name}'))}"
        for name in ("LDPC", "repetition 3", "repetition 5")
    )
    return (
        "The paper counts one more cell for each protected bit and lets it never fail. At p = 0.1 Shannon's limit is "
        f"{_value(of('cells for a protected bit, Shannon limit'))} cells for such a bit, so 2 is possible, "
        f"but the codes of this package need more. A plan of 5% overhead with them: {told}. LDPC blocks hold "
        "thousands of bits: small tensors have to share them."
    )


def _edge(of: _Row) -> str:
    told = ", ".join(
        f"{_value(of(f'oxide between p = 1e-6 and p = 0.1, {one} electrons'), '.2g')} nm for {one} electrons"
        for one in remarks.ELECTRONS
    )
    return (
        "One p of 0.1 for all cells is a knife edge. Behind silicon dioxide, refreshed every 64 ms, the oxide between "
        f"p = 1e-6 and p = 0.1 is {told}. Cells whose oxides differ by more than that have no p in common: some nearly "
        "always fail and most never do."
    )


def _persistent(of: _Row) -> str:
    told = "; ".join(
        f"{name}, {_share(of(f'spread of accuracy between reads of one chip, {name}'), '.2f')} from read to read and "
        f"{_share(of(f'spread of accuracy between chips, {name}'), '.2f')} from chip to chip, the best of "
        f"{remarks.CHIPS} chips {_share(of(f'best chip over worst, {name}'), '.2f')} above the worst"
        for name in remarks.CELLS
    )
    return (
        "The paper draws new errors in every evaluation, but weak cells stay weak: the errors of a chip are partly the "
        f"same in every read. Standard deviation of the accuracy of SmallCNN at 2% overhead: {told}. An interval over "
        "reads of new errors mixes both kinds of scatter; it does not say how far a given chip is off."
    )


def _largest(of: _Row) -> str:
    return (
        "On the paper's integer grid the level +||W||_inf does not exist: a largest weight of positive sign is stored "
        f"{_value(of('error of the largest weight, integer grid'), '.2f')} steps too low, on the half-step grid "
        f"{_value(of('error of the largest weight, half_step grid'), '.2f')}. The effect is small at 8 bits; the grid "
        "also adds an offset of -p steps to every mean, which the half-step grid does not have."
    )


def _clipped(of: _Row) -> str:
    return (
        "The variance of the errors grows with the square of the full scale, which the paper leaves at the largest "
        "weight. fc1 read raw at p = 0.1 has a signal to noise ratio of "
        f"{_value(of('signal to noise, full scale at the largest weight'))} dB; with a full scale of "
        f"{_value(of('best full scale'))} of the largest weight, the rest clipped, it is "
        f"{_value(of('signal to noise, best full scale'))} dB, for no cell more."
    )


_POINTS: tuple[tuple[str, Callable[[_Row], str]], ...] = (
    ("The mean correction under protected bits", _factor),
    ("Forward-only escape, symmetric errors", _forward),
    ("Variance amplification", _amplified),
    ("rho* outside its range", _ratio),
    ("The rounding constant", _bound),
    ("Greedy allocation", _greedy),
    ("The price of a protected bit", _codes),
    ("A knife edge", _edge),
    ("Errors that persist", _persistent),
    ("The largest weight", _largest),
    ("The full scale", _clipped),
)

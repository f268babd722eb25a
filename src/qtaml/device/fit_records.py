"""What a fit of retention data keeps beside its parameters: counts, a test, the laws that were tried."""

from dataclasses import dataclass

from qtaml.device.lognormal_mixture import Law


@dataclass(frozen=True)
class Share:
    """What was measured of one chip at one temperature up to one window.

    Attributes:
        temperature: K.
        chip: its number.
        window: s.
        failed: number of cells that had lost their bit.
        cells: number of cells.
    """

    temperature: float
    chip: int
    window: float
    failed: float
    cells: float


@dataclass(frozen=True)
class GoodnessOfFit:
    """Likelihood-ratio test of the fit against the counts between the windows of its `Share`s.

    Attributes:
        statistic: G^2, twice the log-likelihood that free counts would gain.
        degrees: classes less one for each chip and temperature, less the fitted parameters.
        p_value: of the statistic; below 0.01 the law does not describe the data.
        p_value_largest: with no degree taken off for parameters. Of single retention times the truth lies between.
    """

    statistic: float
    degrees: int
    p_value: float
    p_value_largest: float


@dataclass(frozen=True)
class Alternative:
    """A law that was tried.

    Attributes:
        law: of temperature.
        tail: whether it has one.
        log_likelihood: at its best parameters.
        criterion: Bayesian information criterion; the smallest is taken.
    """

    law: Law
    tail: bool
    log_likelihood: float
    criterion: float

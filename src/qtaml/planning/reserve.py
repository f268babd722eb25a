"""Plans with a reserve: for the worst of several memories, or for all of them on average."""

from collections.abc import Callable
from dataclasses import replace

from qtaml.faults import AnyFault, Several
from qtaml.planning.measured import measured
from qtaml.planning.plan import Plan
from qtaml.planning.plan_parts import MemberError
from qtaml.planning.settings import AnySettings
from qtaml.sensitivity import Calibration


def with_reserve(
    calibration: Calibration, settings: AnySettings, fault: Several, plan_for: Callable[[AnyFault], Plan]
) -> Plan:
    """The plan of least error for the worst member of a fault model, or for the mean over its members.

    A plan that is the best for one member, and errs most at this very member, is the best for the worst: no other errs
    less there. So the member with the most errors comes first, and mostly last; else plans for further members, and for
    their mixture, are compared by reads.

    Args:
        calibration: of the network.
        settings: what was asked.
        fault: the memories; with weights, their mean counts, without, the worst.
        plan_for: plans for one of them, or for their mixture.

    Returns:
        The plan, with the error at each member.

    Source:
        theory.md 6.7.
    """

    def planned(way: AnyFault) -> Plan:
        plan = plan_for(way)
        errors = tuple(MemberError(member, measured(plan, calibration, member)) for member in fault.members)
        return replace(plan, settings=settings, written_for=None if way is fault else way, reserve=errors)

    heaviest = max(fault.members, key=lambda one: sum(one.mean_rates))
    if fault.weights is not None:
        # Beside the mixture the worst member alone: heavy errors count most in a mean too.
        tried = [planned(fault), planned(heaviest)]
    else:
        tried = [planned(heaviest)]
        worst = max(tried[0].reserve, key=lambda one: one.error.mean).fault
        if worst != heaviest:
            tried.append(planned(worst))
    return min(tried, key=lambda plan: _overall(plan.reserve, fault))


def _overall(errors: tuple[MemberError, ...], fault: Several) -> float:
    if fault.weights is None:
        return max(one.error.mean for one in errors)
    return sum(share * one.error.mean for share, one in zip(fault.shares, errors, strict=True))

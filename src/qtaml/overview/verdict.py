"""The verdict on a stored network, in a few sentences."""

from dataclasses import replace

from qtaml.measuring import Estimate
from qtaml.overview.records import NetworkOverview, Overview


def verdict(overview: Overview, network: NetworkOverview) -> str:
    """What was found of a stored network: cells, metric, share of good chips, reserve.

    Args:
        overview: what was measured.
        network: one of its networks.
    """
    stored = (
        f"{network.weights:,} weights in {network.cells:.4g} of the cells of a plain {network.plain_bits}-bit memory"
    )
    if network.result is None or overview.bar is None:
        return f"{stored}. {_predicted(network)} Nothing was measured."
    parts = [f"{stored}: {overview.metric} {metric_text(overview, network.result.estimate)}"]
    if network.without_errors:
        parts[0] += f", {metric_text(overview, network.without_errors.value)} if nothing is read wrong"
    if overview.trained:
        parts[0] += f", {metric_text(overview, overview.trained.value)} of the trained network"
    sentences = [parts[0], _chips(overview, network), _reserve(overview, network)]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def metric_text(overview: Overview, found: Estimate | float) -> str:
    """A value of the metric, with its interval if it has one; shares in per cent."""
    if not isinstance(found, Estimate):
        return f"{100 * found:.1f}%" if overview.is_share else f"{found:.4g}"
    return _percent(found, 1) if overview.is_share else f"{found:.4g}"


def good_chips(overview: Overview, network: NetworkOverview) -> Estimate | None:
    """The share of chips on the good side of the bar; None where no chips were measured."""
    chips, bar = network.chips, overview.bar
    if chips is None or bar is None:
        return None
    if overview.better == "higher":
        return chips.share_above(bar)
    return replace(chips, values=tuple(-value for value in chips.values)).share_above(-bar)


def _predicted(network: NetworkOverview) -> str:
    if network.predicted_error is None:
        return "The plan predicts no output error."
    power = network.output_power
    of_outputs = f", {network.predicted_error / power:.2%} of the outputs' power" if power else ""
    return f"Predicted output error {network.predicted_error:.3g}{of_outputs}."


def _chips(overview: Overview, network: NetworkOverview) -> str:
    share = good_chips(overview, network)
    if share is None or network.chips is None or overview.bar is None:
        return ""
    reach = "reach" if overview.better == "higher" else "stay within"
    bar = metric_text(overview, overview.bar)
    return f"{_percent(share, 0)} of {len(network.chips.values)} chips {reach} {bar}"


def _reserve(overview: Overview, network: NetworkOverview) -> str:
    if overview.planned is None or not network.curve:
        return ""
    side = "above" if overview.better == "higher" else "below"
    bar = metric_text(overview, overview.bar or 0.0)
    axis, planned, last = overview.axis, overview.planned, network.holds_to
    if last is None:
        return f"The interval is not wholly {side} {bar} at {axis} = {planned:g}"
    beyond = [point.at for point in network.curve if point.at > last]
    until = f", not at {beyond[0]:g}" if beyond else ", the last one measured"
    if last == planned:
        return f"No reserve: the interval stays {side} {bar} at {axis} = {planned:g}{until}"
    return f"Reserve: the interval stays {side} {bar} up to {axis} = {last:g}{until}; {planned:g} is planned"


def _percent(share: Estimate, digits: int) -> str:
    value, low, high = (f"{100 * end:.{digits}f}" for end in (share.value, share.low, share.high))
    return f"{value}% [{low}, {high}]"

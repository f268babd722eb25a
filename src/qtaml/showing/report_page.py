"""The report of stored networks as one HTML page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qtaml import _files
from qtaml.measuring import Estimate
from qtaml.overview import (
    NetworkOverview,
    Overview,
    TensorOverview,
    WeightsOverview,
    good_chips,
    verdict,
)
from qtaml.showing.page import page, page_path, short


def report_page(overview: Overview) -> str:
    """A report as HTML text: one file, which loads nothing and sends nothing.

    Args:
        overview: what `qtaml.overview.summarise` measured.

    Example:
        >>> from torch import nn
        >>> from qtaml.overview import summarise
        >>> from qtaml.planning import uniform_msp
        >>> text = report_page(summarise({"linear": uniform_msp(nn.Linear(8, 4), p=0.1, protected_bits=1)}))
        >>> text.startswith("<!doctype html>"), len(text) < 2_000_000
        (True, True)
    """
    names = ", ".join(network.name for network in overview.networks)
    lead = " ".join(f"{network.name}: {verdict(overview, network)}" for network in overview.networks)
    return page("report", f"{names} - qtaml", lead, _data(overview))


def save_report(overview: Overview, path: str | Path) -> Path:
    """Write the report of an overview, by an atomic rename.

    Args:
        overview: what `qtaml.overview.summarise` measured.
        path: the file, which ends in .html.

    Raises:
        StoredFileError: if it cannot be written, or has another ending.
    """
    path = page_path(path)
    _files.write_text(path, report_page(overview))
    return path


def _data(overview: Overview) -> dict[str, Any]:
    return {
        "metric": overview.metric,
        "share": overview.is_share,
        "better": overview.better,
        "bar": short(overview.bar),
        "trained": _ends(overview.trained),
        "axis": overview.axis,
        "planned": overview.planned,
        "networks": [_network(overview, one) for one in overview.networks],
        "references": [
            {
                "name": one.name,
                "kind": one.kind,
                "cells": short(one.cells),
                "metric": _ends(one.metric),
                "note": one.note,
            }
            for one in overview.references
        ],
        "comparisons": [
            {"first": one.first, "second": one.second, "difference": _ends(one.difference)}
            for one in overview.comparisons
        ],
        "missing": list(overview.missing),
        "again": _again(overview),
    }


def _network(overview: Overview, one: NetworkOverview) -> dict[str, Any]:
    return {
        "name": one.name,
        "method": one.settings.kind,
        "verdict": verdict(overview, one),
        "weights": one.weights,
        "cells": short(one.cells),
        "total": one.cells * one.plain_bits * one.weights,
        "fault": str(one.fault),
        "asked": str(one.settings),
        "predicted": short(one.predicted_error),
        "power": short(one.output_power),
        "remarks": [*one.remarks, *_cautions(overview, one)],
        "metric": _ends(one.result.estimate) if one.result else None,
        "reads": [short(value) for value in one.result.values] if one.result else [],
        "covers": one.result.covers if one.result else "",
        "without": _ends(one.without_errors),
        "holds": one.holds_to,
        "chips": _chips(overview, one),
        "curve": [
            {
                "at": point.at,
                "metric": _ends(point.metric),
                "noise": short(point.noise_error),
                "shares": list(map(short, point.shares)),
            }
            for point in one.curve
        ],
        "tensors": _tensors(one.tensors),
        "details": [_weights(detail, one.tensors) for detail in one.details],
    }


def _cautions(overview: Overview, one: NetworkOverview) -> list[str]:
    """Why the interval of the metric may be too narrow."""
    caution = one.result.caution if one.result else ""
    return [f"The interval of the {overview.metric} may be too narrow: {caution}."] if caution else []


def _chips(overview: Overview, one: NetworkOverview) -> dict[str, Any] | None:
    if one.chips is None:
        return None
    lower = overview.better == "lower"
    # The share of chips on the good side of a value: for a metric of which less is better, those at most as large.
    chips = replace(one.chips, values=tuple(-value for value in one.chips.values)) if lower else one.chips
    at, shares = chips.curve()
    if lower:
        at, shares = tuple(-value for value in reversed(at)), tuple(reversed(shares))
    return {
        "values": [short(value) for value in one.chips.values],
        "reads": one.chips.trials,
        "good": _ends(good_chips(overview, one)),
        "at": [short(value) for value in at],
        "reach": [_ends(share) for share in shares],
    }


def _tensors(tensors: Sequence[TensorOverview]) -> dict[str, Any]:
    """Columns, which pack far better than rows; protections by their place in a list, the cheapest first."""
    price = {part.protection: part.cells / one.weights for one in tensors for part in one.by_bit}
    known = {name: place for place, name in enumerate(sorted(price, key=lambda name: price[name]))}
    return {
        "name": [" = ".join((one.name, *one.aliases)) for one in tensors],
        "shape": [" x ".join(map(str, one.shape)) for one in tensors],
        "weights": [one.weights for one in tensors],
        "bits": [one.bits for one in tensors],
        "levels": [one.levels for one in tensors],
        "correction": [one.correction for one in tensors],
        "cells": [short(one.cells + one.side_cells) for one in tensors],
        "side": [short(one.side_cells) for one in tensors],
        "share": [short(one.error_share) for one in tensors],
        "gain": [short(one.gain.squared) if one.gain else None for one in tensors],
        "error": [short(one.gain.standard_error) if one.gain else None for one in tensors],
        "parts": [
            [number for part in one.by_bit for number in (part.bit, known[part.protection], short(part.cells))]
            for one in tensors
        ],
        "protections": list(known),
    }


def _weights(detail: WeightsOverview, tensors: Sequence[TensorOverview]) -> dict[str, Any]:
    errors = detail.errors
    return {
        "row": next(row for row, one in enumerate(tensors) if one.name == detail.name),
        "name": detail.name,
        "levels": list(map(short, detail.levels)),
        "shares": list(map(short, detail.shares)),
        "edges": list(map(short, detail.edges)),
        "trained": list(map(short, detail.trained)),
        "errors": errors
        and {
            "edges": list(map(short, errors.edges)),
            "expected": list(map(short, errors.expected)),
            "seen": list(map(short, errors.seen)),
            "low": list(map(short, errors.low)),
            "high": list(map(short, errors.high)),
            "wrong": short(sum(errors.expected)),
            "wrong_seen": short(sum(errors.seen)),
            "read": errors.read,
        },
    }


def _again(overview: Overview) -> dict[str, Any]:
    return {
        "command": overview.command,
        "seed": overview.seed,
        "trials": overview.trials,
        "versions": ", ".join(f"{name} {version}" for name, version in overview.versions.items()),
        "networks": [
            {
                "name": one.name,
                "asked": str(one.settings),
                "fault": str(one.fault),
                "made with": ", ".join(f"{name} {version}" for name, version in one.made_with.items()),
                "SHA-256 of the plan": one.plan_sha256,
                "SHA-256 of the stored words": one.words_sha256 or "not known",
            }
            for one in overview.networks
        ],
    }


def _ends(estimate: Estimate | None) -> list[Any] | None:
    """Value and ends; an end that nothing bounds is null."""
    return None if estimate is None else [short(estimate.value), short(estimate.low), short(estimate.high)]

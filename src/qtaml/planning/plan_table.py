"""A plan as a table: what is stored of each tensor, and what that costs."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from qtaml import _tables
from qtaml.formats import Format, TensorFormat
from qtaml.planning.plan_parts import TensorPlan


def plan_rows(tensors: Sequence[TensorPlan], total: float | None, side_price: float) -> list[dict[str, Any]]:
    """What a plan says of each tensor, by the names of the columns.

    Args:
        tensors: of the plan.
        total: predicted output error of the noise in all of them; None if it is not known.
        side_price: cells of a side value.
    """
    return [
        {
            "tensor": one.name,
            "weights": one.storage.weights,
            "bits": one.storage.bits,
            "protected": _protected(one.storage),
            "correction": one.storage.correction,
            "gain": one.gain.squared if one.gain else None,
            "gain_error": one.gain.standard_error if one.gain else None,
            "error_share": one.predicted_error / total if one.predicted_error is not None and total else None,
            "cells": one.storage.cells + side_price * one.side_values,
        }
        for one in tensors
    ]


def plan_table(tensors: Sequence[TensorPlan], rows: Sequence[dict[str, Any]], title: str, caption: str) -> Table:
    """A plan as a rich table, one row for each tensor.

    Args:
        tensors: of the plan.
        rows: what `plan_rows` says of them.
        title: stands above the table.
        caption: stands below it.
    """
    table = _tables.captioned_table(title, escape(caption))
    for column in ("tensor", "weights", "bits", "protected", "correction", "gain", "error share", "cells"):
        table.add_column(column, justify="left" if column in ("tensor", "correction") else "right", overflow="fold")
    for tensor, row in zip(tensors, rows, strict=True):
        table.add_row(
            escape(" = ".join((tensor.name, *tensor.aliases))),
            f"{row['weights']:,}",
            str(row["bits"]),
            row["protected"],
            row["correction"],
            str(tensor.gain or "-"),
            f"{row['error_share']:.1%}" if row["error_share"] is not None else "-",
            f"{row['cells']:,.0f}",
        )
    return table


def _protected(storage: TensorFormat) -> str:
    weights = Counter[str]()
    for section in storage.sections:
        weights[_described(section.format)] += section.weights
    if len(weights) == 1:
        return next(iter(weights))
    return ", ".join(f"{described} x {count:,}" for described, count in weights.items())


def _described(fmt: Format) -> str:
    """Protected bits of evenly spaced levels; for fitted ones the bits under each protection."""
    if fmt.levels.kind != "table":
        return str(fmt.protected_bits)
    kinds = Counter(protection.kind for protection in reversed(fmt.protections))
    return "+".join(f"{count} {kind}" for kind, count in kinds.items()) or "mean only"

"""Results as they are kept, for claims and texts: rows by field, and numbers with their intervals as text."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pydantic

from qtaml import _files
from qtaml.errors import StoredFileError
from qtaml.laboratory.result_file import nested_row
from qtaml.measuring import Estimate
from reproduction.catalog import CATALOG

Verdict = Literal["holds", "holds in part", "does not hold"]

_COVERS = "what its experiment says"
"""Rows on disk do not say what their intervals cover."""


@dataclass(frozen=True)
class Result:
    """A result, loaded.

    Attributes:
        rows: the records that its experiment computed.
        manifest: how it came to be.
    """

    rows: tuple[Any, ...]
    manifest: Mapping[str, Any]

    def where(self, **fields: Any) -> list[Any]:
        """Rows that have these fields with these values, in order.

        Example:
            >>> from types import SimpleNamespace
            >>> Result((SimpleNamespace(p=0.1), SimpleNamespace(p=0.2), SimpleNamespace(part="b")), {}).where(p=0.2)
            [namespace(p=0.2)]
        """
        return [row for row in self.rows if fields.items() <= vars(row).items()]

    def one(self, **fields: Any) -> Any:
        """The first row that has these fields with these values.

        Raises:
            StoredFileError: if there is none.
        """
        found = self.where(**fields)
        if not found:
            raise StoredFileError(
                f"results must hold a row with {fields}; compute them anew with `python -m reproduction`"
            )
        return found[0]


Results = Mapping[str, Result]


@dataclass(frozen=True)
class Outcome:
    """What became of a claim.

    Attributes:
        measured: the numbers, with their intervals.
        verdict: whether it holds.
        why: one or two sentences.
    """

    measured: str
    verdict: Verdict
    why: str

    @staticmethod
    def of(conditions: Iterable[bool], measured: str, why: str) -> "Outcome":
        """It holds if all conditions do, in part if some do.

        Example:
            >>> Outcome.of([True, False], "measured", "why").verdict
            'holds in part'
        """
        met = list(conditions)
        verdict: Verdict = "holds" if all(met) else "holds in part" if any(met) else "does not hold"
        return Outcome(measured, verdict, why)


def load_results(folder: Path, names: Sequence[str]) -> dict[str, Result]:
    """Results of a folder.

    Args:
        folder: where `python -m reproduction` wrote them.
        names: which.

    Returns:
        Each by its name.

    Raises:
        StoredFileError: if one is missing or no result; the message names it.
    """
    results = {}
    for name in names:
        path = folder / f"{name}.json"
        if not path.exists():
            raise StoredFileError(f"{path} must be there for the report; make it with `python -m reproduction {name}`")
        try:
            record = json.loads(_files.read_bytes(path))
            results[name] = Result(_rows(name, record["rows"]), record["manifest"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoredFileError(f"{path} is no result; make it anew with `python -m reproduction {name}`") from error
    return results


def _rows(name: str, flat: Iterable[Mapping[str, Any]]) -> tuple[Any, ...]:
    """Rows of the types that the experiment of this name computes."""
    kind = get_type_hints(CATALOG[name].compute)["return"]
    rows: tuple[Any, ...] = pydantic.TypeAdapter(kind).validate_python([nested_row(row, _COVERS) for row in flat])
    return rows


def number(estimate: Estimate, form: str = ".3g") -> str:
    """An estimate with its interval; without one where it is too narrow to be seen.

    Example:
        >>> number(Estimate(1.0, 0.5, 1.5, "reads"))
        '1 [0.5, 1.5]'
    """
    return _with_interval(estimate, form, "")


def share(estimate: Estimate, form: str = ".1f") -> str:
    """An estimate in per cent with its interval, as in "95.5% [93.4, 97.6]"."""
    return _with_interval(estimate.scaled(100), form, "%")


def points(estimate: Estimate) -> str:
    """A difference in percentage points with its sign and interval."""
    return _with_interval(estimate.scaled(100), "+.1f", " points")


def overlap(one: Estimate, other: Estimate) -> bool:
    """Whether two intervals have a number in common."""
    return one.low <= other.high and other.low <= one.high


def _with_interval(estimate: Estimate, form: str, unit: str) -> str:
    value, low, high = (format(end, form) for end in (estimate.value, estimate.low, estimate.high))
    return f"{value}{unit}" if low == value == high else f"{value}{unit} [{low}, {high}]"

"""Results as they are kept, for claims and texts: rows by field, and numbers with their intervals as text."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from qtaml import _files
from qtaml.errors import StoredFileError

Verdict = Literal["holds", "holds in part", "does not hold"]


@dataclass(frozen=True)
class Result:
    """A result, loaded.

    Attributes:
        rows: fields as attributes.
        manifest: how it came to be.
    """

    rows: tuple[Any, ...]
    manifest: Mapping[str, Any]

    def where(self, **fields: Any) -> list[Any]:
        """Rows that have these fields with these values, in order.

        Example:
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
            results[name] = Result(tuple(SimpleNamespace(**row) for row in record["rows"]), record["manifest"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoredFileError(f"{path} is no result; make it anew with `python -m reproduction {name}`") from error
    return results


def number(row: Any, name: str, form: str = ".3g") -> str:
    """An estimate with its interval; without one where it is too narrow to be seen.

    Example:
        >>> number(SimpleNamespace(x=1.0, x_low=0.5, x_high=1.5), "x")
        '1 [0.5, 1.5]'
    """
    return _with_interval(row, name, form, 1, "")


def share(row: Any, name: str, form: str = ".1f") -> str:
    """An estimate in per cent with its interval, as in "95.5% [93.4, 97.6]"."""
    return _with_interval(row, name, form, 100, "%")


def points(row: Any, name: str) -> str:
    """A difference in percentage points with its sign and interval."""
    return _with_interval(row, name, "+.1f", 100, " points")


def overlap(row: Any, one: str, other: str) -> bool:
    """Whether the intervals of two estimates of a row have a number in common."""
    low, high = (getattr(row, f"{one}{end}") for end in ("_low", "_high"))
    return bool(low <= getattr(row, f"{other}_high") and getattr(row, f"{other}_low") <= high)


def _with_interval(row: Any, name: str, form: str, scale: float, unit: str) -> str:
    mean, low, high = (f"{scale * getattr(row, f'{name}{end}'):{form}}" for end in ("", "_low", "_high"))
    return f"{mean}{unit}" if low == mean == high else f"{mean}{unit} [{low}, {high}]"

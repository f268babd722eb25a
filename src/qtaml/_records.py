"""Records from tables that a user writes, in a file or an option; errors name the key."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import pydantic

from qtaml.errors import ArgumentError

T = TypeVar("T")
Key = Sequence[str | int]


class TableError(ArgumentError):
    """Something in a table is not allowed.

    Attributes:
        key: where: names of tables and places in lists, from the outside in.
        reason: what is wrong there.
    """

    def __init__(self, key: Key, reason: str) -> None:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).lstrip(".")
        super().__init__(f"{place}: {reason}" if place else reason)
        self.key, self.reason = tuple(key), reason

    def below(self, key: Key) -> "TableError":
        """The same, of a table that is itself under a key."""
        return TableError((*key, *self.key), self.reason)


def from_table(kind: type[T], table: Mapping[str, Any], names: Collection[str] | None = None) -> T:
    """The record that a table describes, with every type checked.

    Args:
        kind: class of the record.
        table: what a TOML or JSON table says.
        names: keys that it may have; those of the record if not given.

    Raises:
        TableError: if a key or a value is not allowed.
    """
    for name in (name for name in table if names is not None and name not in names):
        raise TableError((name,), f"must be one of {', '.join(map(repr, names or ()))}")
    try:
        # By way of JSON: strict mode takes lists for tuples and texts for dates in JSON, but not in Python objects.
        return pydantic.TypeAdapter(kind).validate_json(json.dumps(table, default=str), strict=True)
    except pydantic.ValidationError as error:
        # The first only: of a union pydantic lists what is wrong for each of its members.
        first = error.errors(include_url=False)[0]
        given = "" if first["type"] in ("missing", "value_error") else f", got {first['input']!r}"
        raise TableError(first["loc"], first["msg"].removeprefix("Value error, ") + given) from error

"""Look-up by name, with help where the name is unknown."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from qtaml.errors import ArgumentError

Entry = TypeVar("Entry")


def look_up(what: str, name: str, table: Mapping[str, Entry]) -> Entry:
    """Return the entry of that name, else raise `ArgumentError` with near names and the list of all."""
    if name in table:
        return table[name]
    lowered = {key.lower(): key for key in table}
    near = [lowered[key] for key in get_close_matches(str(name).lower(), lowered, n=3)]
    hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    raise ArgumentError(f"{what} must be one of {', '.join(map(repr, table))}, got {name!r}{hint}")

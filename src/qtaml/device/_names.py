"""Look-up by name, with help where the name is unknown."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from qtaml.errors import ArgumentError

Entry = TypeVar("Entry")


def look_up(what: str, name: str, table: Mapping[str, Entry]) -> Entry:
    """Return `table[name]`, else raise `ArgumentError` with close matches and the list of all names."""
    if name in table:
        return table[name]
    # Suggestions ignore case; the look-up itself does not, so that stored names have one spelling.
    lowered = {key.lower(): key for key in table}
    near = [lowered[key] for key in get_close_matches(str(name).lower(), lowered, n=3)]
    hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    raise ArgumentError(f"{what} must be one of {', '.join(map(repr, table))}, got {name!r}{hint}")

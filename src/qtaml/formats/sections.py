"""Sections: runs of weights of a tensor that share a format."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetPydanticSchema
from pydantic_core import CoreSchema, core_schema

from qtaml.formats.format import Format


@dataclass(frozen=True)
class Section:
    """A run of consecutive weights, in the order of the flattened tensor, that share a format.

    Attributes:
        weights: number of weights.
        format: how each of them is stored.
    """

    weights: int
    format: Format


@dataclass(frozen=True)
class _Once:
    """Sections in JSON: each format once, and for each section its weights and the index of its format."""

    formats: tuple[Format, ...]
    sections: tuple[tuple[int, int], ...]


def _once(sections: tuple[Section, ...]) -> _Once:
    place = {fmt: i for i, fmt in enumerate(dict.fromkeys(section.format for section in sections))}
    return _Once(tuple(place), tuple((section.weights, place[section.format]) for section in sections))


def _from_once(once: _Once) -> tuple[Section, ...]:
    if not all(0 <= place < len(once.formats) for _, place in once.sections):
        raise ValueError(f"a section must name one of {len(once.formats)} formats by its place, from 0")
    return tuple(Section(weights, once.formats[place]) for weights, place in once.sections)


# Rows by the thousand share a few formats: written out for each section, they would be most of a plan's JSON.
def _as_once(_: Any, schema_of: GetCoreSchemaHandler) -> CoreSchema:
    to_json = core_schema.plain_serializer_function_ser_schema(_once, return_schema=schema_of(_Once))
    return core_schema.no_info_after_validator_function(_from_once, schema_of(_Once), serialization=to_json)


Sections = Annotated[tuple[Section, ...], GetPydanticSchema(_as_once)]
"""The sections of a tensor, first weights first."""

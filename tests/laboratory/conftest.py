"""The laboratory of all tests."""

from tests.laboratory_fixture import laboratory

__all__ = ["laboratory"]

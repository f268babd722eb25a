"""The user's own figures, from a JSON file."""

from dataclasses import dataclass
from pathlib import Path

from qtaml import _files
from qtaml.cost.arrays import Array
from qtaml.cost.logic import Logic


@dataclass(frozen=True)
class Numbers:
    """Arrays and decoders of the user, which come before the built-in ones of the same names.

    Args:
        arrays: see `Array`.
        decoders: see `Logic`; named as `qtaml.cost.logic` names them.

    Example:
        >>> from qtaml.cost import Figure
        >>> own = Numbers((Array("mine", 28.0, Figure(0.2, "our layout")),))
        >>> _files.from_json(Numbers, _files.to_json(own), "the text") == own
        True
    """

    arrays: tuple[Array, ...] = ()
    decoders: tuple[Logic, ...] = ()

    def save(self, path: str | Path) -> None:
        """Write the figures as JSON, atomically."""
        _files.write_text(path, _files.to_json(self))

    @staticmethod
    def load(path: str | Path) -> "Numbers":
        """The figures of a file.

        Raises:
            StoredFileError: if it cannot be read, or holds no such figures; the message says where.
        """
        return _files.from_json(Numbers, _files.read_bytes(Path(path)), str(path))

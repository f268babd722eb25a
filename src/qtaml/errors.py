"""The errors that qtaml raises on purpose.

Every one derives from `QtamlError`. Those caused by what the caller passed are `ValueError`s as well, so code that
knows nothing of qtaml still catches them.
"""


class QtamlError(Exception):
    """Base of all errors that qtaml raises on purpose."""


class ArgumentError(QtamlError, ValueError):
    """An argument has a value that is not allowed; the message names it, its value and what is allowed."""


class ModelError(QtamlError, ValueError):
    """A network, or its weights, cannot be treated as asked."""


class BudgetError(QtamlError, ValueError):
    """The budget lies below the least possible one.

    Attributes:
        least_overhead: the least budget, in cells beyond a plain memory as a share of it; below 0 for fewer cells.
    """

    def __init__(self, message: str, least_overhead: float) -> None:
        super().__init__(message)
        self.least_overhead = least_overhead

    def __reduce__(self) -> tuple[type["BudgetError"], tuple[str, float]]:
        # Pickle would call the class with the message alone, so that the error could not leave a worker process.
        return type(self), (str(self), self.least_overhead)


class StoredFileError(QtamlError, ValueError):
    """A saved plan, result or memory is missing, damaged, foreign, or does not fit the model it is loaded into."""

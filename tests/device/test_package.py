"""The package as a whole: what it exports and what it imports."""

import ast
from pathlib import Path

import qtaml.device
from qtaml import device

FOLDER = Path(device.__file__).parent
ALLOWED = (
    "numpy",
    "scipy",
    "rich.table",
    "qtaml._checks",
    "qtaml._files",
    "qtaml._kinds",
    "qtaml._tables",
    "qtaml._figures",
    "rich.markup",
    "matplotlib.figure",
    "qtaml.errors",
    "qtaml.device",
    "qtaml",
)
STANDARD = (
    "abc",
    "collections",
    "csv",
    "dataclasses",
    "difflib",
    "enum",
    "io",
    "itertools",
    "pathlib",
    "re",
    "typing",
    "warnings",
)


def imported_modules(path):
    """Names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            if node.module == "qtaml":
                yield from (f"qtaml.{alias.name}" for alias in node.names)


def test_only_numpy_scipy_and_the_ground_floor_are_imported():
    """No torch, nothing from another folder of qtaml."""
    for path in FOLDER.glob("*.py"):
        for module in imported_modules(path):
            root = module.split(".")[0]
            assert root in STANDARD or module.startswith("qtaml.device") or module in ALLOWED or root in ALLOWED[:2], (
                f"{path.name} imports {module}"
            )


def test_every_exported_name_exists_and_is_documented():
    """`__all__` is complete and sorted by kind, and each function or class has a docstring."""
    for name in qtaml.device.__all__:
        value = getattr(device, name)
        assert not callable(value) or value.__doc__, name

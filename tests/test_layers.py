"""The layout of the package: imports run one way."""

import ast
import inspect
from collections import Counter
from pathlib import Path

import qtaml

ROOT = Path(qtaml.__file__).parent
LAYERS = (
    ["errors"],
    ["_checks", "_kinds", "_memory", "_replacing", "_threads"],
    ["_random", "_files", "_progress", "_tables", "_records"],
    ["_figures"],
    ["device"],
    ["sampling", "protections", "model", "networks"],
    ["faults", "sensitivity"],
    ["formats"],
    ["cost"],
    ["theory"],
    ["planning"],
    ["memory"],
    ["export", "measuring"],
    ["search"],
    ["checkpoints", "training"],
    ["overview"],
    ["showing"],
    ["laboratory"],
    ["exploration"],
    ["cli"],
    ["__main__"],
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def imports_of(source: str) -> set[str]:
    """Full names of the qtaml modules that a source text imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "qtaml":
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "qtaml"}
    return {name for name in found if name != "qtaml"}


def layer_of(name: str) -> str:
    """The folder or top module that a module belongs to."""
    return name.split(".")[1]


def modules() -> dict[str, Path]:
    """Every module of the package but its root, and its file."""
    paths = [path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py"]
    return {".".join(("qtaml", *path.relative_to(ROOT).with_suffix("").parts)): path for path in paths}


def test_every_folder_has_its_place():
    """Each module and folder of the package is named in the order of layers."""
    assert {layer_of(name) for name in modules()} <= RANK.keys()


def test_imports_run_one_way():
    """A module imports only from layers above its own, or from its own folder."""
    wrong = []
    for name, path in modules().items():
        for imported in imports_of(path.read_text()):
            own, other = layer_of(name), layer_of(imported)
            if other in RANK and other != own and RANK[other] >= RANK[own]:
                wrong.append(f"{name} imports {imported}")
    assert wrong == []


def test_only_the_command_line_exports():
    """The folder that writes files for other programs is at an end: nothing is built on it."""
    users = {
        layer_of(name)
        for name, path in modules().items()
        if any(layer_of(imported) == "export" for imported in imports_of(path.read_text()))
    }
    assert users == {"cli", "export"}


def test_no_cycle_inside_a_folder():
    """The modules of the package form no import cycle."""
    known = modules()
    graph = {
        name: {other for other in imports_of(path.read_text()) if other in known and other != name}
        for name, path in known.items()
    }
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in finished:
            for other in graph[name]:
                visit(other, (*path, name))
            finished.add(name)

    for name in graph:
        visit(name, ())


def test_no_two_files_have_one_name():
    """A file is known by its name alone; `__init__` and `base` begin their folders."""
    names = Counter(path.name for path in modules().values() if path.name not in ("__init__.py", "base.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_folder_has_the_name_of_a_public_function():
    """`qtaml.evaluate` is the function, and no room hides behind it."""
    folders = {path.parent.name for path in ROOT.rglob("__init__.py")} - {ROOT.name}
    opened = {name: getattr(qtaml, name) for name in qtaml.__all__}
    rooms = [qtaml, *(value for value in opened.values() if inspect.ismodule(value))]
    functions = {name for name, value in opened.items() if inspect.isroutine(value)}
    functions |= {name for room in rooms for name, value in vars(room).items() if inspect.isroutine(value)}
    assert folders & functions == set()


def test_an_upward_import_would_be_found():
    """The check sees imports inside functions."""
    assert imports_of("def f():\n    from qtaml.cli import main\n") == {"qtaml.cli", "qtaml.cli.main"}

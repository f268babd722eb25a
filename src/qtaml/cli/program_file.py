"""Programs of `torch.export` in `.pt2` files: what `torch.export.save` writes is loaded, anything else is refused.

A program is code, and who runs it trusts it. Loading it should run nothing, but `torch.export.load` unpickles, opens
shared libraries, evaluates texts as Python, and writes names into Python that it then executes. So it is handed only
members that `torch.export.save` writes, with texts that can only be names, numbers, and sizes computed from them.
"""

import ast
import io
import json
import operator
import re
import zipfile
from math import prod
from pathlib import Path
from types import NoneType
from typing import Any, BinaryIO

import torch
from torch import nn

from qtaml import _files
from qtaml.cli.state_dict import nothing_unpickled
from qtaml.errors import StoredFileError
from qtaml.export.reading import quiet

_MODEL, _SAMPLES = "models/model.json", "data/sample_inputs/model.pt"
_PAYLOADS = {
    "data/weights/": "data/weights/model_weights_config.json",
    "data/constants/": "data/constants/model_constants_config.json",
}
_MEMBER = re.compile(
    r"data/weights/weight_\d+|data/constants/tensor_\d+|archive_format|archive_version|\.data/version|"
    + "|".join(map(re.escape, (_MODEL, _SAMPLES, *_PAYLOADS.values())))
)
# torch.export.save writes these, and torch.export.load does without: they are left out of the copy.
_UNUSED = re.compile(r"byteorder|\.data/serialization_id|extra/.*")
_PICKLED = re.compile(r"data/constants/(custom|opaque)_obj_.*|data/(weights|constants)/model\.pt")
# Elements that a tensor may have beyond its bytes in the file: views repeat numbers, and a forged one would repeat them
# until the memory is full.
_MOST_REPEATED = 2**26

# A text that does nothing where torch writes it into Python: it calls nothing, and ends no string and no line.
_HARMLESS = re.compile(r"[\w.:/+ -]*")
# torch writes the texts under these keys as string literals, with quotes escaped: any text is safe there.
_LITERALS = ("as_string", "as_strings")
_OPERATOR = re.compile(
    r"torch\.ops\.(?P<namespace>\w+)\.\w+(\.\w+)?|_operator\.(?P<operator>\w+)|torch\._?sym_\w+|math\.[a-z]\w*"
)
# Without those that call functions or make them.
_OPERATORS = {*operator.__all__} - {"attrgetter", "call", "itemgetter", "methodcaller"}

_NODES = (
    *(ast.Expression, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Compare, ast.Call, ast.keyword, ast.Subscript, ast.Tuple),
    *(ast.Name, ast.Attribute, ast.Constant, ast.boolop, ast.unaryop, ast.operator, ast.cmpop, ast.expr_context),
)
_SYMBOL = re.compile(r"(s|u|zf|zuf)\d+|L|math|torch|true|false|oo|int_oo")
# An allowlist: attributes lead from any object to the builtins of Python.
_ATTRIBUTES = {
    *("size", "stride", "storage_offset", "sym_float", "sym_int", "sym_max", "sym_min", "sym_not", "sym_ite"),
    *("floor", "ceil", "trunc", "sqrt", "isnan", "inf"),
}
_POWERS = {"Pow", "PowByNatural", "FloatPow", "LShift"}
_FUNCTIONS = {
    *_POWERS,
    *("Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Max", "Min", "Abs", "Mod", "max", "min", "abs", "float"),
    *("Equality", "Unequality", "StrictLessThan", "StrictGreaterThan", "LessThan", "GreaterThan", "Not", "And", "Or"),
    *("Eq", "Ne", "Lt", "Gt", "Le", "Ge", "Piecewise", "ExprCondPair", "Tuple", "ceiling", "floor", "int", "bool"),
    *("FloorDiv", "ModularIndexing", "Where", "PythonMod", "CleanDiv", "CeilToInt", "FloorToInt", "CeilDiv", "RShift"),
    *("FloatTrueDiv", "IntTrueDiv", "IsNonOverlappingAndDenseIndicator", "TruncToFloat", "TruncToInt", "RoundToInt"),
    *("RoundDecimal", "ToFloat", "Identity"),
}
# Numbers and texts far beyond those of real networks, and small enough to be evaluated at once: SymPy computes powers
# of whole numbers exactly, however long.
_LARGEST, _LARGEST_POWER, _LONGEST = 2**64, 64, 10_000


class _ForeignError(Exception):
    """A file holds something that `torch.export.save` does not write."""


def load_program(path: Path) -> nn.Module:
    """The network of a `.pt2` file.

    Args:
        path: what `torch.export.save` wrote.

    Raises:
        StoredFileError: if the file cannot be read or is damaged, or `torch.export.save` does not write such a one.
    """
    try:
        with _files.open_regular(path) as file:
            members = _members(file)
        for folder, config in _PAYLOADS.items():
            _check_payloads(folder, members, json.loads(members[config]))
        model = json.loads(members[_MODEL])
        _check_model(model)
        members[_MODEL] = json.dumps(model).encode()
        if members[_SAMPLES]:
            _check_samples(members[_SAMPLES])
    except _ForeignError as error:
        raise StoredFileError(f"{path} is not loaded: {error}") from error
    except Exception as error:
        raise error if isinstance(error, StoredFileError) else _not_a_program(path, error) from error
    archive = io.BytesIO()
    # A copy of the checked members in memory: torch must not read the file again, which may have changed meanwhile, nor
    # parse the archive in another way than Python did.
    with zipfile.ZipFile(archive, "w") as copy:
        # Taken out one by one, so that each is held twice only while it is copied.
        while members:
            name, content = members.popitem()
            copy.writestr(f"archive/{name}", content)
    archive.seek(0)
    try:
        with quiet(), nothing_unpickled():
            return torch.export.load(archive).module()
    except Exception as error:
        raise _not_a_program(path, error) from error


def _not_a_program(path: Path, error: Exception) -> StoredFileError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return StoredFileError(f"{path} is not a program of torch.export: {reason}")


def _members(file: BinaryIO) -> dict[str, bytes]:
    """The members of an archive that torch gets to see, together no larger than the file.

    Raises:
        _ForeignError: if there is a member that `torch.export.save` does not write, or one that is compressed.
    """
    with zipfile.ZipFile(file) as archive:
        found = archive.infolist()
        if any(one.compress_type != zipfile.ZIP_STORED for one in found):
            raise _ForeignError("its members are compressed, which torch.export.save does not do")
        if sum(one.file_size for one in found) > file.seek(0, io.SEEK_END):
            raise _ForeignError("its members say that they are larger than the file")
        kept = {}
        for one in found:
            root, _, name = one.filename.partition("/")
            if _PICKLED.fullmatch(name):
                raise _ForeignError(f"it holds pickled objects, {one.filename!r}")
            if (
                root != found[0].filename.partition("/")[0]
                # Of two members of one name, torch might load the one that was not checked.
                or name in kept
                or not (_MEMBER.fullmatch(name) or _UNUSED.fullmatch(name))
            ):
                raise _ForeignError(f"it holds {one.filename!r}, which torch.export.save does not write")
            if _MEMBER.fullmatch(name):
                kept[name] = archive.read(one)
    return kept


def _check_payloads(folder: str, members: dict[str, bytes], config: Any) -> None:
    """Check the sizes of the tensors of a folder: none has far more elements than bytes."""
    for name, meta in config["config"].items():
        _check_harmless(name)
        if meta["use_pickle"]:
            raise _ForeignError(f"it holds pickled objects, {name!r}")
        size = len(members[folder + meta["path_name"]])
        elements = prod(dimension["as_int"] for dimension in meta["tensor_meta"]["sizes"])
        if elements > (size + _MOST_REPEATED if size else 0):
            raise _ForeignError(f"tensor {name!r} has {elements} elements in {size} bytes")


def _check_samples(data: bytes) -> None:
    """Check the inputs that a program was traced with; torch writes their keys into Python."""
    if any(one.compress_type != zipfile.ZIP_STORED for one in zipfile.ZipFile(io.BytesIO(data)).infolist()):
        raise _ForeignError("its example inputs are compressed, which torch.export.save does not do")
    # On the device "meta" no memory is taken for the tensors: only the containers matter.
    waiting = [torch.load(io.BytesIO(data), weights_only=True, map_location="meta")]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list | tuple):
            waiting += one
        elif isinstance(one, str):
            _check_harmless(one)
        elif not isinstance(one, torch.Tensor | int | float | NoneType):
            raise _ForeignError(f"its example inputs hold a {type(one).__name__}")


def _check_model(value: Any, key: str = "") -> None:
    """Check every text of a program by what torch does with it, and drop what only helps to debug."""
    if isinstance(value, dict):
        if isinstance(value.get("metadata"), dict):
            # Stack traces and the like, free texts that no rule could tell from code.
            value["metadata"] = {}
        for name, one in value.items():
            _check_harmless(name)
            _check_model(one, name)
    elif isinstance(value, list):
        for one in value:
            _check_model(one, key)
    elif isinstance(value, str) and key not in _LITERALS:
        if key in ("expr_str", "guards_code"):
            _check_expression(value)
        elif key in ("target", "as_operator"):
            _check_operator(value)
        elif key in ("in_spec", "out_spec"):
            _check_tree(json.loads(value))
        else:
            _check_harmless(value)


def _check_harmless(text: str) -> None:
    if not _HARMLESS.fullmatch(text):
        raise _ForeignError(f"it holds the name {text[:80]!r}; letters, digits and _.:/+- are allowed")


def _check_operator(text: str) -> None:
    """Check the name of an operator, which torch looks up among its modules and everything that these import."""
    found = _OPERATOR.fullmatch(text)
    if (
        found is None
        # Attributes of the class itself, such as load_library, are methods and not namespaces of operators.
        or hasattr(type(torch.ops), found["namespace"] or "")
        or (found["operator"] and found["operator"] not in _OPERATORS)
    ):
        raise _ForeignError(f"it calls {text[:80]!r}, which is no operator of a network")


def _check_tree(value: Any) -> None:
    """Check the description of inputs or outputs, containers and their keys, for modules that torch would import."""
    if isinstance(value, dict):
        # Both are imported when the tree is read: enums by their class, default dictionaries by their factory.
        if imports := {"__enum__", "default_factory_module"} & value.keys():
            raise _ForeignError(f"its inputs or outputs name a module to import, under {imports.pop()!r}")
        for name, one in value.items():
            _check_harmless(name)
            _check_tree(json.loads(one) if name == "context" and isinstance(one, str) else one)
    elif isinstance(value, list):
        for one in value:
            _check_tree(one)
    elif isinstance(value, str):
        _check_harmless(value)


def _check_expression(text: str) -> None:
    """Check an expression of sizes, which torch evaluates with SymPy or Python."""
    try:
        allowed = len(text) <= _LONGEST and all(_is_allowed(node) for node in ast.walk(ast.parse(text, mode="eval")))
    # Null bytes end in ValueError, too deep nesting in RecursionError or MemoryError.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        allowed = False
    if not allowed:
        raise _ForeignError(f"it holds the expression {text[:80]!r}, which is not one of sizes")


def _is_allowed(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name), args=[*_, base, power]) if name in _POWERS:
            return _is_small_power(base, power)
        case ast.BinOp(left=base, op=ast.Pow() | ast.LShift(), right=power):
            return _is_small_power(base, power)
        case ast.Call(func=function):
            return isinstance(function, ast.Attribute) or (isinstance(function, ast.Name) and function.id in _FUNCTIONS)
        case ast.keyword(value=value):
            return isinstance(value, ast.Constant)
        case ast.Attribute(attr=name):
            return name in _ATTRIBUTES
        case ast.Name(id=name):
            return name in _FUNCTIONS or bool(_SYMBOL.fullmatch(name))
        case ast.Constant(value=str(value)):
            return bool(_HARMLESS.fullmatch(value))
        case ast.Constant(value=value):
            return isinstance(value, bool | float) or (isinstance(value, int) and value < _LARGEST)
    return isinstance(node, _NODES)


def _is_small_power(base: ast.AST, power: ast.AST) -> bool:
    """Whether a power is of something unknown, so that nothing is computed, and has a small exponent."""
    # SymPy evaluates a power of plain numbers at once, even where nobody asks for its value.
    return any(map(_is_symbol, (*ast.walk(base), *ast.walk(power)))) and all(
        not isinstance(node, ast.Constant) or not isinstance(node.value, int) or node.value <= _LARGEST_POWER
        for node in ast.walk(power)
    )


def _is_symbol(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and (node.id in ("Symbol", "L") or bool(re.fullmatch(r"[a-z]+\d+", node.id)))

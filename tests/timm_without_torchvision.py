"""timm, where torchvision has no build for this PyTorch: its networks need none of it, only its transforms do."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types

import pytest


class _Names(type):
    """A class that has every name, as an enumeration would; each stands for itself."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Empty(types.ModuleType):
    """A module that has every name, each a class without content."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Names(name, (), {})


class _Torchvision(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname, path=None, target=None):
        ours = fullname.split(".")[0] == "torchvision"
        return importlib.machinery.ModuleSpec(fullname, self) if ours else None

    def create_module(self, spec):
        return _Empty(spec.name)

    def exec_module(self, module):
        pass


def import_timm():
    """timm, or skip the test where it is not installed."""
    if "timm" in sys.modules or importlib.util.find_spec("torchvision"):
        return pytest.importorskip("timm")
    finder = _Torchvision()
    sys.meta_path.append(finder)
    try:
        return pytest.importorskip("timm")
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]

"""The command line in this process."""

import sys

import pytest

from qtaml.cli.main import main


@pytest.fixture
def command(monkeypatch, capsys):
    """Call it as `command("device", "list")`: returns exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "path", sys.path.copy())

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["qtaml", *map(str, arguments)])
        with pytest.raises(SystemExit, match=r"^\d+$") as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return call

"""Build the wheel, look at what is in it, and use it outside the repository: `make wheel`."""

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
NEEDS_EXTRAS = "pip install 'qtaml[digits,plot]'"


def main() -> None:
    """Build into `dist/`, compare with the sources, and install without extras in an environment of its own."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", ROOT / "dist", ROOT)
    wheel = max((ROOT / "dist").glob("qtaml-*.whl"), key=lambda path: path.stat().st_mtime)
    check_contents(wheel)
    with TemporaryDirectory() as folder:
        try_outside(wheel, Path(folder))
    print(f"{wheel.relative_to(ROOT)}: complete, and works outside the repository without extras")


def check_contents(wheel: Path) -> None:
    """The wheel holds every file of `src/`, tables and `py.typed` among them, and nothing else."""
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {path.relative_to(SOURCE).as_posix() for path in (SOURCE / "qtaml").rglob("*") if path.is_file()}
    expected = {name for name in sources if "__pycache__" not in name}
    assert found == expected, f"in only one of wheel and src: {sorted(found ^ expected)}"


def try_outside(wheel: Path, folder: Path) -> None:
    """Install it, and run the example of the README and the command line; what needs an extra says so in one line."""
    venv.create(folder / "venv", with_pip=True)
    binaries = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    run(binaries / "python", "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel)
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    run(binaries / "python", "-c", example, folder=folder)
    run(binaries / "qtaml", "--help", folder=folder)
    run(binaries / "qtaml", "device", "list", folder=folder)
    demo = subprocess.run([binaries / "qtaml", "demo"], cwd=folder, capture_output=True, text=True, check=False)
    assert demo.returncode, "qtaml demo works without its extras"
    assert re.fullmatch(rf"qtaml: .*{re.escape(NEEDS_EXTRAS)}\n", demo.stderr), demo.stderr


def run(*command: str | Path, folder: Path | None = None) -> None:
    """Run a command quietly; it has to succeed."""
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

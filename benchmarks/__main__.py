"""Run the benchmarks: `python -m benchmarks` for all of them, `python -m benchmarks NAME ...` for some."""

import argparse
import importlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks import harness
from benchmarks.harness import Record, Results
from qtaml import _files
from qtaml._progress import track
from qtaml.showing import panels_figure, save_figure

MODULES = (
    "start",
    "error_masks",
    "peers",
    "sensitivity",
    "corrections",
    "planning",
    "checks",
    "reads",
    "large_networks",
    "large_designs",
    "training",
    "pages",
)
"""In the order in which they run."""

ROOT = Path(__file__).parent.parent
UNFINISHED = ROOT / "out" / "bench"
RESULTS = ROOT / "results" / "bench.json"
PICTURE = RESULTS.with_suffix(".png")
PAGE = ROOT / "docs" / "performance.md"


def main() -> int:
    """Run modules, each in a process of its own; keep what is finished; write results, picture and page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *MODULES], metavar="NAME", help=", ".join(MODULES))
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.into:
        run_here(arguments.names[0], arguments.into)
        return 0
    names = tuple(arguments.names) or MODULES
    finished = unfinished_run()
    for name in arguments.names:
        (finished / f"{name}.json").unlink(missing_ok=True)
    paths = {name: finished / f"{name}.json" for name in names}
    failed = [name for name, path in track(paths.items(), "benchmarks") if not (path.exists() or run_apart(name, path))]
    publish({name: path for name, path in paths.items() if name not in failed})
    for name in failed:
        Console().print(f"[red]{name} failed[/red]: run it again with python -m benchmarks {name}")
    return int(bool(failed))


def unfinished_run() -> Path:
    """Where the records of modules wait until the run is complete; another place when any source changes."""
    sources = sorted(path for folder in ("src", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
    return UNFINISHED / _files.sha256(b"".join(path.read_bytes() for path in sources))[:16]


def run_apart(name: str, path: Path) -> bool:
    """Run a module in a process of its own, so that memory and threads do not mix; whether it succeeds."""
    command = [sys.executable, "-m", "benchmarks", name, "--into", str(path)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def run_here(name: str, path: Path) -> None:
    """Run one module in this process and write its record."""
    start = time.perf_counter()
    measurements = tuple(importlib.import_module(f"benchmarks.{name}").measure())
    record = Record(
        module=name,
        command=f"python -m benchmarks {name}",
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        machine=harness.machine(),
        versions=_files.versions(),
        seconds=round(time.perf_counter() - start, 1),
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        measurements=measurements,
    )
    _files.write_text(path, _files.to_json(record))
    Console(width=max(160, Console().width)).print(harness.terminal_table(name, measurements))


def publish(paths: Mapping[str, Path]) -> None:
    """Put the records of finished modules into the results, the picture and the page."""
    records = {}
    if RESULTS.exists():
        records = _files.from_json(Results, RESULTS.read_bytes(), str(RESULTS)).records
    for name, path in paths.items():
        records[name] = _files.from_json(Record, path.read_bytes(), str(path))
    ordered = {name: records[name] for name in MODULES if name in records}
    _files.write_text(RESULTS, _files.to_json(Results(ordered)))
    panels = harness.growth_panels([row for record in ordered.values() for row in record.measurements])
    if panels:
        save_figure(panels_figure(panels, columns=2), PICTURE)
    if PAGE.exists():
        _files.write_text(PAGE, filled(PAGE.read_text(), ordered))
    for path in paths.values():
        path.unlink()


def filled(page: str, records: dict[str, Record]) -> str:
    """A page with the table of each record between `<!-- bench NAME -->` and `<!-- end -->`."""
    for name, record in records.items():
        before, mark, after = page.partition(f"<!-- bench {name} -->\n")
        if mark:
            _, end, rest = after.partition("<!-- end -->")
            versions = ", ".join(f"{package} {version}" for package, version in record.versions.items())
            made = (
                f"`{record.command}`, {record.date}, {record.machine}; {versions}; {record.seconds:.0f} s, peak memory "
                f"{record.peak_bytes / 2**30:.1f} GiB."
            )
            page = f"{before}{mark}{made}\n\n{harness.markdown_table(record.measurements)}\n{end}{rest}"
    return page


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())

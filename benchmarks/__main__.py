"""Run the benchmarks: `python -m benchmarks` for all of them, `python -m benchmarks NAME ...` for some."""

import argparse
import importlib
import os
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks import harness
from benchmarks.harness import Record, Results
from qtaml import _files
from qtaml._progress import track
from qtaml.report import panels_figure, save_figure

MODULES = ("error_masks", "peers", "sensitivity", "corrections", "planning", "reads", "large_networks")
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
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        run_here(arguments.names[0])
        return 0
    for name in arguments.names:
        unfinished(name).unlink(missing_ok=True)
    names = tuple(arguments.names) or MODULES
    failed = [name for name in track(names, "benchmarks") if not (unfinished(name).exists() or run_apart(name))]
    publish(names)
    for name in failed:
        Console().print(f"[red]{name} failed[/red]: run it again with python -m benchmarks {name}")
    return int(bool(failed))


def run_apart(name: str) -> bool:
    """Run a module in a process of its own, so that memory and threads do not mix; whether it succeeds."""
    command = [sys.executable, "-m", "benchmarks", name, "--inside"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def run_here(name: str) -> None:
    """Run one module in this process and write its record to where `publish` finds it."""
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
    _files.write_text(unfinished(name), _files.to_json(record))
    Console(width=max(160, Console().width)).print(harness.terminal_table(name, measurements))


def publish(names: tuple[str, ...]) -> None:
    """Put the records of finished modules into the results, the picture and the page."""
    records = {}
    if RESULTS.exists():
        records = _files.from_json(Results, RESULTS.read_bytes(), str(RESULTS)).records
    fresh = [name for name in names if unfinished(name).exists()]
    for name in fresh:
        path = unfinished(name)
        records[name] = _files.from_json(Record, path.read_bytes(), str(path))
    ordered = {name: records[name] for name in MODULES if name in records}
    _files.write_text(RESULTS, _files.to_json(Results(ordered)))
    panels = harness.growth_panels([row for record in ordered.values() for row in record.measurements])
    if panels:
        save_figure(panels_figure(panels, columns=2), PICTURE)
    if PAGE.exists():
        _files.write_text(PAGE, filled(PAGE.read_text(), ordered))
    for name in fresh:
        unfinished(name).unlink()


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


def unfinished(name: str) -> Path:
    """Where the record of a module waits until the run is complete; another place when any source changes."""
    sources = sorted(path for folder in ("src", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
    digest = _files.sha256(b"".join(path.read_bytes() for path in sources))
    return UNFINISHED / digest[:16] / f"{name}.json"


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())

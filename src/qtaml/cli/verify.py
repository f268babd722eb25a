"""`qtaml verify`: whether a stored network is what its plan makes of the original weights."""

import typer

from qtaml.cli.options import StoredArgument, StoredModelOption, WeightsOption
from qtaml.cli.stored import load_stored
from qtaml.errors import StoredFileError
from qtaml.memory import differences


def verify_command(stored: StoredArgument, model: StoredModelOption = None, weights: WeightsOption = None) -> None:
    """Recompute every checksum, and rebuild the stored bits from the original weights and the plan."""
    memory, network, spec = load_stored(stored, model, weights)
    found = differences(memory, network)
    if found:
        raise StoredFileError(
            f"{stored} is not what its plan makes of {spec}:\n" + "\n".join(f"  {difference}" for difference in found)
        )
    storages = [entry.storage for entry in memory.plan.tensors]
    bits = sum(section.weights * section.format.bits for storage in storages for section in storage.sections)
    typer.echo(f"{stored}: every checksum is right")
    typer.echo(f"{bits:,} stored bits of {len(storages)} tensors, rebuilt from {spec}: all equal")

"""`qtaml compensate`: algorithm 1 of the paper for the user's network."""

from typing import Annotated

import typer

from qtaml.cli.inputs import calibration_batch, load_model, parse_floor
from qtaml.cli.options import (
    CalibrationOption,
    ExcludeOption,
    FlipProbabilityOption,
    IncludeOption,
    JsonOption,
    LengthOption,
    ModelArgument,
    OutOption,
    SamplesOption,
    SeedOption,
    WeightsOption,
)
from qtaml.cli.stored import check_out, store_and_show
from qtaml.formats import Correction, Encoding, Granularity, Grid, Step
from qtaml.planning import Allocation, compensate


def compensate_command(
    model: ModelArgument,
    calibration: CalibrationOption,
    p: FlipProbabilityOption,
    overhead: Annotated[float, typer.Option(help="Cells to spend beyond a plain memory, as a share: 0.03 is 3%.")],
    out: OutOption,
    weights: WeightsOption = None,
    samples: SamplesOption = 64,
    length: LengthOption = 128,
    bits: Annotated[int, typer.Option(help="Bits of a word, 2 to 16.")] = 8,
    encoding: Annotated[Encoding, typer.Option(help="Labels of the levels.")] = "offset_binary",
    grid: Annotated[Grid, typer.Option(help="Symmetric half_step grid, or the paper's integer grid.")] = "half_step",
    granularity: Annotated[Granularity, typer.Option(help="One scale for each tensor or each row.")] = "tensor",
    allocation: Annotated[
        Allocation,
        typer.Option(help="split: optimal, one tensor may be split; integer: optimal without; greedy: paper."),
    ] = "split",
    correction: Annotated[
        Correction, typer.Option(help="Mean correction inside the protected cell (exact), the paper's factor, or none.")
    ] = "exact",
    step: Annotated[Step, typer.Option(help="Keep the quantisation step under correction, or recompute it.")] = "keep",
    residual_floor: Annotated[int, typer.Option(help="Least protected bits of tensors inside residual branches.")] = 0,
    floor: Annotated[
        list[str] | None, typer.Option(help="Least protected bits by tensor name, such as 'block*=1'; repeatable.")
    ] = None,
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Plan the storage of your network by Tunneling-Aware Compensation, and write the stored network.

    The weights are the floating-point tensors of two or more dimensions; biases and normalisation stay outside the
    leaking memory unless included.
    """
    check_out(out, model, weights, calibration)
    network = load_model(model, weights)
    plan = compensate(
        network,
        calibration_batch(calibration, model, samples, length),
        p=p,
        overhead=overhead,
        bits=bits,
        encoding=encoding,
        grid=grid,
        granularity=granularity,
        allocation=allocation,
        correction=correction,
        step=step,
        floors=dict(map(parse_floor, floor or ())),
        residual_floor=residual_floor,
        include=include or (),
        exclude=exclude or (),
        seed=seed,
    )
    store_and_show(network, plan, model, weights, out, as_json=as_json)

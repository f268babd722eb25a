"""What planning measures of a network, measured once for any number of plans."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import nn

from qtaml.model import (
    Batch,
    Batches,
    Output,
    aliases,
    cut_samples,
    evaluation_mode,
    finite_outputs,
    first_samples,
    one_batch,
    operations,
    private_copy,
    returning,
    sample_count,
    share_of_numbers,
    stored_weights,
)
from qtaml.sensitivity.checked import checked_gains
from qtaml.sensitivity.curvature import Curvature, curvatures
from qtaml.sensitivity.deviation import OutputRange, output_deviations, output_range
from qtaml.sensitivity.gains import Gain, row_gains, squared_norm, with_floor

_LARGE, _FEW = 2**22, 16
"""Weights of a large network, and samples for many forward passes of one."""
_SHRUNK = 0.1
"""Share by which a tensor is shrunk to see how its shrinkage acts: about what readout tables lose."""


_PARTS, _PARTS_OF_LARGE, _MOST_FACTORS = 4, 2, 2**21
"""Parts of the samples, on each of which is measured what the others lead to, and numbers of the curvatures of a part
that are kept, 16 MiB."""


class Calibration:
    """A network and inputs for it, with what was measured of both; each measurement is made when it is first asked for.

    Args:
        model: the trained network; it is not changed, and a copy of it is what is run.
        calibration: a batch of inputs, or an iterable of such batches.
        passes: backward passes, at least 2.
        include: patterns of further tensors to store, such as "*.bias"; see `stored_weights`.
        exclude: patterns of tensors not to store.
        unreached_floor: gain of a tensor that no sample reaches, over the median gain of the others.
        seed: seed of the signs.
        output: the output that counts (`qtaml.model.returning`); that of `output_tensor` if not given.

    Raises:
        ModelError: if the model has no tensor to store, or one that cannot be stored, or cannot be copied.

    Source:
        paper, algorithm 1, step 1; theory.md 1.7.

    Example:
        >>> calibration = Calibration(nn.Linear(3, 2), torch.eye(3))
        >>> list(calibration.gains), calibration.covered
        (['weight'], 0.75)
    """

    def __init__(
        self,
        model: nn.Module,
        calibration: Batches,
        *,
        passes: int = 32,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        unreached_floor: float = 1.0,
        seed: int = 0,
        output: Output | None = None,
    ) -> None:
        self.passes, self.seed, self.unreached_floor = passes, seed, unreached_floor
        self._of_parts: dict[int, dict[str, Curvature]] = {}
        self.batch: Batch = one_batch(calibration)
        self.weights = stored_weights(model, include=include, exclude=exclude)
        self.model = private_copy(model)
        if output is not None:
            returning(self.model, output)

    @cached_property
    def large(self) -> bool:
        """Whether forward passes take so long that what needs many of them is measured on fewer samples."""
        return sum(weight.numel() for weight in self.weights.values()) > _LARGE

    @cached_property
    def few(self) -> Batch:
        """The samples on which many forward passes are made: all, or the first ones for a large network."""
        return first_samples(self.batch, _FEW) if self.large else self.batch

    @cached_property
    def few_clean(self) -> torch.Tensor:
        """Outputs of the trained network for them, shape (samples, outputs)."""
        return self.clean if self.few is self.batch else self.clean[: sample_count(self.few)]

    @cached_property
    def clean(self) -> torch.Tensor:
        """Outputs of the trained network, shape (samples, outputs)."""
        with evaluation_mode(self.model) as network, torch.no_grad():
            return finite_outputs(network, self.batch)

    @cached_property
    def operations(self) -> float:
        """Floating-point operations of a forward pass over the batch: those of products and convolutions."""
        # What a loop of its own computes is not counted; each weight is multiplied once at least.
        weights = sum(weight.numel() for weight in self.weights.values())
        return max(operations(self.model, self.batch), 2.0 * weights * (sample_count(self.batch) or 1))

    @cached_property
    def gains(self) -> dict[str, Gain]:
        """How strongly the errors of each tensor act on the output, as `checked_gains` finds it."""
        asked = {"passes": self.passes, "seed": self.seed, "unreached_floor": self.unreached_floor}
        return checked_gains(self.model, self.batch, self.weights, **asked)  # type: ignore[arg-type]

    @cached_property
    def row_gains(self) -> dict[str, torch.Tensor]:
        """`Gain.squared` of the rows of each matrix whose gain comes from backward passes: others have no row gains.

        Rows that no sample reaches have the median of the others, times `unreached_floor`.
        """
        right = {
            name: weight
            for name, weight in self.weights.items()
            if weight.ndim > 1 and self.gains[name].source == "backward passes"
        }
        if not right:
            return {}
        found = row_gains(self.model, self.batch, right, passes=self.passes, seed=self.seed)
        return {name: with_floor(gains, self.unreached_floor) for name, gains in found.items()}

    @cached_property
    def coherence(self) -> dict[str, float]:
        """How much more strongly a relative change of a whole tensor acts than independent errors of the same size.

        ||f(W - s W_l) - f(W)||**2 over the s**2 G_l ||W_l||**2 of independent errors, for a share s of each tensor. At
        least 1: what does not act as a whole, such as the scale of weights before a normalisation, acts as noise.

        Source:
            theory.md 1.7 (coherent errors).
        """
        shrunk = ({name: weight * (1 - _SHRUNK)} for name, weight in self.weights.items())
        deviations = output_deviations(self.model, self.few, shrunk) / _SHRUNK**2
        single = [self.gains[name].squared * float(squared_norm(weight)) for name, weight in self.weights.items()]
        pairs = zip(self.weights, deviations.tolist(), single, strict=True)
        return {name: max(together / alone, 1.0) if alone else 1.0 for name, together, alone in pairs}

    @cached_property
    def curvatures(self) -> dict[str, Curvature]:
        """How the errors of the weights of a tensor act together, where its layer shows it."""
        return curvatures(self.model, self.batch, self.weights, self.aliases, seed=self.seed)

    def crossed(self) -> Iterator[tuple[Batch, dict[str, Curvature]]]:
        """Parts of the samples, each with the curvatures of all others, for words that are measured on it."""
        samples = sample_count(self.batch) or 1
        parts = min(_PARTS_OF_LARGE if self.large else _PARTS, samples)
        if parts < 2:
            yield self.batch, self.curvatures
            return
        part_of = torch.arange(samples) % parts
        for part in range(parts):
            others = self._of_parts.get(part)
            if others is None:
                rest = cut_samples(self.batch, samples, part_of != part)
                others = curvatures(self.model, rest, self.weights, self.aliases, seed=self.seed)
            # Those of wide layers take many times the memory of the weights, and seconds to find.
            if sum(one.size for one in others.values()) <= _MOST_FACTORS:
                self._of_parts[part] = others
            yield cut_samples(self.batch, samples, part_of == part), others

    @cached_property
    def outputs(self) -> OutputRange:
        """How large outputs are, and their errors can be."""
        return output_range(self.model, self.batch, self.weights)

    @cached_property
    def covered(self) -> float:
        """Share of the numbers of the network that are in the stored tensors."""
        return share_of_numbers(self.model, self.weights)

    @cached_property
    def aliases(self) -> dict[str, tuple[str, ...]]:
        """The other names of each tensor."""
        return aliases(self.model, list(self.weights))

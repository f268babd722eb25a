"""Reads of the plans that a search tries: what one tensor is read as in a format is read once for all of them."""

from collections.abc import Callable, Mapping

import torch

from qtaml.formats import TensorFormat
from qtaml.planning import Plan
from qtaml.planning.measured import measured, reads_of
from qtaml.search import effort
from qtaml.search.readout import Balanced, balance_readout
from qtaml.sensitivity import Calibration

_LEAST_KEPT, _READS_KEPT = 2**22, 8
"""Numbers that are kept, 16 MiB in float32, or so many reads of the network where these are more."""


class TrialReads:
    """Reads of networks by how their tensors are stored.

    Args:
        calibration: of the network; its seed is that of the errors, so that plans meet nearly the same ones.
        planned: the plan in which some tensors are stored in given formats.
        adjust: whether readout gains are allowed.
    """

    def __init__(
        self, calibration: Calibration, planned: Callable[[Mapping[str, TensorFormat]], Plan], *, adjust: bool
    ) -> None:
        self._calibration, self._planned, self._adjust = calibration, planned, adjust
        self._errors: dict[int, tuple[Plan, float]] = {}
        self._known: dict[tuple[str, TensorFormat, int], list[torch.Tensor]] = {}
        self._held = 0
        weights = sum(weight.numel() for weight in calibration.weights.values())
        self._most_kept = max(_LEAST_KEPT, _READS_KEPT * weights)

    def __call__(self, storages: Mapping[str, TensorFormat], reads: int) -> list[dict[str, torch.Tensor]]:
        """So many reads of the network, name to tensor, at readout gains of 1."""
        keys = {name: (name, storage, reads) for name, storage in storages.items()}
        missing = {name: storages[name] for name, key in keys.items() if key not in self._known}
        read = list(reads_of(self._planned(missing), self._calibration, reads=reads)) if missing else []
        found = {name: [one[name] for one in read] if name in missing else self._known[keys[name]] for name in storages}
        for name, key in keys.items():
            # What was asked for last is what is kept longest.
            self._held -= sum(tensor.numel() for tensor in self._known.pop(key, ()))
            self._keep(key, found[name])
        return [{name: tensors[trial] for name, tensors in found.items()} for trial in range(reads)]

    def balanced(
        self,
        storages: Mapping[str, TensorFormat],
        start: Mapping[str, float],
        reads: int,
        rounds: int = effort.ROUNDS_OF_START,
    ) -> Balanced:
        """Readout gains of the least error of reads; the noise in them is beyond what the first order knows."""
        known, found = self._calibration, self(storages, reads)
        return balance_readout(
            known.model,
            known.few,
            found,
            dict.fromkeys(storages, 0.0),
            start=start,
            rounds=rounds if self._adjust else 0,
            outliers={name: one.outliers_of(known.weights[name]) for name, one in storages.items()},
            clean=known.few_clean,
        )

    def error(self, plan: Plan) -> float:
        """Error of as many reads as the last few plans are compared by; each plan is read once."""
        if id(plan) not in self._errors:
            # With the plan: no other one gets its number as long as it is here.
            self._errors[id(plan)] = plan, measured(plan, self._calibration, reads=effort.READS_OF_CHOICE).mean
        return self._errors[id(plan)][1]

    def forget_errors(self) -> None:
        """Hold none of the plans any more that were read."""
        self._errors.clear()

    def _keep(self, key: tuple[str, TensorFormat, int], tensors: list[torch.Tensor]) -> None:
        size = sum(tensor.numel() for tensor in tensors)
        while self._known and self._held + size > self._most_kept:
            self._held -= sum(tensor.numel() for tensor in self._known.pop(next(iter(self._known))))
        self._known[key] = tensors
        self._held += size

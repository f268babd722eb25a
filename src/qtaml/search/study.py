"""`Study`: one calibration of a network, many questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import nn

from qtaml import _files
from qtaml.errors import ArgumentError, ModelError
from qtaml.measuring.metrics import Metric
from qtaml.model import Batches, Output, digest, output_name
from qtaml.planning import MEASURED, Design, Plan, Predict, Prediction, Settings, Tac, savings, tac
from qtaml.search.allowed_flips import AllowedFlipsTable, allowed_flips
from qtaml.search.designer_choice import AnyDesigner, designer_for
from qtaml.search.goals import check_metric, reached, without_goal
from qtaml.sensitivity import Calibration, Gain

# Numbers of the outputs that a saved study is known by, and how far they may be off for another machine's rounding in
# half precision, over the largest.
_KNOWN_OUTPUTS, _ROUNDING = 64, 0.02
SettingsT = TypeVar("SettingsT", bound=Settings)


@dataclass(frozen=True)
class _Kept:
    """What a study keeps on disk.

    Attributes:
        weights: SHA-256 of the stored tensors.
        inputs: SHA-256 of the calibration inputs.
        asked: arguments of the study.
        gains: of each tensor.
        coherence: of each tensor.
        outputs: the first numbers of the network's outputs: other layers with these weights have other gains.
        versions: versions of what measured them.
    """

    weights: str
    inputs: str
    asked: dict[str, Any]
    gains: dict[str, Gain]
    coherence: dict[str, float]
    outputs: tuple[float, ...]
    versions: dict[str, str]


class Study:
    """A network that was calibrated once, and any number of plans for it.

    Gains are measured at the first question, levels are fitted at the first design for a memory; later questions
    begin where these are known.

    Args:
        model: the trained network; it is not changed. Its weights have to stay as they are while the study is used.
        calibration: a batch of inputs, without labels, as for `compensate`.
        passes: backward passes of the calibration, at least 2.
        include: patterns of further tensors to store, such as "*.bias"; see `stored_weights`.
        exclude: patterns of tensors not to store.
        unreached_floor: gain of a tensor that no calibration sample reaches, over the median gain of the others.
        seed: seed of the calibration, and of the plans.
        output: the output that counts, as for `compensate`.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        ModelError: if the model has no tensor to store, one that cannot be stored, or fails on the calibration batch.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
        >>> study = Study(model, torch.randn(64, 16))
        >>> plans = [study.compensate(p=p, overhead=0.05) for p in (0.05, 0.1)]
        >>> plans[0].predicted_error < plans[1].predicted_error
        True
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
        asked = {
            "passes": passes,
            "include": include,
            "exclude": exclude,
            "unreached_floor": unreached_floor,
            "seed": seed,
            "output": output,
        }
        # A record of settings checks and normalises them, as it does for the functions of one question.
        checked = Tac(p=0.0, overhead=0.0, **asked)  # type: ignore[arg-type]
        self._asked = {name: getattr(checked, name) for name in MEASURED}
        self._model, self.calibration = model, Calibration(model, calibration, **self._asked)
        self._digest = digest(self.calibration.weights)
        self._designers: dict[Design, AnyDesigner] = {}

    def compensate(self, settings: Tac | None = None, /, **asked: Any) -> Plan:
        """`qtaml.compensate` for this network; what the study was made with need not be given again."""
        return tac(self._measured(), self._settings(Tac, settings, asked))

    def predict(self, settings: Predict | None = None, /, **asked: Any) -> Prediction:
        """`qtaml.predict` for this network; what the study was made with need not be given again."""
        return savings(self._measured(), self._settings(Predict, settings, asked))

    def design(self, settings: Design | None = None, /, *, metric: Metric | None = None, **asked: Any) -> Plan:
        """`qtaml.design` for this network; what the study was made with need not be given again."""
        wanted = self._settings(Design, settings, asked)
        check_metric(wanted, metric)
        measured = self._measured()
        memory = without_goal(wanted)
        if memory not in self._designers:
            self._designers[memory] = designer_for(measured, memory)
        return reached(self._designers[memory], self._model, wanted, metric)

    def allowed_flips(self, error: float, *, order: float, most: float = 0.5, bits: int = 8) -> AllowedFlipsTable:
        """How often each bit of each tensor may be read wrong; arguments and errors as for `search.allowed_flips`.

        Example:
            >>> import torch
            >>> study = Study(nn.Linear(16, 4), torch.randn(64, 16))
            >>> top, *_, last = (one.p for one in reversed(study.allowed_flips(0.01, order=1.0)))
            >>> top < last
            True
        """
        return allowed_flips(self._measured(), error, order=order, most=most, bits=bits)

    def save(self, path: str | Path) -> None:
        """Write what was measured as a JSON file, atomically."""
        measured = self._measured()
        kept = _Kept(
            digest(measured.weights),
            digest(measured.batch),
            {**self._asked, "output": output_name(self._asked["output"])},
            measured.gains,
            measured.coherence,
            _first_outputs(measured),
            _files.versions(),
        )
        _files.write_text(path, _files.to_json(kept))

    @staticmethod
    def load(path: str | Path, model: nn.Module, calibration: Batches, *, output: Output | None = None) -> "Study":
        """The study that a file holds, of the same network and inputs.

        Args:
            path: of the file.
            model: the network.
            calibration: the inputs.
            output: the output that counts, where that is a function, of which the file has the name only.

        Raises:
            StoredFileError: if the file cannot be read or is not a study.
            ModelError: if it is a study of another network, by its weights or its outputs.
            ArgumentError: if its calibration inputs, or the output that counted, were others.
        """
        kept = _files.from_json(_Kept, _files.read_bytes(Path(path)), str(path))
        if output is not None or (kept.asked.get("output") or "").startswith("("):
            if (named := output_name(output)) != kept.asked.get("output"):
                raise ArgumentError(f"output must be that of the study, {kept.asked.get('output')!r}, got {named!r}")
            kept.asked["output"] = output
        study = Study(model, calibration, **kept.asked)
        measured = study.calibration
        if digest(measured.weights) != kept.weights:
            raise ModelError(f"{path} is a study of a network with other weights: make a new one")
        if digest(measured.batch) != kept.inputs:
            raise ArgumentError(f"calibration must be the inputs of the study in {path}, got others")
        outputs, known = np.array(_first_outputs(measured)), np.array(kept.outputs)
        if outputs.shape != known.shape or np.abs(outputs - known).max() > _ROUNDING * np.abs(known).max():
            raise ModelError(f"{path} is a study of a network with these weights, but other outputs: make a new one")
        measured.gains, measured.coherence = kept.gains, kept.coherence
        return study

    def __str__(self) -> str:
        """What was asked, in one line."""
        weights = sum(weight.numel() for weight in self.calibration.weights.values())
        asked = ", ".join(f"{name}={value!r}" for name, value in self._asked.items())
        return f"study of {weights:,} weights in {len(self.calibration.weights)} tensors; {asked}"

    def _measured(self) -> Calibration:
        """The calibration, if the weights are still those that it was made from."""
        # The version counters of tensors do not tell of what was written by way of `.data`.
        if digest(self.calibration.weights) != self._digest:
            raise ModelError("the weights of the model have changed since the study was made: make a new one")
        return self.calibration

    def _settings(self, kind: type[SettingsT], settings: SettingsT | None, asked: dict[str, Any]) -> SettingsT:
        """The settings of a question, with those of the study."""
        if settings is None:
            own = {name: value for name, value in self._asked.items() if name in kind.__dataclass_fields__}
            if twice := own.keys() & asked.keys():
                raise ArgumentError(f"{min(twice)} must be given to the study, which has {own[min(twice)]!r}")
            return kind(**own, **asked)
        if not isinstance(settings, kind) or asked:
            raise ArgumentError(
                f"settings must be a record {kind.__name__} or its fields, got {settings!r} and {asked}"
            )
        for name, value in self._asked.items():
            if getattr(settings, name, value) != value:
                raise ArgumentError(
                    f"{name} must be that of the study, {value!r}, got {getattr(settings, name)!r}: make another study"
                )
        return settings


def _first_outputs(measured: Calibration) -> tuple[float, ...]:
    return tuple(map(float, measured.clean.double().flatten()[:_KNOWN_OUTPUTS].tolist()))

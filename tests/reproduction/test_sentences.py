"""The sentence encoder and its sentences."""

import hashlib

import pytest
import torch

from reproduction import pretrained, sentences
from reproduction.pretrained import TEST_ERROR
from tests import stand_ins

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


def test_an_embedding_is_the_mean_of_its_own_tokens_with_norm_one():
    """What is behind the mask changes nothing."""
    model, _ = stand_ins.sentence_encoder(None)
    tokens = torch.tensor([[3, 4, 7, 9]])
    hidden = model.encoder(tokens, None).last_hidden_state[0, :2].mean(0)
    mask = torch.tensor([[1, 1, 0, 0]])
    embedding = model(tokens, mask)
    torch.testing.assert_close(embedding[0], hidden / hidden.norm())
    torch.testing.assert_close(model(torch.tensor([[3, 4, 1, 2]]), mask), embedding)


def test_the_same_neighbours_are_counted():
    """Against a search by hand; a sample is no neighbour of itself."""
    points = torch.nn.functional.normalize(torch.randn(20, 3, generator=torch.Generator().manual_seed(1)))
    stretch = torch.nn.Linear(3, 3, bias=False)
    stretch.weight.data = torch.diag(torch.tensor([1.0, 1.5, 0.5]))

    def nearest(outputs):
        return [max((j for j in range(20) if j != i), key=lambda j: outputs[i] @ outputs[j]) for i in range(20)]

    metric = sentences.SameNeighbour(torch.nn.Identity(), points)
    wanted = [one == other for one, other in zip(nearest(points), nearest(stretch(points)), strict=True)]
    assert metric.scores(stretch).tolist() == wanted
    assert 0 < sum(wanted) < 20
    assert metric(torch.nn.Identity()) == 1


@pytest.mark.slow
def test_the_encoder_is_read_from_its_archive(monkeypatch, tmp_path):
    """It computes what transformers computes with the same weights; the pooler, which it does not use, is left out."""
    bert, archive = stand_ins.encoder_archive()
    monkeypatch.setitem(pretrained.WEIGHTS, sentences.FILE, hashlib.sha256(archive).hexdigest())
    (tmp_path / sentences.FILE).parent.mkdir()
    (tmp_path / sentences.FILE).write_bytes(archive)
    model, samples = sentences.load(tmp_path)
    assert not any("pooler" in name for name, _ in model.named_parameters())
    assert {name: tuple(part.shape) for name, part in samples.calibration.items()} == {
        "input_ids": (sentences.CALIBRATION_SENTENCES, sentences.TOKENS),
        "attention_mask": (sentences.CALIBRATION_SENTENCES, sentences.TOKENS),
    }
    with torch.no_grad():
        hidden, mask = bert(**samples.calibration).last_hidden_state, samples.calibration["attention_mask"][:, :, None]
        wanted = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1))
        torch.testing.assert_close(model(**samples.calibration), wanted)
    assert {name: metric(model) for name, metric in samples.metrics.items()} == pytest.approx(
        {"cosine": 1, "same nearest neighbour": 1, TEST_ERROR: 0}
    )


@pytest.mark.slow
def test_docstrings_are_many_short_and_drawn_by_the_seed():
    """Each once, on one line."""
    drawn = sentences.docstrings(300, 0)
    assert len(set(drawn)) == 300
    assert all(40 <= len(text) < 200 and "\n" not in text for text in drawn)
    assert drawn[:100] == sentences.docstrings(100, 0)
    assert drawn[:100] != sentences.docstrings(100, 1)

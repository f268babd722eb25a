"""The output that counts: named, pooled or computed; and what plans, studies and commands make of it."""

import pytest
import torch
from torch import nn

import qtaml
from qtaml.errors import ArgumentError, ModelError
from qtaml.model import output_name, returning
from tests.cases import assert_unchanged, snapshot


class Encoder(nn.Module):
    """Tokens to states, and a head that nothing but its own output shows."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        states = torch.tanh(self.mix(self.embed(input_ids)))
        return {"last_hidden_state": states, "scores": self.head(states.mean(1))}


@pytest.fixture
def encoder() -> Encoder:
    """A small one, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Encoder().eval()


INPUTS = {
    "input_ids": torch.arange(40).reshape(8, 5) % 11,
    "attention_mask": (torch.arange(5) < torch.arange(1, 9)[:, None].clamp(max=5)).long(),
}


def test_the_embedding_is_the_mean_over_the_tokens_of_the_mask(encoder: Encoder) -> None:
    """By hand, sample by sample."""
    states = encoder(**INPUTS)["last_hidden_state"]
    found = returning(encoder, "embedding")(**INPUTS)
    for sample, mask in enumerate(INPUTS["attention_mask"]):
        mean = states[sample, : int(mask.sum())].mean(0)
        assert torch.allclose(found[sample], mean / mean.norm(), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("output", ["scores", lambda found: found["scores"]], ids=["name", "function"])
def test_a_plan_is_for_the_output_that_counts(encoder: Encoder, output: object) -> None:
    """The head has no gain for the states, and has one for its scores; the record keeps the name of a function."""
    before = snapshot(encoder)
    plans = [qtaml.compensate(encoder, INPUTS, p=0.1, overhead=0.2, passes=4, output=one) for one in (None, output)]
    gains = [{entry.name: entry.gain.squared for entry in plan.tensors} for plan in plans]
    assert plans[0].unreached == ("head.weight",)
    assert plans[1].unreached == ()
    assert gains[1]["head.weight"] > 0
    assert plans[1].settings.output == output_name(output)
    assert qtaml.Plan.from_json(plans[1].to_json()) == plans[1]
    assert_unchanged(encoder, before)


@pytest.mark.slow
def test_a_study_with_a_function_is_loaded_with_it(encoder: Encoder, tmp_path) -> None:
    """The file has its name only; another one is refused."""

    def scores(found: dict[str, torch.Tensor]) -> torch.Tensor:
        return found["scores"]

    study = qtaml.Study(encoder, INPUTS, passes=4, output=scores)
    first = study.design(p=0.1, cells=20.0)
    study.save(tmp_path / "study.json")
    again = qtaml.Study.load(tmp_path / "study.json", encoder, INPUTS, output=scores)
    assert again.design(p=0.1, cells=20.0).to_json() == first.to_json()
    for other in (None, "scores"):
        with pytest.raises(ArgumentError, match=r"output must be that of the study, '\(.*scores\)', got"):
            qtaml.Study.load(tmp_path / "study.json", encoder, INPUTS, output=other)


def test_outputs_that_are_not_there_are_refused(encoder: Encoder) -> None:
    """With the names of those that are."""
    with pytest.raises(ModelError, match="output must be one that the model returns, 'last_hidden_state', 'scores', g"):
        qtaml.predict(encoder, INPUTS, p=0.1, output="logits")
    with pytest.raises(ModelError, match="needs a model that returns 'last_hidden_state', got a single Tensor"):
        qtaml.predict(nn.Linear(3, 2), torch.eye(3), p=0.1, output="embedding")
    with pytest.raises(ArgumentError, match=r"output must be .*, got 3"):
        qtaml.predict(encoder, INPUTS, p=0.1, output=3)

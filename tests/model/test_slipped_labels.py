"""Labels in a batch of inputs are refused where the model would take them for something else, and only there."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import qtaml
from qtaml.model import outputs

IMAGES = torch.linspace(-2, 2, 32 * 8).sin().reshape(32, 8)
LABELS = torch.arange(32) % 4


class Masked(nn.Module):
    """Takes a mask of samples or of features, or none."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 4)

    def forward(self, x, mask=None):
        if mask is not None:
            x = x * (mask > 0).reshape(len(x), -1)
        return self.second(torch.relu(self.first(x)))


class Weighted(Masked):
    """Needs a number for each sample."""

    def forward(self, x, step):
        return super().forward(x) * step[:, None]


class Passes(nn.Module):
    """Passes on whatever it gets."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args, **kwargs):
        return self.inner(*args, **kwargs)


def loader(*tensors):
    """Batches as everybody has them."""
    return DataLoader(TensorDataset(*tensors), batch_size=8)


@pytest.mark.slow
@pytest.mark.parametrize("build", [Masked, lambda: Passes(Masked()), lambda: nn.DataParallel(Masked())])
@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None], LABELS.float()], ids=["classes", "column", "numbers"])
def test_labels_are_refused_where_they_would_be_something_else(build, labels):
    """By every method that takes a calibration, and by metrics; the message names the parameter and the way on."""
    model = build()
    plan = qtaml.uniform_msp(model, p=0.1, protected_bits=1)
    ways = (
        lambda: qtaml.compensate(model, loader(IMAGES, labels), p=0.05, overhead=0.1),
        lambda: qtaml.predict(model, [(IMAGES, labels)], p=0.05),
        lambda: qtaml.design(model, (IMAGES, labels), p=0.05, cells=0.5),
        lambda: qtaml.measuring.Agreement(model, loader(IMAGES, labels)),
        lambda: qtaml.measuring.OutputError(model, (IMAGES, labels)),
        lambda: qtaml.evaluate(qtaml.store(model, plan), qtaml.Accuracy((IMAGES, labels), LABELS), trials=2),
    )
    for way in ways:
        with pytest.raises(qtaml.ArgumentError, match=r"number 2, of shape .* would be '(mask|\*\w+)', which .* leave"):
            way()


def test_labels_for_which_there_is_no_place_are_named():
    """What the model says of them gets the hint."""
    with pytest.raises(qtaml.ModelError, match="if the inputs come with labels, leave these out"):
        qtaml.compensate(nn.Sequential(nn.Linear(8, 4)), loader(IMAGES, LABELS), p=0.05, overhead=0.1)


def test_labels_after_several_inputs_are_refused():
    """As a loader of tokens, masks and labels has them."""

    class Encoder(Masked):
        def forward(self, x, mask=None, kinds=None):
            return super().forward(x if kinds is None else x + kinds[:, None], mask)

    with pytest.raises(qtaml.ArgumentError, match=r"got 3 of which number 3, of shape .* would be 'kinds'"):
        outputs(Encoder(), (IMAGES, torch.ones(32, 8), LABELS))


def test_inputs_of_their_own_are_taken():
    """A mask of the shape of the inputs, what the model cannot do without, and whatever is given by its name."""
    mask = (IMAGES > 0).float()
    expected = Masked()(IMAGES * mask)
    assert torch.equal(outputs(Masked(), (IMAGES, mask)), expected)
    assert torch.equal(outputs(Passes(Masked()), (IMAGES, mask)), expected)
    assert torch.equal(outputs(Weighted(), (IMAGES, LABELS)), Masked()(IMAGES) * LABELS[:, None])
    named = {"x": IMAGES, "mask": LABELS}
    assert torch.equal(outputs(Masked(), named), Masked()(IMAGES * (LABELS > 0)[:, None]))
    assert qtaml.compensate(Masked(), [named], p=0.05, overhead=0.1).tensors


def test_exported_programs_take_all_that_they_were_exported_with():
    """Their inputs are never optional."""
    program = torch.export.export(Masked().eval(), (IMAGES, LABELS)).module()
    assert torch.equal(outputs(program, (IMAGES, LABELS)), Masked()(IMAGES * (LABELS > 0)[:, None]))

"""Labels meet outputs: their shape, their range, what does not count, and NaN."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

import qtaml
from qtaml.errors import QtamlError

CLASSES = torch.tensor([[0, 2, 1], [1, 1, 2]])
"""Of three places in each of two samples."""
PLACES = one_hot(CLASSES, 4).float()
"""Outputs that give these classes, shape (2, 3, 4)."""


def scores(outputs, labels, **more):
    """Of a network that gives these outputs."""
    return qtaml.Accuracy(outputs, torch.as_tensor(labels), **more).scores(nn.Identity()).tolist()


class Tagger(nn.Module):
    """Logits of 4 classes for each token."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(20, 8), nn.Linear(8, 4)

    def forward(self, tokens):
        return self.head(self.embed(tokens))


class Segmenter(nn.Module):
    """Logits of 5 classes for each pixel, classes second."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 5, 3, padding=1)

    def forward(self, images):
        return self.conv(images)


VECTORS = torch.linspace(-3, 3, 256).sin().reshape(32, 8)
TOKENS = torch.randint(20, (32, 6), generator=torch.Generator().manual_seed(1))
IMAGES = torch.rand(8, 1, 4, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("build", "inputs", "axis"),
    [(lambda: nn.Linear(8, 4), VECTORS, 1), (Tagger, TOKENS, 2), (Segmenter, IMAGES, 1)],
    ids=["classes", "tokens", "pixels"],
)
def test_a_memory_without_errors_has_all_labels_right(build, inputs, axis):
    """Also where a third does not count; one label out of range is refused, not wrong."""
    model = build()
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.0, protected_bits=0, bits=16))
    labels = model(inputs).argmax(axis)
    some = torch.where(torch.arange(labels.numel()).reshape(labels.shape) % 3 == 0, -100, labels)
    for right in (labels, some):
        assert qtaml.evaluate(memory, qtaml.Accuracy(inputs, right), trials=3).mean == 1
    classes = model(inputs).shape[axis]
    labels.view(-1)[0] = classes
    with pytest.raises(qtaml.ArgumentError, match=f"0 to {classes - 1}, as .* {classes} classes, got {classes}"):
        qtaml.evaluate(memory, qtaml.Accuracy(inputs, labels), trials=3)


def test_labels_that_begin_with_one_are_told_so():
    """The message has the way on."""
    with pytest.raises(qtaml.ArgumentError, match="got 4; they begin with 1: subtract it"):
        scores(torch.eye(4), [1, 2, 3, 4])
    with pytest.raises(qtaml.ArgumentError, match=r"got 4$"):
        scores(torch.eye(4), [0, 2, 3, 4])


def test_a_sample_scores_the_share_of_its_places():
    """By hand: one of three, and all; for classes last and second."""
    labels = [[0, 0, 0], [1, 1, 2]]
    assert scores(PLACES, labels) == pytest.approx([1 / 3, 1])
    assert scores(PLACES.transpose(1, 2), labels) == pytest.approx([1 / 3, 1])


def test_what_is_ignored_does_not_count():
    """Neither places nor whole samples; one place for each sample is right or wrong, for which an interval is exact."""
    assert scores(PLACES, [[0, -100, 0], [-100, 1, 2]]) == [0.5, 1]
    assert scores(torch.eye(4), [0, -100, 3, 3]) == [True, False, True]
    last = qtaml.Accuracy(PLACES, torch.tensor([[-100, -100, 1], [-100, -100, 0]])).scores(nn.Identity())
    assert last.dtype == torch.bool
    assert last.tolist() == [True, False]
    outputs, labels = PLACES.repeat(2, 1, 1), torch.full((4, 3), -100)
    labels[0, 0] = labels[3, :2] = 0
    assert scores(outputs, labels) == [1, 0]


def test_reads_in_one_forward_pass_score_places_too():
    """Each as one alone, also in batches."""
    model = Tagger()
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.05, protected_bits=1))
    metric = qtaml.Accuracy(TOKENS, model(TOKENS).argmax(-1), batch_size=10)
    result = qtaml.evaluate(memory, metric, trials=6)
    alone = qtaml.evaluate(memory, lambda read: metric(read), trials=6)
    assert result.values == pytest.approx(alone.values)
    assert 0.3 < result.low < result.mean < result.high < 1


@pytest.mark.parametrize(
    ("outputs", "labels", "message"),
    [
        (PLACES, [0, 1], r"labels of shape \(2,\) and outputs of shape \(2, 3, 4\)"),
        (torch.eye(4), [[0], [1], [2], [3]], r"labels of shape \(4, 1\) and outputs of shape \(4, 4\)"),
        (torch.eye(4), torch.eye(4).long(), r"labels of shape \(4, 4\) and outputs of shape \(4, 4\)"),
        (torch.eye(4)[0], [0, 1, 2, 3], r"labels of shape \(4,\) and outputs of shape \(4,\)"),
        (torch.zeros(2, 3, 3), torch.zeros(2, 3).long(), r"axis must say which .* \(2, 3, 3\) .* it may be 1 or 2"),
    ],
    ids=["one of several places", "column", "one-hot", "numbers", "either dimension"],
)
def test_shapes_that_do_not_fit_are_refused(outputs, labels, message):
    """Both are named, and nothing is guessed."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        scores(outputs, labels)


def test_the_dimension_of_the_classes_may_be_named():
    """Where both fit, each gives its own."""
    outputs = torch.tensor([[[1.0, 2.0], [3.0, 0.0]]]).repeat(2, 1, 1)
    assert scores(outputs, [[1, 0], [1, 1]], axis=2) == scores(outputs, [[1, 0], [1, 1]], axis=-1) == [1, 0.5]
    assert scores(outputs, [[1, 0], [0, 1]], axis=1) == [1, 0]
    with pytest.raises(qtaml.ArgumentError, match="without their classes"):
        scores(outputs, [[1, 0], [1, 1]], axis=0)


def test_dimensions_of_one_are_no_places():
    """Convolutional classifiers keep them."""
    assert scores(torch.eye(4)[:, :, None, None], [0, 1, 2, 0]) == [True, True, True, False]
    with pytest.raises(qtaml.ModelError, match="at least 2 classes, got 1;"):
        scores(torch.ones(4, 1, 1), [0, 0, 0, 0])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, -1]), "labels must be at least 0, or -100 for what does not count, got -1"),
        (torch.tensor([0, -100]), "labels must count for at least 2 samples, got 1 "),
        (torch.tensor([0j, 1j]), "labels must be whole numbers"),
        (torch.tensor(1), "labels must be whole numbers"),
        ([0, 1.5], r"labels must be a tensor, or an array of whole numbers.*, got \[0, 1.5\]"),
        ("cat", "labels must be a tensor, .*, got 'cat'"),
        ([[0, 1], [1]], "labels must be lists of equal lengths"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, message):
    """At the door."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        qtaml.Accuracy(torch.eye(2), labels)


def test_outputs_of_nan_are_wrong_whatever_the_label():
    """The place of NaN is no class; where the inputs are NaN too, they are refused."""
    outputs = torch.eye(3)
    outputs[0, 0] = outputs[1] = float("nan")

    class Gives(nn.Module):
        def forward(self, x):
            return outputs

    labels = torch.tensor([0, 0, 2])
    assert qtaml.Accuracy(torch.ones(3, 5), labels).scores(Gives()).tolist() == [False, False, True]
    inputs = torch.ones(3, 5)
    inputs[1, 2] = float("inf")
    with pytest.raises(qtaml.ArgumentError, match="inputs must be finite, but sample 1 is not, and has outputs of NaN"):
        qtaml.Accuracy(inputs, labels).scores(Gives())
    inputs[1, 2] = -float("inf")
    assert qtaml.Accuracy(inputs, labels).scores(Gives()).tolist() == [False, False, True]


def test_a_network_may_take_nan_for_what_is_missing():
    """Inputs of NaN with outputs that are numbers are right."""

    class Fills(nn.Module):
        def forward(self, x):
            return x.nan_to_num(2.0)

    inputs = torch.tensor([[float("nan"), 0.0], [0.0, 1.0]])
    assert qtaml.Accuracy(inputs, torch.tensor([0, 1]))(Fills()) == 1


def test_a_model_gives_outputs_for_each_sample():
    """One of a batch is not enough."""

    class First(nn.Module):
        def forward(self, x):
            return x[:1]

    with pytest.raises(qtaml.ModelError, match="outputs for each of 4 samples, got 1"):
        qtaml.Accuracy(torch.eye(4), torch.arange(4)).scores(First())


@pytest.mark.parametrize(
    "labels",
    [[1, 0, 2], (1, 0, 2), np.array([1, 0, 2]), np.array([2, 0, 1], dtype=np.uint8)[::-1], np.array([1, 0, 2], ">i4")],
    ids=["list", "tuple", "array", "bytes backwards", "big end first"],
)
def test_arrays_and_lists_of_whole_numbers_are_labels(labels):
    """Of any width and order of bytes: the same as the tensor of these numbers."""
    outputs = torch.eye(3)
    assert qtaml.Accuracy(outputs, labels).scores(nn.Identity()).tolist() == [False, False, True]


def test_lists_of_lists_are_labels_of_places():
    """As many in each; the label that does not count is one of them."""
    assert scores(PLACES, CLASSES) == qtaml.Accuracy(PLACES, CLASSES.tolist()).scores(nn.Identity()).tolist()


def test_what_is_no_whole_numbers_is_refused():
    """By name, whatever it is."""
    big = np.array([1, 2**64 - 100], dtype=np.uint64)
    halves, truths = np.array([0.5, 1]), np.array([True, False])
    for labels in (
        [0.0, 1.0],
        halves,
        [True, False],
        truths,
        ["0", "1"],
        [[0, 1], [1]],
        [],
        1,
        "01",
        big,
        iter([0, 1]),
    ):
        with pytest.raises(QtamlError, match="labels"):
            qtaml.Accuracy(torch.eye(2), labels)

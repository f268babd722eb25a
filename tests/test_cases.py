"""The helpers of the tests fail when they should."""

import pytest
import torch

from tests.cases import CONVOLUTION, assert_unchanged, snapshot


def test_a_changed_weight_is_noticed():
    """`assert_unchanged` fails after one weight moved."""
    model = CONVOLUTION.model()
    before = snapshot(model)
    with torch.no_grad():
        model.head.weight[0, 0] += 1
    with pytest.raises(AssertionError, match=r"head\.weight"):
        assert_unchanged(model, before)


def test_a_changed_mode_is_noticed():
    """`assert_unchanged` fails after a module went to evaluation mode."""
    model = CONVOLUTION.model()
    before = snapshot(model)
    model.norm.eval()
    with pytest.raises(AssertionError, match="modes changed"):
        assert_unchanged(model, before)

"""Networks that `torch.compile` has wrapped."""

import pytest
import torch
import torch._inductor.config as inductor
from torch import nn

from qtaml.errors import ModelError
from qtaml.model import stored_weights, uncompiled, whole_copy
from tests.cases import CASES, CONVOLUTION


@pytest.fixture(params=["whole", "part"])
def compiled(request):
    """Wraps a model, or its first part."""

    def wrapped(model: nn.Module) -> nn.Module:
        if request.param == "whole":
            return torch.compile(model, backend="eager")
        name, child = next(iter(model.named_children()))
        setattr(model, name, torch.compile(child, backend="eager"))
        return model

    return wrapped


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_torch_compile_changes_no_names(case, compiled):
    """Norms are still norms, and what is tied is stored once."""
    assert list(stored_weights(compiled(case.model()))) == list(stored_weights(case.model()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_wrappers_can_be_taken_off(case, compiled):
    """What is left is the plain network."""
    assert uncompiled(compiled(case.model())).state_dict().keys() == case.model().state_dict().keys()


@pytest.mark.slow
def test_copies_that_would_read_other_weights_are_refused(compiled):
    """A `forward` compiled by itself stays that of the original; freezing makes constants of weights."""
    model = compiled(CONVOLUTION.model())
    model(CONVOLUTION.batch(2))
    whole_copy(model)
    with inductor.patch(freezing=True):
        whole_copy(CONVOLUTION.model())
        with pytest.raises(ModelError, match=r"without torch\._inductor\.config\.freezing"):
            whole_copy(model)
    model = CONVOLUTION.model()
    model.head.forward = torch.compile(model.head.forward, backend="eager")
    with pytest.raises(ModelError, match="'forward' of 'head' is a function that holds the model itself"):
        whole_copy(model)

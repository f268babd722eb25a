"""Networks as people have them: each is planned, stored, saved, loaded, read and measured through the public door."""

from functools import cache

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import qtaml
from qtaml.measuring import Agreement, NegativeLogLikelihood, OutputError, as_perplexity
from qtaml.model import outputs
from tests.cases import assert_unchanged, snapshot
from tests.timm_without_torchvision import import_timm

TOKENS, IMAGES = torch.arange(48).reshape(8, 6) % 50, torch.linspace(-1, 1, 8 * 3 * 256).sin().reshape(8, 3, 16, 16)
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
TEXT = SMALL | {"vocab_size": 50, "max_position_embeddings": 16}


def transformers_network(architecture, config, **settings):
    """A network of transformers with random weights."""
    transformers = pytest.importorskip("transformers")
    return getattr(transformers, architecture)(getattr(transformers, config)(**settings))


def gpt2(architecture="GPT2LMHeadModel"):
    """A decoder-only language model with tied embeddings."""
    settings = {"vocab_size": 50, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 16}
    return transformers_network(architecture, "GPT2Config", **settings, bos_token_id=0, eos_token_id=0)


class DenseMap(nn.Module):
    """A map of three classes for each pixel, in a tuple with what led to it."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ConvTranspose2d(4, 3, 2, stride=2)

    def forward(self, images):
        hidden = torch.tanh(self.down(images))
        return self.up(hidden), hidden


class BufferHeld(nn.Module):
    """Its second weight is a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.register_buffer("table", torch.randn(8, 3))

    def forward(self, x):
        return torch.tanh(self.first(x)) @ self.table


def sequence(samples=8, length=5, features=6):
    """Numbers of a sequence."""
    return torch.linspace(-3, 3, samples * length * features).cos().reshape(samples, length, features)


NETWORKS = {
    "encoder": (
        lambda: transformers_network("BertForSequenceClassification", "BertConfig", **TEXT),
        lambda: {"input_ids": TOKENS, "attention_mask": torch.ones_like(TOKENS)},
    ),
    "encoder without a head": (lambda: transformers_network("BertModel", "BertConfig", **TEXT), lambda: TOKENS),
    "decoder with tied embeddings": (gpt2, lambda: TOKENS),
    "decoder with grouped attention": (
        lambda: transformers_network(
            "LlamaForCausalLM", "LlamaConfig", **TEXT, num_key_value_heads=1, tie_word_embeddings=True
        ),
        lambda: {"input_ids": TOKENS},
    ),
    "vision transformer": (
        lambda: transformers_network("ViTForImageClassification", "ViTConfig", **SMALL, image_size=16, patch_size=8),
        lambda: {"pixel_values": IMAGES},
    ),
    "ResNet": (
        lambda: transformers_network(
            "ResNetForImageClassification",
            "ResNetConfig",
            embedding_size=8,
            hidden_sizes=[8, 16],
            depths=[1, 1],
            layer_type="basic",
        ),
        lambda: IMAGES,
    ),
    "ResNet of timm": (
        lambda: import_timm().create_model("resnet10t", num_classes=3, stem_width=8, channels=(8, 8, 8, 16)),
        lambda: IMAGES,
    ),
    "vision transformer of timm": (
        lambda: import_timm().create_model(
            "vit_tiny_patch16_224", img_size=16, patch_size=8, embed_dim=24, depth=1, num_heads=2, num_classes=3
        ),
        lambda: IMAGES,
    ),
    "LSTM": (lambda: nn.LSTM(6, 4, num_layers=2, bidirectional=True, batch_first=True), sequence),
    "GRU": (lambda: nn.GRU(6, 4, batch_first=True), sequence),
    "attention": (lambda: nn.MultiheadAttention(6, 2, batch_first=True), lambda: (sequence(),) * 3),
    "convolutions of rank 1": (
        lambda: nn.Sequential(nn.Conv1d(5, 4, 3), nn.Tanh(), nn.ConvTranspose1d(4, 2, 3)),
        sequence,
    ),
    "convolutions of rank 3": (
        lambda: nn.Sequential(nn.Conv3d(1, 4, 2), nn.Tanh(), nn.ConvTranspose3d(4, 2, 2)),
        lambda: IMAGES[:, :, :4, :4].unsqueeze(1),
    ),
    "dense map in a tuple": (DenseMap, lambda: IMAGES),
    "embeddings of a bag": (lambda: nn.Sequential(nn.EmbeddingBag(50, 6), nn.Linear(6, 4)), lambda: TOKENS),
    "weight norm": (
        lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3)),
        sequence,
    ),
    "spectral norm": (
        lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3)),
        sequence,
    ),
    "a weight in a buffer": (BufferHeld, sequence),
}
TIED = {"decoder with tied embeddings": "lm_head.weight", "decoder with grouped attention": "lm_head.weight"}


@cache
def network(name):
    """A network and its inputs; the same for all tests, because none may change it."""
    build, inputs = NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(), inputs()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["compensate", "design"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_planned_stored_loaded_and_read(name, way, tmp_path):
    """Tied weights are stored once; what is loaded reads bit for bit as what was saved; the model stays as it was."""
    model, inputs = network(name)
    before = snapshot(model)
    include = ["table"] if name == "a weight in a buffer" else []
    if way == "compensate":
        plan = qtaml.compensate(model, inputs, p=0.01, overhead=0.25, trials=2, include=include)
    else:
        decoders = ("none", "majority")
        plan = qtaml.design(model, inputs, p=0.01, cells=2.0, decoders=decoders, include=include)
    memory = qtaml.store(model, plan)
    memory.save(tmp_path / "stored")
    loaded = qtaml.load(tmp_path / "stored", model)
    metric = OutputError(model, inputs)
    result = qtaml.evaluate(memory, metric, trials=2)
    assert qtaml.evaluate(loaded, metric, trials=2).values == result.values
    assert result.mean > 0
    read = memory.model(seed=0, fault=qtaml.faults.Uniform(0.0))
    # Not by the cosine, which outputs near 0 make anything: an untrained classifier has them.
    assert metric(read) < 0.05 * float(outputs(model, inputs).square().sum(1).mean())
    assert_unchanged(model, before)
    names = [tensor.name for tensor in plan.tensors]
    stored = {alias for tensor in plan.tensors for alias in (tensor.name, *tensor.aliases)}
    assert sum(t.storage.weights for t in plan.tensors) == sum(
        {id(w): w.numel() for n, w in _all(model) if n in stored}.values()
    )
    assert set(include) <= set(names)
    if name in TIED:
        assert TIED[name] not in names
        assert any(TIED[name] in tensor.aliases for tensor in plan.tensors)


def _all(model):
    """Parameters and buffers, tied ones under each name."""
    return [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]


@pytest.mark.slow
def test_residual_branches_are_found_in_networks_that_keep_caches():
    """A decoder returns a cache beside its logits; its branches are found all the same."""
    model, inputs = network("decoder with tied embeddings")
    plan = qtaml.compensate(model, inputs, p=0.01, overhead=0.5, residual_floor=1, trials=2)
    inside = {"transformer.h.0.attn.c_attn.weight", "transformer.h.0.mlp.c_proj.weight"}
    protected = {t.name for t in plan.tensors if all(s.format.protected_bits for s in t.storage.sections)}
    assert inside <= protected


def test_a_decoder_has_a_perplexity():
    """A model of random weights is about as good as none; reads without errors agree with it."""
    model, tokens = network("decoder with tied embeddings")
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.01, protected_bits=8))
    result = as_perplexity(qtaml.evaluate(memory, NegativeLogLikelihood(tokens), trials=2))
    assert 25 < result.low < result.mean < result.high < 100
    assert qtaml.evaluate(memory, Agreement(model, tokens), trials=2).mean > 0.9


@pytest.mark.slow
def test_calibration_from_a_data_loader_is_that_of_the_whole():
    """Batches of a loader give bit for bit the plan of all samples at once: means are over all samples."""
    model, inputs = network("ResNet")
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs), batch_size=3)
    settings = {"p": 0.01, "overhead": 0.1, "trials": 2}
    whole = qtaml.compensate(model, inputs, **settings)
    assert qtaml.compensate(model, loader, **settings) == whole
    assert qtaml.compensate(model, (inputs[start : start + 4] for start in (0, 4)), **settings) == whole
    assert qtaml.predict(model, loader, p=0.01) == qtaml.predict(model, inputs, p=0.01)

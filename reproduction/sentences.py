"""A sentence encoder, all-MiniLM-L6-v2, and sentences to encode: docstrings of Python's standard library."""

import ast
import io
import json
import sysconfig
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from qtaml.laboratory.cases import Samples
from qtaml.measuring import OutputCosine, OutputError, SampleMetric
from qtaml.model import evaluation_mode, output_tensor
from reproduction.pretrained import TEST_ERROR, weight_file

FILE = "all_minilm_l6_v2/model.zip"
CALIBRATION_SENTENCES, TEST_SENTENCES, TOKENS = 32, 200, 32
_LENGTHS = range(40, 200)
"""Characters of a sentence."""


class SentenceEncoder(nn.Module):
    """Token numbers to sentence embeddings: the mean over the tokens, with norm 1.

    Args:
        encoder: gives `last_hidden_state`, shape (samples, tokens, features).

    Source:
        "Usage (HuggingFace Transformers)" of the model card of sentence-transformers/all-MiniLM-L6-v2.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Embeddings, shape (samples, features)."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask[:, :, None].to(hidden.dtype)
        return nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


class SameNeighbour:
    """Share of samples whose nearest other sample is the same as among the outputs of the clean network.

    Args:
        model: the clean network, whose outputs have norm 1.
        inputs: by name, samples first.

    Example:
        >>> metric = SameNeighbour(nn.Identity(), torch.eye(3) + torch.tensor([0.0, 0.1, 0.2]))
        >>> metric(nn.Identity())
        1.0
    """

    def __init__(self, model: nn.Module, inputs: Any) -> None:
        self._inputs = inputs
        self._clean = self._neighbours(model)

    def scores(self, model: nn.Module) -> torch.Tensor:
        """Whether the nearest neighbour is the same, bool, shape (samples,)."""
        return self._neighbours(model) == self._clean

    def __call__(self, model: nn.Module) -> float:
        """Share of samples with the same nearest neighbour."""
        return float(self.scores(model).double().mean())

    def _neighbours(self, model: nn.Module) -> torch.Tensor:
        with evaluation_mode(model) as network, torch.no_grad():
            outputs = output_tensor(network, self._inputs).double()
        return (outputs @ outputs.T).fill_diagonal_(-torch.inf).argmax(1)


def load(packages: Path, seed: int = 0) -> tuple[nn.Module, Samples]:
    """The encoder and its sentences.

    Args:
        packages: folder of the packages.
        seed: of the choice of sentences.
    """
    with zipfile.ZipFile(io.BytesIO(weight_file(packages, FILE))) as archive:
        model = sentence_encoder(json.loads(archive.read("config.json")), archive.read("model.safetensors"))
        tokenizer = archive.read("tokenizer.json").decode()
    sentences = docstrings(CALIBRATION_SENTENCES + TEST_SENTENCES, seed)
    tokens = tokenized(tokenizer, sentences)
    calibration, test = ({name: part[rows] for name, part in tokens.items()} for rows in _parts())
    metrics: dict[str, SampleMetric] = {
        "cosine": OutputCosine(model, test),
        "same nearest neighbour": SameNeighbour(model, test),
        TEST_ERROR: OutputError(model, test),
    }
    return model, Samples(calibration, metrics)


def sentence_encoder(config: dict[str, Any], weights: bytes) -> SentenceEncoder:
    """The encoder, from the configuration of a BERT and the content of its safetensors file."""
    import transformers

    # The pooler is trained, but no sentence embedding uses it.
    bert = transformers.BertModel(transformers.BertConfig(**config), add_pooling_layer=False)
    kept = safetensors.torch.load(weights)
    bert.load_state_dict({name: kept[name] for name in bert.state_dict()})
    return SentenceEncoder(bert).eval()


def tokenized(tokenizer: str, sentences: list[str]) -> dict[str, torch.Tensor]:
    """Inputs of the encoder by name, each of shape (sentences, TOKENS), from the content of a tokenizer.json."""
    from tokenizers import Tokenizer

    reader = Tokenizer.from_str(tokenizer)
    reader.enable_truncation(TOKENS)
    reader.enable_padding(length=TOKENS)
    encoded = reader.encode_batch(sentences)
    return {
        "input_ids": torch.tensor([one.ids for one in encoded]),
        "attention_mask": torch.tensor([one.attention_mask for one in encoded]),
    }


def docstrings(count: int, seed: int) -> list[str]:
    """First paragraphs of docstrings of the standard library, each once, drawn by a seed."""
    found = _of_standard_library()
    return [found[place] for place in np.random.default_rng(seed).permutation(len(found))[:count]]


@lru_cache(maxsize=1)
def _of_standard_library() -> list[str]:
    """Those of suitable length, from sources that are parsed and not run."""
    found = set()
    for path in Path(sysconfig.get_path("stdlib")).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                text = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
                if len(text) in _LENGTHS:
                    found.add(text)
    return sorted(found)


def _parts() -> tuple[slice, slice]:
    return slice(CALIBRATION_SENTENCES), slice(CALIBRATION_SENTENCES, None)

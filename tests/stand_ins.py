"""Small networks that stand in for those of packages, which are not installed for tests."""

import io
import json
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import safetensors.torch
import torch
from torch import nn

from qtaml.laboratory.cases import Samples
from qtaml.measuring import Accuracy, Agreement, OutputCosine, OutputError
from reproduction import real_networks
from reproduction.pitch import PitchNetwork, WithinCents, tones
from reproduction.pretrained import TEST_ERROR
from reproduction.sentences import SameNeighbour, SentenceEncoder

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "a", "of", "return", "class", "file")
BERT = {"vocab_size": len(WORDS), "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
BERT |= {"intermediate_size": 16, "max_position_embeddings": 40}


class Hidden(nn.Module):
    """Token numbers to hidden states, as encoders of transformers give them."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.linear = nn.Embedding(50, 16), nn.Linear(16, 16)

    def forward(self, input_ids, attention_mask):
        """The mask is left to the pooling."""
        return SimpleNamespace(last_hidden_state=self.linear(self.embedding(input_ids)).tanh())


def sentence_encoder(folder):
    """A sentence encoder of 1,056 weights, and random sentences."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SentenceEncoder(Hidden()).eval()
        tokens = torch.randint(50, (24, 6))
    calibration, test = ({"input_ids": part, "attention_mask": torch.ones_like(part)} for part in tokens.split(12))
    metrics = {
        real_networks.COSINE: OutputCosine(model, test),
        real_networks.NEIGHBOUR: SameNeighbour(model, test),
        TEST_ERROR: OutputError(model, test),
    }
    return model, Samples(calibration, metrics)


def pitch_network(folder):
    """A linear map from sound to salience, which hears nothing right but by chance."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.AvgPool1d(64), nn.Linear(16, 360), nn.Sigmoid())
    frames, pitches = tones(8, seed=0)
    return model.eval(), Samples(frames, {real_networks.WITHIN: WithinCents(frames, pitches)})


def type_network(folder):
    """A linear map of 16 numbers to 4 types, and what it says itself as the right ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, inputs = nn.Linear(16, 4), torch.randn(24, 16)
    test = inputs[12:]
    right = Accuracy(test, model(test).argmax(1))
    return model.eval(), Samples(inputs[:12], {real_networks.RIGHT: right, real_networks.SAME: Agreement(model, test)})


def networks():
    """The networks of the study with stand-ins in their places."""
    made = sentence_encoder, pitch_network, pitch_network, type_network
    loads = dict(zip(real_networks.NETWORKS, made, strict=True))
    return {name: replace(real_networks.NETWORKS[name], load=load) for name, load in loads.items()}


def encoder_archive():
    """A BERT with random weights, its pooler and a tokenizer of ten words, packed as the package packs them."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        bert = transformers.BertModel(transformers.BertConfig(**BERT))
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("config.json", json.dumps(BERT))
        archive.writestr("model.safetensors", safetensors.torch.save(bert.state_dict()))
        archive.writestr("tokenizer.json", tokenizer.to_str())
    return bert.eval(), content.getvalue()


def pitch_weights(size):
    """The content of a file of random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = PitchNetwork(size)
    content = io.BytesIO()
    torch.save(model.state_dict(), content)
    return model.eval(), content.getvalue()

"""Hugging Face directories and texts on the command line."""

import json
import shutil
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

import qtaml
from tests.timm_without_torchvision import import_timm

transformers = pytest.importorskip("transformers")
TEXT = "".join(f"def f{number}(x):\n    return x + {number}\n\n\n" for number in range(200))
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
SETTINGS = ("--p", 0.01, "--overhead", 0.25, "--length", 16, "--samples", 8)


def save_tokenizer(path):
    """A tokenizer of bytes."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder: a decoder with its tokenizer, an encoder, a vision transformer, texts, images."""
    path = tmp_path_factory.mktemp("user")
    torch.manual_seed(0)
    gpt2 = transformers.GPT2Config(
        vocab_size=256, n_embd=16, n_layer=1, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2LMHeadModel(gpt2).save_pretrained(path / "decoder")
    save_tokenizer(path / "decoder")
    bert = transformers.BertConfig(vocab_size=256, max_position_embeddings=32, **SMALL)
    transformers.BertForMaskedLM(bert).save_pretrained(path / "encoder")
    save_tokenizer(path / "encoder")
    vit = transformers.ViTConfig(image_size=16, patch_size=8, num_labels=3, **SMALL)
    transformers.ViTForImageClassification(vit).save_pretrained(path / "vision")
    images = torch.linspace(-1, 1, 8 * 3 * 256).sin().reshape(8, 3, 16, 16)
    safetensors.torch.save_file({"pixel_values": images, "labels": torch.arange(8) % 3}, path / "images.safetensors")
    np.savez(path / "tokens.npz", tokens=np.arange(320).reshape(20, 16) % 256)
    np.savez(path / "two.npz", input_ids=np.ones((4, 16), int), attention_mask=np.ones((4, 16), int))
    (path / "text.txt").write_text(TEXT)
    (path / "short.txt").write_text("def")
    (path / "bytes.dat").write_bytes(bytes(range(128, 256)))
    return path


@pytest.fixture
def here(folder, monkeypatch, command):
    """The command in the user's folder."""
    monkeypatch.chdir(folder)
    return command


def changed(folder, tmp_path, name="decoder"):
    """A copy of a directory, to be spoiled."""
    return shutil.copytree(folder / name, tmp_path / name)


def test_a_language_model_is_stored_and_its_perplexity_measured(here, folder, tmp_path):
    """From a directory and a text alone; the same tokens as an array give the same numbers."""
    stored = tmp_path / "stored"
    ended, out, err = here("compensate", "decoder", "--calibration", "text.txt", *SETTINGS, "--out", stored)
    assert ended == 0, err
    assert "transformer.wte.weight" in out
    tied = [tensor.aliases for tensor in qtaml.Plan.from_json((stored / "plan.json").read_text()).tensors]
    assert ("lm_head.weight",) in tied
    measured = ("evaluate", stored, "--metric", "perplexity", "--length", 16, "--trials", 3)
    ended, out, err = here(*measured, "--test", "text.txt")
    assert ended == 0, err
    assert out.startswith("perplexity 2")  # of 256 tokens, for random weights
    _, text, _ = here(*measured, "--test", "text.txt", "--json", "--batch-size", 7)
    tokens = torch.tensor(list(TEXT.encode()))[: len(TEXT) // 16 * 16].reshape(-1, 16)
    alphabet = json.loads((folder / "decoder" / "tokenizer.json").read_text())["model"]["vocab"]
    printable = torch.tensor([alphabet.get({" ": "Ġ", "\n": "Ċ"}.get(chr(byte), chr(byte)), 0) for byte in range(256)])
    np.savez(tmp_path / "same.npz", tokens=printable[tokens].numpy())
    _, array, _ = here(*measured, "--test", tmp_path / "same.npz", "--json", "--batch-size", 7)
    assert qtaml.Result.from_json(text).values == qtaml.Result.from_json(array).values


@pytest.mark.parametrize("metric", ["agreement", "kl", "cosine"])
def test_reads_are_compared_with_the_clean_network(here, tmp_path, metric):
    """No labels are needed; with ideal protection of every bit, hardly anything differs."""
    design = ("design", "encoder", "--calibration", "text.txt", "--decoders", "ideal", "--length", 16, "--samples", 8)
    ended, _, err = here(*design, "--p", 0.01, "--cells", 2, "--out", tmp_path / "stored")
    assert ended == 0, err
    measured = ("evaluate", tmp_path / "stored", "--test", "tokens.npz", "--metric", metric, "--trials", 2, "--json")
    ended, out, err = here(*measured)
    assert ended == 0, err
    assert qtaml.Result.from_json(out).mean == pytest.approx(0 if metric == "kl" else 1, abs=0.05)


def test_a_vision_transformer_has_named_inputs_and_labels(here, tmp_path):
    """`predict` too takes the directory."""
    arguments = ("vision", "--calibration", "images.safetensors")
    ended, _, err = here("compensate", *arguments, *SETTINGS, "--residual-floor", 1, "--out", tmp_path / "stored")
    assert ended == 0, err
    ended, out, err = here("evaluate", tmp_path / "stored", "--test", "images.safetensors", "--trials", 2)
    assert (ended, out[:9]) == (0, "accuracy "), err
    ended, out, err = here("predict", *arguments, "--json")
    assert 0 < json.loads(out)["saturation_ratio"] <= 1, err


def test_a_directory_of_timm_is_loaded(here, folder, tmp_path):
    """config.json names the architecture and its arguments, as timm saves it."""
    timm = import_timm()
    settings = {"stem_width": 8, "channels": [8, 8, 8, 16]}
    model = timm.create_model("resnet10t", num_classes=3, **settings)
    directory = tmp_path / "timm"
    directory.mkdir()
    (directory / "config.json").write_text(
        json.dumps({"architecture": "resnet10t", "num_classes": 3, "model_args": settings})
    )
    safetensors.torch.save_model(model, directory / "model.safetensors")
    np.savez(tmp_path / "images.npz", images=safetensors.torch.load_file(folder / "images.safetensors")["pixel_values"])
    calibration = ("--calibration", tmp_path / "images.npz")
    ended, out, err = here("compensate", directory, *calibration, *SETTINGS, "--out", tmp_path / "stored")
    assert ended == 0, err
    assert "conv1.0.weight" in out
    safetensors.torch.save_file({"fc.weight": torch.zeros(3, 16)}, directory / "model.safetensors")
    ended, _, err = here("predict", directory, *calibration)
    assert ended == 2
    assert "do not fit the model; missing: bn1.bias, bn1.running_mean, bn1.running_var and" in err


PREDICT = ("predict", "decoder", "--calibration")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((*PREDICT, "short.txt"), 2, "must be long enough for at least 2 samples of 16 tokens, got 3 tokens"),
        ((*PREDICT, "text.txt", "--length", 64), 2, "--length must be at most 32 for the model in decoder, got 64"),
        ((*PREDICT, "bytes.dat"), 4, "must be an .npz or .safetensors file, or text in UTF-8"),
        ((*PREDICT, "none.txt"), 4, "cannot read none.txt"),
        (("predict", "vision", "--calibration", "text.txt"), 4, "vision has no tokenizer, which a text needs"),
        (
            ("predict", "torch.nn:Identity", "--calibration", "text.txt"),
            2,
            "a text, which needs the tokenizer of a Hugging Face directory as the model, got 'torch.nn:Identity'",
        ),
        (("predict", ".", "--calibration", "text.txt"), 4, "is not a Hugging Face directory: it has no config.json"),
    ],
)
def test_mistakes_with_texts(here, arguments, code, message):
    """Each is one line and a code."""
    extra = () if "--length" in arguments else ("--length", 16)
    ended, out, err = here(*arguments, *extra)
    assert (ended, out) == (code, ""), err
    assert message in err


def test_metrics_that_do_not_fit_are_refused(here, tmp_path):
    """Perplexity of an encoder, of several inputs, and accuracy without labels."""
    for name in ("encoder", "decoder"):
        here("compensate", name, "--calibration", "text.txt", *SETTINGS, "--out", tmp_path / name)
    for name, test, metric, message in (
        ("encoder", "tokens.npz", "perplexity", "sees earlier tokens only"),
        (
            "decoder",
            "two.npz",
            "perplexity",
            "must hold one array, of tokens, for perplexity, got input_ids, attention",
        ),
        ("decoder", "tokens.npz", "accuracy", "must hold an array named 'labels'"),
    ):
        ended, _, err = here("evaluate", tmp_path / name, "--test", test, "--metric", metric, "--trials", 2)
        assert ended == 2
        assert message in err


def test_reads_are_compared_with_the_stored_network_only(here, folder, tmp_path):
    """A network with other weights would be compared with in vain."""
    mine = changed(folder, tmp_path)
    here("compensate", mine, "--calibration", "text.txt", *SETTINGS, "--out", tmp_path / "stored")
    weights = safetensors.torch.load_file(mine / "model.safetensors")
    safetensors.torch.save_file(
        {name: 2 * tensor for name, tensor in weights.items()}, mine / "model.safetensors", {"format": "pt"}
    )
    arguments = ("--test", "tokens.npz", "--trials", 2)
    ended, _, err = here("evaluate", tmp_path / "stored", *arguments, "--metric", "kl")
    assert ended == 2
    assert "the network has other weights than the stored one" in err


def spoil_config(path):
    """Not JSON."""
    (path / "config.json").write_text("{")


def spoil_list(path):
    """No list of names."""
    (path / "config.json").write_text('{"architectures": {"name": "GPT2LMHeadModel"}}')


def spoil_architecture(path):
    """A class that is no network."""
    (path / "config.json").write_text('{"architectures": ["AutoTokenizer"], "model_type": "gpt2"}')


def spoil_kind(path):
    """JSON of something else."""
    (path / "config.json").write_text('{"lr": 0.1}')


def spoil_weights(path):
    """Cut short."""
    (path / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes()[:500])


def spoil_shape(path):
    """The weights of a smaller network."""
    text = (path / "config.json").read_text()
    (path / "config.json").write_text(text.replace('"n_embd": 16', '"n_embd": 32'))


def pickled_only(path):
    """As older checkpoints are."""
    torch.save({}, path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (spoil_config, 4, "config.json is not JSON"),
        (spoil_kind, 4, "names no architecture"),
        (spoil_list, 4, "names no architecture"),
        (spoil_architecture, 2, "holds a AutoTokenizer, which transformers"),
        (spoil_weights, 4, "cannot load the network in"),
        (spoil_shape, 2, "do not fit the model; of another shape: transformer"),
        (pickled_only, 4, "pytorch_model.bin is a pickled checkpoint, which is not loaded: it can run code. Convert"),
        (lambda path: (path / "model.safetensors").unlink(), 4, "holds no weights: it needs model.safetensors"),
        (lambda path: (path / "manifest.json").write_text("{}"), 4, "is a stored network of qtaml; name the directory"),
    ],
)
def test_directories_that_are_not_what_they_claim(here, folder, tmp_path, spoil, code, message):
    """Each is one line and a code."""
    spoiled = changed(folder, tmp_path)
    spoil(spoiled)
    ended, out, err = here("predict", spoiled, "--calibration", "tokens.npz")
    assert (ended, out) == (code, ""), err
    assert message in err
    assert err.count("\n") == 1


def test_weights_of_another_architecture_show_the_difference(here, folder, tmp_path):
    """Names that are missing, and names that nobody asked for."""
    mixed = changed(folder, tmp_path)
    shutil.copy(folder / "encoder" / "model.safetensors", mixed / "model.safetensors")
    ended, _, err = here("predict", mixed, "--calibration", "tokens.npz")
    assert ended == 2
    assert "do not fit the model; missing: lm_head.weight, transformer.h.0." in err
    assert "; unexpected: bert.embeddings." in err


def test_pickled_weights_are_refused(here, tmp_path, monkeypatch):
    """By their name, or by what they begin with."""
    factory = ("predict", "tests.cases:ConvolutionNet", "--calibration", "tokens.npz", "--weights")
    for name in ("weights.pt", "weights.safetensors"):
        torch.save({}, tmp_path / name)
        ended, _, err = here(*factory, tmp_path / name)
        assert ended == 4
        assert f"{name} is a pickled checkpoint, which is not loaded" in err
    ended, _, err = here("predict", tmp_path / "weights.pt", "--calibration", "tokens.npz")
    assert (ended, "is a pickled checkpoint" in err) == (4, True)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("predict", "decoder", "--calibration", "tokens.npz"), "the network in decoder needs transformers"),
        (("predict", "decoder", "--calibration", "text.txt"), "needs transformers"),
    ],
)
def test_a_missing_extra_is_named(here, monkeypatch, arguments, wanted):
    """What to install."""
    monkeypatch.setitem(sys.modules, "transformers", None)
    ended, _, err = here(*arguments)
    assert ended == 2
    assert wanted in err
    assert "pip install 'qtaml[transformers]'" in err


def test_missing_timm_is_named(here, tmp_path, monkeypatch):
    """What to install."""
    (tmp_path / "config.json").write_text('{"architecture": "resnet10t"}')
    safetensors.torch.save_file({}, tmp_path / "model.safetensors")
    monkeypatch.setitem(sys.modules, "timm", None)
    ended, _, err = here("predict", tmp_path, "--calibration", "tokens.npz")
    assert (ended, "pip install 'qtaml[timm]'" in err) == (2, True)

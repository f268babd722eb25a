"""Hugging Face directories and texts on the command line."""

import json
import os
import re
import shutil
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

import qtaml
from tests.full_disk import full_disk
from tests.hugging_face import TEXT, fill, save_timm
from tests.timm_without_torchvision import import_timm

pytestmark = pytest.mark.slow  # transformers alone takes seconds to import

transformers = pytest.importorskip("transformers")
SETTINGS = ("--p", 0.01, "--overhead", 0.25, "--length", 16, "--samples", 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder."""
    return fill(tmp_path_factory.mktemp("user"))


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
    measured = ("evaluate", stored, "--model", "decoder", "--metric", "perplexity", "--length", 16, "--trials", 3)
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
    measured = ("evaluate", tmp_path / "stored", "--model", "encoder", "--test", "tokens.npz", "--metric", metric)
    ended, out, err = here(*measured, "--trials", 2, "--json")
    assert ended == 0, err
    assert qtaml.Result.from_json(out).mean == pytest.approx(0 if metric == "kl" else 1, abs=0.05)


def test_a_vision_transformer_has_named_inputs_and_labels(here, tmp_path):
    """`predict` too takes the directory."""
    arguments = ("vision", "--calibration", "images.safetensors")
    ended, _, err = here("compensate", *arguments, *SETTINGS, "--residual-floor", 1, "--out", tmp_path / "stored")
    assert ended == 0, err
    ended, out, err = here(
        "evaluate", tmp_path / "stored", "--model", "vision", "--test", "images.safetensors", "--trials", 2
    )
    assert (ended, out[:9]) == (0, "accuracy "), err
    ended, out, err = here("predict", *arguments, "--p", 0.1, "--json")
    assert 0 < json.loads(out)["saturation_ratio"] <= 1, err


@pytest.mark.slow
def test_a_directory_of_timm_is_loaded(here, folder, tmp_path):
    """config.json names the architecture and its arguments, as timm saves it."""
    directory = save_timm(tmp_path / "timm", "resnet10t", {"stem_width": 8, "channels": [8, 8, 8, 16]})
    np.savez(tmp_path / "images.npz", images=safetensors.torch.load_file(folder / "images.safetensors")["pixel_values"])
    calibration = ("--calibration", tmp_path / "images.npz")
    ended, out, err = here("compensate", directory, *calibration, *SETTINGS, "--out", tmp_path / "stored")
    assert ended == 0, err
    assert "conv1.0.weight" in out
    safetensors.torch.save_file({"fc.weight": torch.zeros(3, 16)}, directory / "model.safetensors")
    ended, _, err = here("predict", directory, *calibration, "--p", 0.1)
    assert ended == 2
    assert "do not fit the model; missing: bn1.bias, bn1.running_mean, bn1.running_var and" in err


PREDICT = ("predict", "decoder", "--p", "0.1", "--calibration")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((*PREDICT, "short.txt"), 2, "must be long enough for at least 2 samples of 16 tokens, got 3 tokens"),
        ((*PREDICT, "text.txt", "--length", 64), 2, "--length must be at most 32 for the model in decoder, got 64"),
        ((*PREDICT, "bytes.dat"), 4, "must be an .npz or .safetensors file, or text in UTF-8"),
        ((*PREDICT, "none.txt"), 4, "cannot read none.txt"),
        (
            ("predict", "vision", "--p", "0.1", "--calibration", "text.txt"),
            4,
            "vision has no tokenizer, which a text needs",
        ),
        (
            ("predict", "torch.nn:Identity", "--p", "0.1", "--calibration", "text.txt"),
            2,
            "a text, which needs the tokenizer of a Hugging Face directory as the model, got 'torch.nn:Identity'",
        ),
        (
            ("predict", ".", "--p", "0.1", "--calibration", "text.txt"),
            4,
            "is not a Hugging Face directory: it has no config.json",
        ),
        ((*PREDICT, "."), 4, "cannot read .: it is a directory"),
        (("evaluate", "decoder", "--test", "text.txt"), 4, "cannot read decoder/manifest.json"),
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
        ended, _, err = here(
            "evaluate", tmp_path / name, "--model", name, "--test", test, "--metric", metric, "--trials", 2
        )
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
    arguments = ("--model", mine, "--test", "tokens.npz", "--trials", 2)
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


def spoil_value(path):
    """A size that is no number."""
    text = (path / "config.json").read_text()
    (path / "config.json").write_text(text.replace('"n_embd": 16', '"n_embd": "many"'))


def pickled_only(path):
    """As older checkpoints are."""
    torch.save({}, path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()


def pickled_inside(path):
    """A pickle under another name."""
    torch.save({}, path / "model.safetensors")


def pointer_only(path):
    """As a clone without Git LFS has it."""
    (path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def shards(index):
    """Weights in shards, of which this is the index."""

    def spoil(path):
        torch.save({}, path / "pickled.bin")
        torch.save({}, path / "pickled.data")
        (path / "model.safetensors").unlink()
        (path / "model.safetensors.index.json").write_text(index)

    return spoil


def shards_in(name):
    """Weights in a shard of this name."""
    return shards(json.dumps({"metadata": {}, "weight_map": {"transformer.wte.weight": name}}))


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (spoil_config, 4, "config.json is not JSON"),
        (spoil_kind, 4, "names no architecture"),
        (spoil_list, 4, "names no architecture"),
        (spoil_architecture, 2, "holds a AutoTokenizer, which transformers"),
        (spoil_weights, 4, "cannot load the network in"),
        (spoil_shape, 2, "do not fit the model; of another shape: transformer"),
        (spoil_value, 4, "Validation error for field 'n_embd': TypeError: Field 'n_embd' expected int, got str"),
        (pickled_inside, 4, "model.safetensors is a pickled checkpoint, which is not loaded"),
        (pointer_only, 4, "model.safetensors is a pointer of Git LFS, not the weights themselves"),
        (shards("[]"), 4, "model.safetensors.index.json is no index of safetensors files"),
        (shards("{"), 4, "model.safetensors.index.json is no index of safetensors files"),
        (shards_in("pickled.bin"), 4, "pickled.bin is a pickled checkpoint, which is not loaded"),
        (shards_in("pickled.data"), 4, "keeps weights in pickled.data, which is no safetensors file"),
        (shards_in("gone.safetensors"), 4, "gone.safetensors: No such file or directory"),
        (pickled_only, 4, "pytorch_model.bin is a pickled checkpoint, which is not loaded: it can run code. Convert"),
        (lambda path: (path / "model.safetensors").unlink(), 4, "holds no weights: it needs model.safetensors"),
        (lambda path: (path / "manifest.json").write_text("{}"), 4, "is a stored network of qtaml; name the directory"),
    ],
)
def test_directories_that_are_not_what_they_claim(here, folder, tmp_path, spoil, code, message):
    """Each is one line and a code."""
    spoiled = changed(folder, tmp_path)
    spoil(spoiled)
    ended, out, err = here("predict", spoiled, "--p", "0.1", "--calibration", "tokens.npz")
    assert (ended, out) == (code, ""), err
    assert message in err
    assert err.count("\n") == 1


def spoil_tokenizer(path):
    """Not JSON."""
    (path / "tokenizer.json").write_text("{")


def remove_tokenizer(path):
    """None at all."""
    for file in path.glob("tokenizer*"):
        file.unlink()


def tokenizer_of_another(path):
    """One with other numbers."""
    tokenizer = json.loads((path / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] = {word: 1000 + number for word, number in tokenizer["model"]["vocab"].items()}
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (remove_tokenizer, 4, "has no tokenizer, which a text needs: copy its tokenizer.json there"),
        (spoil_tokenizer, 4, "cannot use the tokenizer in"),
        (tokenizer_of_another, 2, "holds a tokenizer of another model: it gives token 1220, the model has 256"),
    ],
)
def test_tokenizers_that_are_missing_or_not_the_models(here, folder, tmp_path, spoil, code, message):
    """Each is one line and a code."""
    spoiled = changed(folder, tmp_path)
    spoil(spoiled)
    ended, out, err = here("predict", spoiled, "--p", "0.1", "--calibration", "text.txt", "--length", 16)
    assert (ended, out) == (code, ""), err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architecture": "nonet"}, "holds a 'nonet', which timm .* does not have"),
        ({"architecture": "resnet10t", "num_classes": "x"}, "timm cannot make the network in"),
        ({"architecture": "resnet10t", "num_classes": 3}, r"do not fit the model; missing: .*; unexpected: weight"),
    ],
)
def test_directories_of_timm_that_are_not_what_they_claim(here, tmp_path, config, message):
    """Each is one line and a code."""
    import_timm()
    (tmp_path / "config.json").write_text(json.dumps(config))
    safetensors.torch.save_file({"weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    ended, _, err = here("predict", tmp_path, "--p", "0.1", "--calibration", "tokens.npz")
    assert ended == 2
    assert re.search(message, err)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("config", "code", "message"),
    [
        ({"architecture": "hf-hub:timm/resnet10t.c3_in1k"}, 2, "holds a 'hf-hub:timm/resnet10t.c3_in1k', which timm"),
        ({"architecture": "local-dir:elsewhere"}, 2, "holds a 'local-dir:elsewhere', which timm"),
        (
            {"architecture": "resnet10t", "model_args": {"checkpoint_path": "w.pth"}},
            4,
            "got model_args 'checkpoint_path'",
        ),
        ({"architecture": "resnet10t", "model_args": {"pretrained": True}}, 4, "got model_args 'pretrained'"),
        ({"architecture": "resnet10t", "model_args": {"pretrained_cfg": {}}}, 4, "got model_args 'pretrained_cfg'"),
        ({"architecture": "resnet10t", "model_args": [1]}, 4, r"got model_args \[1\]"),
    ],
)
def test_a_directory_of_timm_names_no_weights_elsewhere(here, tmp_path, config, code, message):
    """Neither a pickle nor a place in the network."""
    import_timm()
    (tmp_path / "config.json").write_text(json.dumps(config))
    safetensors.torch.save_file({"weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    ended, _, err = here("predict", tmp_path, "--p", "0.1", "--calibration", "tokens.npz")
    assert ended == code
    assert re.search(message, err)
    assert err.count("\n") == 1


def test_no_hub_is_asked_and_nothing_unpickled(here, monkeypatch):
    """Whatever a configuration names beside its architecture; afterwards all is as it was."""
    import huggingface_hub
    import transformers

    before = huggingface_hub.constants.HF_HUB_OFFLINE, os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    found = []

    def tell(*_, **__):
        with pytest.raises(huggingface_hub.errors.OfflineModeIsEnabled, match="Cannot reach"):
            huggingface_hub.HfApi(endpoint="http://127.0.0.1:9").model_info("someone/network")
        found.append(os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD"))
        raise ValueError("told")

    monkeypatch.setattr(transformers.GPT2LMHeadModel, "from_pretrained", tell)
    assert here("predict", "decoder", "--p", "0.1", "--calibration", "tokens.npz")[0] == 4
    assert found == ["1"]
    assert before == (huggingface_hub.constants.HF_HUB_OFFLINE, os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD"))


def test_code_in_a_directory_is_not_run(here, folder, tmp_path):
    """An architecture that the directory brings itself is unknown."""
    mine = changed(folder, tmp_path)
    config = json.loads((mine / "config.json").read_text())
    config |= {"architectures": ["Own"], "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (mine / "config.json").write_text(json.dumps(config))
    (mine / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    ended, _, err = here("predict", mine, "--p", "0.1", "--calibration", "text.txt", "--length", 16)
    assert (ended, "holds a Own, which transformers" in err) == (2, True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize("way", [("compensate", "--overhead", 0.25), ("design", "--cells", 2, "--decoders", "none")])
def test_a_full_disk_while_saving_leaves_what_was_there(here, tmp_path, way):
    """An older stored network is whole, nothing is half-written, and the error is one line."""
    arguments = (way[0], "decoder", "--calibration", "tokens.npz", "--p", 0.01, *way[1:])
    stored = tmp_path / "stored"
    test = ("--model", "decoder", "--test", "tokens.npz", "--metric", "kl", "--trials", 2, "--json")
    here(*arguments, "--out", stored)
    before = here("evaluate", stored, *test)
    for out in (stored, tmp_path / "another"):
        with full_disk(2000):
            ended, text, err = here(*arguments, "--seed", 1, "--out", out)
        assert (ended, text) == (4, ""), err
        assert f"cannot write {out}" in err
        assert "ile too large" in err
        assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["stored"]
    assert here("evaluate", stored, *test) == before


def test_weights_of_another_architecture_show_the_difference(here, folder, tmp_path):
    """Names that are missing, and names that nobody asked for."""
    mixed = changed(folder, tmp_path)
    shutil.copy(folder / "encoder" / "model.safetensors", mixed / "model.safetensors")
    ended, _, err = here("predict", mixed, "--p", "0.1", "--calibration", "tokens.npz")
    assert ended == 2
    assert "do not fit the model; missing: lm_head.weight, transformer.h.0." in err
    assert "; unexpected: bert.embeddings." in err


def test_pickled_weights_are_refused(here, tmp_path, monkeypatch):
    """By their name, or by what they begin with."""
    factory = ("predict", "tests.cases:ConvolutionNet", "--p", "0.1", "--calibration", "tokens.npz", "--weights")
    for name in ("weights.pt", "weights.safetensors"):
        torch.save({}, tmp_path / name)
        ended, _, err = here(*factory, tmp_path / name)
        assert ended == 4
        assert f"{name} is a pickled checkpoint, which is not loaded" in err
    ended, _, err = here("predict", tmp_path / "weights.pt", "--p", "0.1", "--calibration", "tokens.npz")
    assert (ended, "is a pickled checkpoint" in err) == (4, True)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (
            ("predict", "decoder", "--p", "0.1", "--calibration", "tokens.npz"),
            "the network in decoder needs transformers",
        ),
        (("predict", "decoder", "--p", "0.1", "--calibration", "text.txt"), "needs transformers"),
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
    ended, _, err = here("predict", tmp_path, "--p", "0.1", "--calibration", "tokens.npz")
    assert (ended, "pip install 'qtaml[timm]'" in err) == (2, True)

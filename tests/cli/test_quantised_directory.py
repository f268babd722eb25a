"""Hugging Face directories that compressed-tensors has quantised: networks in floats, and reads of their own words."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from qtaml.cli.hugging_face import load_directory

pytest.importorskip("compressed_tensors")
transformers = pytest.importorskip("transformers")
from compressed_tensors.compressors import ModelCompressor  # noqa: E402
from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config  # noqa: E402


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A llama of one block, its linear layers in NVFP4."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 2}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=64, num_hidden_layers=1, **sizes))
    apply_quantization_config(model.bfloat16(), QuantizationConfig(config_groups={"NVFP4A16": ["Linear"]}))
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            largest = module.weight.data.reshape(len(module.weight), -1, 16).abs().amax(-1)
            module.weight_global_scale.data = (448 * 6 / largest.max().float()).reshape(1)
            module.weight_scale.data = (largest / 6 * module.weight_global_scale).to(module.weight_scale.dtype)
    compressor = ModelCompressor.from_pretrained_model(model)
    model.save_pretrained(tmp_path / "llama")
    compressor.compress_model(model)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "llama" / "model.safetensors", metadata={"format": "pt"})
    compressor.update_config(str(tmp_path / "llama"))
    np.savez(tmp_path / "tokens.npz", tokens=np.arange(640).reshape(40, 16) ** 2 % 64)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "llama"


@pytest.mark.slow
def test_a_quantised_directory_is_a_network(folder, command):
    """Weights as transformers reads them; the commands take it; its file is protected, and measured by it."""
    network = load_directory(folder)
    library = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    library(torch.arange(8)[None])  # decompresses
    for name, weight in library.state_dict().items():
        if name.endswith("proj.weight"):
            assert torch.equal(network.state_dict()[name], weight.float()), name
    assert command("predict", "llama", "--calibration", "tokens.npz", "--p", 0.01)[0] == 0
    asked = ("--test", "tokens.npz", "--metric", "perplexity", "--reads", 2, "--decoders", "none", "--json")
    code, out, err = command(
        "protect", "llama/model.safetensors", "--cells", 1, "--p", 1e-9, "--model", "llama", *asked
    )
    assert code == 0, err
    with torch.no_grad():
        tokens = torch.from_numpy(np.load("tokens.npz")["tokens"])
        loss = network(tokens, labels=tokens).loss
    assert json.loads(out)["network"]["mean"] == pytest.approx(float(loss.exp()), rel=1e-3)

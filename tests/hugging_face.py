"""A user's folder with directories of transformers and timm, texts, and arrays, all tiny."""

import json
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from tests.timm_without_torchvision import import_timm

TEXT = "".join(f"def f{number}(x):\n    return x + {number}\n\n\n" for number in range(200))
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def save_tokenizer(path):
    """A tokenizer of bytes."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(path)


def fill(path: Path) -> Path:
    """A decoder with its tokenizer, an encoder, a vision transformer, texts, images, tokens."""
    import transformers

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


def save_timm(path: Path, architecture: str, settings: dict[str, object]) -> Path:
    """A directory as timm saves it: config.json names the architecture and its arguments."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = import_timm().create_model(architecture, num_classes=3, **settings)
    path.mkdir()
    config = {"architecture": architecture, "num_classes": 3, "model_args": settings}
    (path / "config.json").write_text(json.dumps(config))
    safetensors.torch.save_model(model, path / "model.safetensors")
    return path

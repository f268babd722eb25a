"""GGUF files as networks: by transformers, on the command line."""

import json

import numpy as np
import pytest
import torch

from qtaml.measuring import NegativeLogLikelihood, perplexity

pytest.importorskip("accelerate")
transformers = pytest.importorskip("transformers")
from tests.gguf_files import write_llama  # noqa: E402


@pytest.mark.slow
def test_perplexity_of_a_gguf_file_as_read(tmp_path, monkeypatch, command):
    """Through the command, by transformers; the words of its text, too. Other commands take it as MODEL."""
    monkeypatch.chdir(tmp_path)
    write_llama(tmp_path / "m.gguf")
    text = "".join(chr(67 + one) for one in np.random.default_rng(0).integers(0, 56, 200))
    (tmp_path / "text.txt").write_text(text)
    told = (
        "--test",
        "text.txt",
        "--metric",
        "perplexity",
        "--length",
        16,
        "--reads",
        2,
        "--decoders",
        "none",
        "--json",
    )
    code, out, err = command("protect", "m.gguf", "--cells", 1.0, "--p", 1e-12, *told)
    assert code == 0, err
    tokens = torch.tensor(list(map(ord, text))) - 65
    network = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf", dtype=torch.float32)
    expected = perplexity(NegativeLogLikelihood(tokens[:192].reshape(-1, 16))(network))
    assert json.loads(out)["network"]["mean"] == pytest.approx(expected, rel=1e-4)
    code, out, err = command("predict", "m.gguf", "--calibration", "text.txt", "--length", 16, "--p", 0.05)
    assert (code, "bits" in out) == (0, True), err
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "m.gguf").read_bytes()[:700])
    code, _, err = command("predict", "cut.gguf", "--calibration", "text.txt", "--p", 0.05)
    assert (code, "is damaged" in err) == (4, True)

# %% [markdown]
# # From a stored network to a Verilog memory
#
# Somebody has handed you a directory that `qtaml` wrote, say `deployed`. You need neither the network nor PyTorch
# to put it into a memory, and no trust: nothing in it is code. Every byte is described in [stored
# networks](../artifact.md). This script makes such a directory first, so that it runs alone.

# %%
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

import qtaml

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(20, 64), nn.Tanh(), nn.Linear(64, 5))
plan = qtaml.compensate(model, torch.randn(64, 20), p=0.10, overhead=0.125)
qtaml.store(model, plan).save("deployed")

# %% [markdown]
# ## What is in it
#
# `sha256sum --check manifest.json.sha256` and the manifest's own list of checksums say whether all arrived whole.

# %%
manifest = json.loads(Path("deployed/manifest.json").read_text())
print(manifest["format"], manifest["version"])
stored_map = json.loads(Path("deployed/map.json").read_text())
for tensor in stored_map["tensors"]:
    print(tensor["name"], tensor["shape"], [region["format"] for region in tensor["regions"]])
for protection in stored_map["protections"]:
    print(protection["protection"]["kind"], "data bits", protection["data_bits"], "in cells", protection["cells"])

# %% [markdown]
# ## An image for `$readmemh`
#
# One line is one memory word; each bit plane begins at a word of its own, named in a comment. The command on a
# shell is `qtaml export deployed weights.mem --word-bits 32`.


# %%
def qtaml_command(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "qtaml", *words], capture_output=True, text=True, check=True)
    return done.stdout


print(qtaml_command("export", "deployed", "weights.mem", "--word-bits", "32"))
lines = Path("weights.mem").read_text().splitlines()
print("\n".join(lines[:5]))  # a comment, an address, words

# %% [markdown]
# In Verilog:
#
# ```verilog
# reg [31:0] weights [0:255];
# initial $readmemh("weights.mem", weights);
# ```
#
# Which planes lie in protected cells, the map says: planes of one protection can go to a memory of their own.

# %% [markdown]
# ## What the hardware gives back
#
# Dump the memory after a refresh window in the same layout (binary, or `$writememh`). Here the dump is an image
# of the stored bits with errors drawn in NumPy; yours comes from the chip.

# %%
qtaml_command("export", "deployed", "weights.bin", "--word-bits", "32")
words = np.fromfile("weights.bin", dtype=np.uint8)
rng = np.random.default_rng(0)
flips = np.packbits(rng.random((len(words), 8)) < 0.10, axis=1).ravel()
(words ^ flips).tofile("dump.bin")
print(qtaml_command("readback", "deployed", "dump.bin", "--word-bits", "32"))

# %% [markdown]
# Bits behind the paper's ideal code should not have any errors, and here they do, since this dump did not decode
# anything: the table says so for their rows. Rates of the raw bits agree with p = 0.10. With `--test test.npz
# --model ...` the command also measures the network that the dump holds.
#
# ## Reading weights without this package
#
# [`examples/read_artifact.py`](../examples/read_artifact.py) turns the directory into weights with NumPy alone,
# in fewer than a hundred lines: a starting point for a reader in C or in firmware. `qtaml export deployed
# weights.safetensors` gives the weights as they are read without errors.

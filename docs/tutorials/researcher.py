# %% [markdown]
# # Your own network, to a report in ten minutes
#
# You have a trained PyTorch network and want to know how it would do in a memory that reads some of its bits
# wrong: what it loses, what keeps it working, what that costs in memory cells, and how sure all of that is.
# Everything here runs on a laptop; put your own network and data in the first block. The numbers in the comments
# are those of this script (seeded; another machine may differ in the last digit).

# %%
import torch
from torch import nn

import qtaml

torch.manual_seed(0)
inputs = torch.randn(3000, 20)
labels = (inputs @ torch.randn(20, 5)).argmax(1)
model = nn.Sequential(nn.Linear(20, 64), nn.Tanh(), nn.Linear(64, 5))  # yours: any torch.nn.Module
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(150):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(inputs[:2000]), labels[:2000]).backward()
    optimizer.step()
calibration = inputs[:64]  # unlabelled inputs of the kind that the network will see; 32 to 256 are enough
accuracy = qtaml.Accuracy(inputs[2000:], labels[2000:])  # any function of a network is a metric too

# %% [markdown]
# ## What errors do
#
# The weights are stored as words of 8 bits, and one bit in ten is read wrong (`p=0.10`). A *plan* says how each
# tensor is stored; a *memory* is the network stored under it; `evaluate` reads it 30 times, with new errors each
# time.

# %%
plain = qtaml.store(model, qtaml.uniform_msp(model, p=0.10, protected_bits=0))
print(accuracy(model))  # 0.94 without errors
print(qtaml.evaluate(plain, accuracy, trials=30))  # 0.70, and its interval over reads and test samples

# %% [markdown]
# ## Does it pay to do something about it?
#
# `predict` says from 32 backward passes what compensation will save, before anything is stored: the output error
# for each budget of extra cells.

# %%
print(qtaml.predict(model, calibration, p=0.10))

# %% [markdown]
# ## Three ways to do it
#
# [Which method do I want?](../which.md) has the long answer. `uniform_msp` is the baseline that everybody knows:
# the most significant bits of every weight in error-free cells. `compensate` is the paper's TAC: it spends the
# same cells where they lower the output error most, and stores the word whose *expected* reading is nearest.
# `design` searches all ways to store a weight, real codes at their real price, within the cells that you give.

# %%
study = qtaml.Study(model, calibration)  # measures the network once, for all plans that follow
plans = {
    "Uniform-MSP": qtaml.uniform_msp(model, p=0.10, protected_bits=1),  # 12.5% more cells
    "TAC": study.compensate(p=0.10, overhead=0.125),
    "design, as many cells as the plain memory": study.design(p=0.10, cells=1.0),
    "design, half of them": study.design(p=0.10, cells=0.5),
}
results = {}
for name, plan in plans.items():
    results[name] = qtaml.evaluate(qtaml.store(model, plan), accuracy, trials=30)
    print(f"{name}: {plan.cells:.2f} cells, accuracy {results[name]}")

# %% [markdown]
# ## Look at a plan, and keep it
#
# A plan prints as a table: each tensor, its bits, what protects them, and its share of the predicted output
# error. Saved, it is the directory that a hardware team needs ([the third tutorial](hardware.md)).

# %%
plan = plans["design, as many cells as the plain memory"]
print(plan)
memory = qtaml.store(model, plan)
memory.save("deployed")
again = qtaml.load("deployed", model)
assert torch.equal(
    again.model(seed=7)(calibration), memory.model(seed=7)(calibration)
)  # the same bits, the same errors

# %% [markdown]
# ## How sure?
#
# The interval of a result covers other reads *and* other test samples. `result.caution` is empty unless the
# interval may be too narrow: that happens for losses without bounds on few samples or reads. Chips differ from
# each other, and what one buys is a chip:

# %%
print(repr(results["TAC"].caution))  # '' for an accuracy
unknown = study.design(p=(0.05, 0.10), cells=1.0)  # p is only known to lie in this range
chips = qtaml.evaluate(qtaml.store(model, unknown), accuracy, chips=60)
print(chips)
print(chips.tolerance_bound(share=0.95))  # 95% of such chips reach it, said with 95% confidence

# %% [markdown]
# ## Next
#
# - Your network from the command line, from Hugging Face or timm, language models and their perplexity:
#   [networks, data and metrics](../networks.md).
# - Where p comes from: [the second tutorial](memory_engineer.md).
# - Hundreds of networks, budgets and memories at once: [sweeps](../sweeps.md).
# - A page to show around, with every number and picture of this one: [the report](../report.md),
#   `qtaml report deployed --out report.html`.
# - When storing alone is not enough: [training for the memory](../training.md).

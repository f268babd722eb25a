# %% [markdown]
# # From retention data to a plan
#
# You make memory cells, and have retention measurements: what share of bits was lost after which time. The
# question is how far the refresh window can be stretched, or the barrier thinned, until a network that is stored
# in these cells no longer works. What exists today goes from data to a flip probability, from there to a plan,
# and back to a window. The figures below are invented data with the shape of real ones; put yours in their place.
# From a CSV file they are read by `device.read_retention`; `qtaml device fit` does the next step on the command line.

# %%
import numpy as np
import torch
from torch import nn

import qtaml
from qtaml import device, faults

windows = np.array([5e-6, 10e-6, 15e-6, 20e-6, 25e-6, 30e-6])  # seconds between refreshes
lost = np.array([25, 645, 2754, 6783, 11995, 18053])  # charged cells, of 100,000, that had lost their bit by then

# %% [markdown]
# ## A cell that fits the data
#
# The same cells were read after growing windows, so those that failed anew did so between two of them. The fit is
# lognormal, with a tail of weak cells if the data ask for one, and says whether it describes the data.

# %%
data = device.RetentionData(
    after=[0, *windows],
    by=[*windows, np.inf],
    temperature=np.full(7, 300.0),  # kelvin; with several temperatures a law for them is fitted too
    cells=np.diff([0, *lost, 100_000]),
    source="invented",
)
cell = device.fit_retention(data)
print(cell)
assert cell.goodness.p_value > 0.01  # if the law cannot follow your data, do not go on with it

# %% [markdown]
# ## What the data say of other windows
#
# The band is a confidence interval of p, which `design(p=(low, high))` takes as its reserve. Beyond the data every
# answer would be an extrapolation, and say so. A charged cell loses its bit, an empty one keeps it: the errors go one
# way. `rates` gives both probabilities; stored inverted or not at random, a bit sees their mean.

# %%
for window in (10e-6, 20e-6, 30e-6):
    p01, p10 = cell.rates(window)
    low, high = cell.band(window)
    print(f"{window:.0e} s: zeros read wrong {p01:.3f}, ones {p10:.3f} ({low:.4f} to {high:.4f})")
print(f"window for p = 0.01: {cell.window_for(0.01):.2e} s, for p = 0.10: {cell.window_for(0.10):.2e} s")

# %% [markdown]
# ## A network in these cells
#
# Any trained network and some unlabelled inputs.

# %%
torch.manual_seed(0)
inputs = torch.randn(3000, 20)
labels = (inputs @ torch.randn(20, 5)).argmax(1)
model = nn.Sequential(nn.Linear(20, 64), nn.Tanh(), nn.Linear(64, 5))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(150):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(inputs[:2000]), labels[:2000]).backward()
    optimizer.step()
accuracy = qtaml.Accuracy(inputs[2000:], labels[2000:])
clean = accuracy(model)

# %% [markdown]
# ## Windows against accuracy
#
# The plain memory at several windows, and at the longest of them a plan in no more cells, made for its rates.

# %%
for window in (10e-6, 20e-6, 30e-6):
    memory = faults.Asymmetric(*cell.rates(window))
    plain = qtaml.store(model, qtaml.uniform_msp(model, fault=memory, protected_bits=0))
    print(f"{window:.0e} s: plain {qtaml.evaluate(plain, accuracy, trials=10).mean:.3f}, without errors {clean:.3f}")
designed = qtaml.design(model, inputs[:64], fault=memory, cells=1.0)  # the longest window, three times the first
found = qtaml.evaluate(qtaml.store(model, designed), accuracy, trials=10)
print(f"{window:.0e} s: designed {found}")

# %% [markdown]
# ## Chips whose weak cells stay
#
# Errors were drawn anew for each read so far. Really the thin cells of a chip are weak in every read, and chips
# differ. `StaticCells` keeps them (`charged=1`: a one is charge); its rates are those of before, so that the plan
# fits it. 60 chips give a bound for 95% of all of them, with 95% confidence.

# %%
static = faults.StaticCells.from_cell(cell, window, charged=1)
chips = qtaml.evaluate(qtaml.store(model, designed), accuracy, fault=static, chips=60, trials=1)
print(f"half of the chips: {chips.quantile(0.5):.3f}; 95% of them reach {chips.tolerance_bound(share=0.95):.3f}")

# %% [markdown]
# ## What is not here
#
# Data of one temperature say nothing of another; with several, `fit_retention` fits a law of temperature, and
# `device.reliability` states failures in time over a mission. What is modelled and what is left out:
# [from the barrier to the bit](../devices.md).

# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which chip, at what cost?
#
# An architect's three questions, asked of the demo's network: deep, recurrent, with a residual block; it reads digits row by row.
#
# 1. which chip holds it;
# 2. what would a smaller fan-in cost;
# 3. how many joules does a decision take.
#
# Needs `pip install -e '.[notebook]'`. About a minute.

# %%
from IPython.display import Image, display

from snnmap import find_smallest_chip, fit_model, load, sweep_model
from snnmap.chip import format_chip
from snnmap.demo.digits import make_model, read_digits, train_digits
from snnmap.lif.fixes import FixOptions
from snnmap.report import draw_fit

digits = read_digits(seed=0)
model = make_model(seed=0)
train_digits(model, digits, n_epochs=8, seed=0, progress=False)
network = load(model)
samples, labels = digits.test[:120], digits.test_labels[:120]

# %% [markdown]
# ## Which chip holds it?
#
# Every chip of the catalog, built and run on 120 held-out digits beside the model. No price of the Xylo chips' actions is
# published, so their energy is unknown.

# %%
fit = fit_model(network, calibration=samples, labels=labels)
display(fit)

# %% [markdown]
# ## What would a smaller fan-in cost?
#
# Neurons of the residual block have 160 recurrent weights. For each limit the network is pruned by what weights contribute on
# the digits and refitted; what that changes is told.

# %%
limits = [32, 64, 96, 128, 160]
swept = sweep_model(
    network, "generic-4096", "recurrent_weights.max_fan_in", limits, calibration=samples, labels=labels, fixes=FixOptions()
)
for limit, row in zip(limits, swept.rows, strict=True):
    print(f"{limit}: fits {row.fits}, decisions kept {row.decisions}", *row.fixes, sep="\n    ")
display(Image(draw_fit(swept, list(map(str, limits)), axis="recurrent weights a neuron", form="png")))

# %% [markdown]
# ## How many joules a decision?
#
# Of the actions alone, by the prices in the chip's record; by population, where they are spent.

# %%
held = next(row for row in fit.rows if row.chip == "generic-4096")
profile = held.profile
print(f"{profile.joules_a_sample * 1e9:.0f} nJ a digit on {held.chip}: {profile.chip.costs.prices.technology}")
display(profile)

# %% [markdown]
# ## The smallest chip that would do

# %%
smallest = find_smallest_chip(network, "generic-4096", calibration=samples, labels=labels)
print(format_chip(smallest).split("[bits]")[0])

# %%
assert {row.chip for row in fit.rows if row.fits} == {"generic-4096", "xylo-audio-3", "xylo-imu"}
assert all(row.fits for row in swept.rows)
assert smallest.hidden.count < 4096

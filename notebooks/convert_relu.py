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
# # Convert and map a ReLU network
#
# An ordinary network with ReLUs becomes a LIF network whose spike counts are its activations, and then a bitstream. Shown here:
#
# 1. train 64-64-32-10 on scikit-learn's digits, as always in torch;
# 2. convert it; see what each number of steps T gives, costs and loses in each layer;
# 3. build it for the 4096-neuron chip, run the bitstream on digits that were held out, and count the points lost.
#
# Needs `pip install -e '.[notebook]'`. About 15 s.

# %%
from collections import OrderedDict

import numpy as np
import rich
import torch
from IPython.display import Image, display
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from snnmap import compile_model
from snnmap.convert import ConvertOptions, convert_ann, sweep_steps
from snnmap.lif.program import unpack
from snnmap.report import draw_steps, layer_error_table, make_table, measure_occupancy, occupancy_table, step_table
from snnmap.train import TrainOptions, train_model

torch.set_num_threads(1)  # the layers are small: a second thread would mostly wait
_ = torch.manual_seed(0)

# %% [markdown]
# ## Train
#
# 1797 images of 8 x 8 pixels, grey values from 0 to 1; a fifth is held out.

# %%
images, digits = load_digits(return_X_y=True)
parts = train_test_split(images / 16, digits, test_size=0.2, random_state=0, stratify=digits)
train_images, test_images, train_digits, test_digits = parts
model = nn.Sequential(
    OrderedDict(
        linear1=nn.Linear(64, 64),
        relu1=nn.ReLU(),
        linear2=nn.Linear(64, 32),
        relu2=nn.ReLU(),
        linear3=nn.Linear(32, 10),
    )
)
samples = TensorDataset(torch.tensor(train_images, dtype=torch.float32), torch.tensor(train_digits))
options = TrainOptions(n_epochs=40, learning_rate=5e-3, weight_decay=1e-2)
history = train_model(model, DataLoader(samples, 64, shuffle=True), options=options, progress=False)
model.eval()
with torch.no_grad():
    ann_classes = model(torch.tensor(test_images, dtype=torch.float32)).argmax(dim=1).numpy()
ann_accuracy = float((ann_classes == test_digits).mean())
print(f"accuracy of the ReLU network on {len(test_digits)} held-out digits: {ann_accuracy:.2%}")

# %% [markdown]
# ## How many steps?
#
# A pixel is sent as a number of spikes spread over T steps, and a neuron's spikes over that time stand for its activation. More
# steps are finer and cost more synaptic operations (a spike arriving at a neuron). Weights are balanced, and each layer's mean
# error taken back, on calibration images: some hundreds of those that were trained on. All of this is the network in float64,
# before the chip.

# %%
rows = sweep_steps(model, train_images[:500], test_images, test_digits, n_steps=(1, 2, 4, 8, 16))
rich.print(step_table(rows))
rich.print(layer_error_table(rows))
display(Image(draw_steps(rows), width=900))

# %% [markdown]
# ## To the chip
#
# Eight steps are enough. The conversion brings its calibration images along, on which the quantiser sees how large potentials
# become. A ReLU that is off sinks ever lower; the build lets its potential saturate 16 thresholds below zero, which leaves finer
# steps for the weights.

# %%
conversion = convert_ann(model, train_images[:500], options=ConvertOptions(n_steps=8))
artifacts = compile_model(conversion, "generic-4096")
rich.print(occupancy_table(measure_occupancy(unpack(artifacts.image))))
print(f"{len(artifacts.bitstream)} bytes, {len(artifacts.report.errors)} violations of design rules")
print(artifacts.comparison)

# %% [markdown]
# The build ran the image, decoded from the bytes, beside the network and the ReLU network that it was converted from, on the
# calibration images. Spikes come in another order after rounding to 8 bits, so that counts of single steps differ; rates, values
# and classes hardly do.

# %% [markdown]
# ## Run the bitstream
#
# `encode` gives the spike counts for images, `run` runs the bitstream on the bit-exact simulator of the chip, `read` takes the
# classes out of the outputs' potentials.

# %%
potentials = artifacts.run(conversion.encode(test_images))["output"]
classes = conversion.read(potentials)
chip_accuracy = float((classes == test_digits).mean())
points_lost = 100 * (ann_accuracy - chip_accuracy)
float_accuracy = next(row.score.accuracy for row in rows if row.n_steps == 8)
stages = (("ReLU network", ann_accuracy), ("LIF network, T = 8", float_accuracy), ("bitstream", chip_accuracy))
rich.print(make_table("held-out digits", ("stage", "accuracy#"), [(name, f"{share:.2%}") for name, share in stages]))
print(f"points lost on the chip: {points_lost:.2f}; same class as the ReLU network: {np.mean(classes == ann_classes):.2%}")

# %% [markdown]
# ## What must hold

# %%
assert ann_accuracy >= 0.95
assert points_lost <= 1.0
assert not artifacts.report.errors
assert artifacts.verification.n_mismatches == 0

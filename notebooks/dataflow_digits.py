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
# # A digits CNN as a pipeline of templates
#
# A convolutional network is trained, quantised to 8 bits, and gets hardware of its own for every layer: templates, tuned in
# parallelism and buffers within a budget. Shown here:
#
# 1. train a small CNN on scikit-learn's digits, export it to ONNX, quantise it with onnxruntime's tool;
# 2. build a pipeline of 60 multipliers: what each layer is, does and costs;
# 3. simulate it in time: it repeats every interval and never stalls, and with one word less in a buffer it does;
# 4. simulate it in values: every tensor equals onnxruntime's int8;
# 5. more multipliers, and the last layers on one unit.
#
# Needs `pip install -e '.[notebook,crossbar]'`. About 15 s.

# %%
import warnings
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import onnx
import onnxruntime
import torch
from IPython.display import HTML, Image, display
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from snnmap.core.html import to_html
from snnmap.dataflow import (
    DeadlockError,
    PipelineOptions,
    build_pipeline,
    find_differences,
    format_pipeline,
    simulate_timing,
    simulate_values,
)
from snnmap.dataflow.report import draw_pipeline, draw_timeline
from snnmap.frontends.onnx import quantise_model, read_layer_graph

torch.set_num_threads(1)
_ = torch.manual_seed(0)

# %% [markdown]
# ## Train, export, quantise

# %%
images, digits = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
train_images, test_images, train_digits, test_digits = train_test_split(images, digits, test_size=0.2, random_state=0)
net = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
    nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.ReLU(),
    nn.Conv2d(16, 32, 1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10),
)  # fmt: skip
optimiser = torch.optim.Adam(net.parameters(), 3e-3)
for _ in range(12):
    for part in torch.randperm(len(train_images)).split(64):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(net(torch.tensor(train_images)[part]), torch.tensor(train_digits)[part])
        torch.autograd.backward(loss)
        optimiser.step()
net.eval()
with warnings.catch_warnings(), BytesIO() as stream:
    warnings.simplefilter("ignore")
    dynamic = {"x": {0: "n"}, "y": {0: "n"}}
    torch.onnx.export(
        net, (torch.rand(1, 1, 8, 8),), stream, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=dynamic
    )
    floats = onnx.load_from_string(stream.getvalue())
quantised = quantise_model(floats, train_images[:200])

# %% [markdown]
# ## Build
#
# The slowest layer is raised until the multipliers end; buffers get the words that they hold in the steady state.

# %%
graph = read_layer_graph(quantised)
pipeline = build_pipeline(graph, "dsp-256", options=PipelineOptions(multipliers=60))
simulation = simulate_timing(pipeline)
print(format_pipeline(pipeline, simulation))
display(HTML(to_html(draw_pipeline(pipeline))))

# %% [markdown]
# ## Time
#
# Sample after sample, dark and light: a stage starts as soon as its first words are there.

# %%
display(Image(draw_timeline(pipeline, simulation)))


def shorten(buffer):
    """Tell what a run says of a buffer of one word less."""
    try:
        run = simulate_timing(pipeline, n_samples=6, depths={buffer.name: buffer.depth - 1})
    except DeadlockError:
        return "deadlock"
    return f"{run.blocked_ever[buffer.name]} cycles of stalls, {run.interval} a sample"


shortened = {buffer.name: shorten(buffer) for buffer in pipeline.buffers}
for name, told in shortened.items():
    print(f"{name:60} {told}")

# %% [markdown]
# ## Values
#
# From the packed weights, added up word by word as the stages do, beside onnxruntime and the layer graph's own run.

# %%
differences = find_differences(pipeline, test_images)
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.x64quantprecision", "1")
session = onnxruntime.InferenceSession(quantised.SerializeToString(), options, providers=["CPUExecutionProvider"])
(wanted,) = session.run(None, {"x": test_images})
levels = simulate_values(pipeline, test_images)[pipeline.network.outputs[0]].reshape(len(test_images), -1)
accuracies = {
    "onnxruntime, int8": (wanted.argmax(1) == test_digits).mean(),
    "the pipeline": (levels.argmax(1) == test_digits).mean(),
}
print(sum(differences.values()), "values differ in", len(differences), "tensors")
print({name: f"{accuracy:.2%}" for name, accuracy in accuracies.items()})

# %% [markdown]
# ## More multipliers, and one unit for the last layers

# %%
counts = [10, 15, 20, 30, 40, 60, 80, 120, 160, 240]
spatial = [build_pipeline(graph, "dsp-256", options=PipelineOptions(multipliers=count)) for count in counts]
mixed = [build_pipeline(graph, "dsp-256", options=PipelineOptions(multipliers=count, cut="auto")) for count in counts]
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.loglog(counts, [one.interval for one in spatial], marker="o", label="every layer has hardware of its own")
axes.loglog(counts, [one.interval for one in mixed], marker="s", label=f"from '{mixed[0].unit.stages[0].layer.name}' on one unit")
axes.loglog(counts, [one.bound for one in spatial], color="grey", linestyle=":", label="all multipliers in every cycle")
axes.set(xlabel="multipliers", ylabel="cycles a sample")
axes.legend(fontsize=7)
plt.show()

# %%
assert simulation.is_steady
assert simulation.stalls == 0
assert all(told == "deadlock" or not told.startswith("0 ") for told in shortened.values())
assert sum(differences.values()) == 0
assert accuracies["the pipeline"] == accuracies["onnxruntime, int8"]
assert all(one.interval >= one.bound for one in spatial)

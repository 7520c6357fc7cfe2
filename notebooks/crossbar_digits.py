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
# # A digits CNN on analog crossbars
#
# A convolutional network is trained, quantised to 8 bits, compiled for an accelerator whose cores multiply in analog crossbars,
# and run from its bytes. Shown here:
#
# 1. train a small CNN on scikit-learn's digits, export it to ONNX, quantise it with onnxruntime's tool;
# 2. compile it: which elements of the crossbars hold which layer, how full they are, what a sample costs;
# 3. run the bytes: every tensor equals onnxruntime's int8, and the accuracy is that of the quantised network;
# 4. run them again with what analog parts do: ADCs of fewer bits, and noise;
# 5. the worked example: two convolutions in 22 elements of 16 x 4 weights.
#
# Needs `pip install -e '.[notebook,crossbar]'`. About 15 s.

# %%
import warnings
from dataclasses import replace
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import onnx
import onnxruntime
import torch
from IPython.display import SVG, display
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from snnmap.crossbar import compile_graph, find_differences, load_architecture
from snnmap.crossbar.executor import Analog
from snnmap.crossbar.report import draw_crossbar
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
# ## Compile
#
# Sixteen cores of 128 x 128 cells, made of elements of 16 x 4 that switches join. A depthwise filter takes one
# column of one element, so that its elements are mostly empty.

# %%
built = compile_graph(read_layer_graph(quantised), "grid-128")
print(built.summary)
display(SVG(draw_crossbar(built.mapped)))

# %% [markdown]
# ## Run the bytes
#
# Beside the layer graph's own run, in every tensor; and beside onnxruntime, whose products saturate on some processors unless
# told not to.

# %%
differences = find_differences(built, test_images)
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.x64quantprecision", "1")
session = onnxruntime.InferenceSession(quantised.SerializeToString(), options, providers=["CPUExecutionProvider"])
(wanted,) = session.run(None, {"x": test_images})
output = next(tensor for tensor in built.image.tensors if tensor.role == 2)


def classify(numerics=None):
    """Give the outputs of the bytes in the model's units."""
    levels = built.run(test_images, numerics=numerics)[output.name]
    return built.image.to_units(output.name, levels).reshape(len(test_images), -1)


exact = classify()
with torch.no_grad():
    trained = net(torch.tensor(test_images)).numpy()
accuracies = {
    "as trained": (trained.argmax(1) == test_digits).mean(),
    "onnxruntime, int8": (wanted.argmax(1) == test_digits).mean(),
    "the bytes": (exact.argmax(1) == test_digits).mean(),
}
print(sum(differences.values()), "values differ in", len(differences), "tensors")
print({name: f"{accuracy:.2%}" for name, accuracy in accuracies.items()})

# %% [markdown]
# ## With analog parts
#
# A chain of 128 rows of 8-bit weights has sums of 23 bits. What do ADCs of fewer bits, and noise before them, cost?

# %%
chip = load_architecture("grid-128")
bits, noise = [6, 8, 10, 12, 14, 16], [0.0, 1.0]
curves = {
    level: [
        (
            compile_graph(read_layer_graph(quantised), replace(chip, converters=replace(chip.converters, adc_bits=count)))
            .run(test_images, numerics=Analog(noise_lsb=level))[output.name]
            .reshape(len(test_images), -1)
            .argmax(1)
            == test_digits
        ).mean()
        for count in bits
    ]
    for level in noise
}
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for level, curve in curves.items():
    axes.plot(bits, np.array(curve) * 100, marker="o", label=f"noise of {level:g} steps")
axes.axhline(accuracies["the bytes"] * 100, color="grey", linestyle=":", label="exact")
axes.set(xlabel="bits of an ADC", ylabel="held-out accuracy, %")
axes.legend()
plt.show()

# %% [markdown]
# ## The worked example
#
# 13 x 64 inputs, 16 filters 4 x 4 at stride 2, 8 filters 3 x 3: 155 and 87 windows, 22 elements of 16 x 4 without an empty cell.

# %%
rng = np.random.default_rng(0)
arrays = {
    "xs": np.float32(1 / 64), "xz": np.uint8(128), "ys": np.float32(0.05), "yz": np.uint8(0),
    "ws": np.float32(0.01), "wz": np.int8(0),
    "w1": rng.integers(-127, 128, (16, 1, 4, 4)).astype(np.int8), "w2": rng.integers(-127, 128, (8, 16, 3, 3)).astype(np.int8),
}  # fmt: skip
nodes = [
    helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"], name="quantise"),
    helper.make_node("QLinearConv", ["q", "xs", "xz", "w1", "ws", "wz", "ys", "yz"], ["a"], name="conv1", strides=[2, 2]),
    helper.make_node("QLinearConv", ["a", "ys", "yz", "w2", "ws", "wz", "ys", "yz"], ["b"], name="conv2"),
    helper.make_node("DequantizeLinear", ["b", "ys", "yz"], ["y"], name="dequantise"),
]
given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 13, 64])
found = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8, 3, 29])
constants = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
graph = helper.make_graph(nodes, "example", [given], [found], initializer=constants)
example = compile_graph(
    read_layer_graph(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)), "example-16x4"
)
print(example.summary)
display(SVG(draw_crossbar(example.mapped)))

# %%
assert sum(differences.values()) == 0
assert np.array_equal(exact, wanted)
assert accuracies["the bytes"] > accuracies["as trained"] - 0.02
assert curves[0.0][-1] > 0.9
assert sum(tile.n_elements for tile in example.mapped.tiles) == 22

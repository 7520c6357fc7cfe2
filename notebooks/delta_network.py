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
# # A delta network, from events to the chip
#
# A small convolutional network reads digits from an event camera. From step to step its input changes little, and training
# makes its layers change less still. Shown here:
#
# 1. images become event streams, and these histograms of the last events;
# 2. a dense network is trained, then made sparse: masks, learned steps, and a penalty on what synapses carry;
# 3. the multiply-accumulates are counted, layer by layer;
# 4. `DeltaStream` runs a stream and computes only what changes, with the same result;
# 5. the sparse network is mapped to a chip, and its bitstream run.
#
# Needs `pip install -e '.[notebook]'`. About half a minute.

# %%
import matplotlib.pyplot as plt
import numpy as np
import rich
import torch
from sklearn.datasets import load_digits
from torch import nn

from snnmap import compile_model
from snnmap.convert import ConvertOptions, convert_ann
from snnmap.delta import DeltaStream
from snnmap.events import HistogramOptions, Saccades, histogram_frames, simulate_saccades
from snnmap.nn import DeltaCounter, SigmaDeltaQuantiser, SynapticSignals, insert_delta, mask_layers, run_frames
from snnmap.report import make_table

torch.set_num_threads(1)  # the layers are small: a second thread would mostly wait
_ = torch.manual_seed(0)

# %% [markdown]
# ## Events
#
# scikit-learn's digits, enlarged to 14 by 14 pixels, are seen by a simulated event camera of 16 by 16 in three saccades, as
# N-MNIST was recorded. A frame is the histogram of the last 500 events, one channel for each polarity; the next frame follows
# 50 events later. (`snnmap.events.read_events` reads the files of real cameras.)

# %%
images, labels = load_digits(return_X_y=True)
enlarged = nn.functional.interpolate(torch.from_numpy(images).view(-1, 1, 8, 8) / 16, size=(14, 14), mode="bilinear")[:, 0]
saccades = Saccades(shape=(16, 16), amplitude_px=2.0)
streams = [simulate_saccades(image, saccades, seed=number) for number, image in enumerate(enlarged.numpy())]
N_FRAMES = 8
window = HistogramOptions(tau_events=500, nu_events=50, first_events=500, scale=8.0)
clips = torch.from_numpy(np.stack([histogram_frames(stream[: 500 + 50 * (N_FRAMES - 1)], window) for stream in streams]))
digits = torch.from_numpy(labels)
train, test = torch.randperm(len(digits)).split([1300, len(digits) - 1300])
print(f"{np.mean([len(stream) for stream in streams]):.0f} events a stream; clips {tuple(clips.shape)}")

figure, axes = plt.subplots(1, N_FRAMES, figsize=(12, 1.8))
for axis, frame in zip(axes, clips[7], strict=True):
    axis.imshow((frame[1] - frame[0]).numpy(), cmap="RdBu", vmin=-1, vmax=1)
    axis.axis("off")

# %% [markdown]
# ## A dense network


# %%
def train_model(model: nn.Module, n_epochs: int, eta: float) -> None:
    """Minimise the classification loss and eta times the temporal difference of the synaptic signals."""
    steps = [parameter for name, parameter in model.named_parameters() if name.endswith("log_step")]
    others = [parameter for name, parameter in model.named_parameters() if not name.endswith("log_step")]
    optimiser = torch.optim.Adam([{"params": others}, {"params": steps, "lr": 0.1}], lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_epochs, 3e-4)
    model.train()
    for _ in range(n_epochs):
        for chosen in train[torch.randperm(len(train))].split(50):
            with SynapticSignals(model, n_steps=N_FRAMES) as signals:
                scores = run_frames(model, clips[chosen])
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), digits[chosen].repeat_interleave(N_FRAMES))
            optimiser.zero_grad()
            (loss + eta * signals.tdss()).backward()
            optimiser.step()
        schedule.step()
    model.eval()


def measure(model: nn.Module) -> tuple[float, DeltaCounter]:
    """Give the accuracy on test streams, by their frames' mean log-probabilities, and the count of work."""
    with torch.no_grad(), DeltaCounter(model, n_steps=N_FRAMES) as counter:
        scores = run_frames(model, clips[test]).log_softmax(-1).mean(1)
    return float((scores.argmax(1) == digits[test]).float().mean()), counter


dense = nn.Sequential(
    *[nn.Conv2d(2, 8, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()],
    *[nn.Flatten(), nn.Linear(256, 10)],
)
train_model(dense, 12, eta=0.0)
dense_accuracy, dense_work = measure(dense)
print(f"accuracy on {len(test)} test streams: {dense_accuracy:.2%}")
print(dense_work.table())

# %% [markdown]
# ## A sparse one
#
# `mask_layers` gives every weight a mask of its own, from the same parameter. `SigmaDeltaQuantiser` rounds what a layer is given
# to steps: what does not leave its step sends nothing. Its macro-grad lets the penalty enlarge the steps, and no step becomes
# smaller than an eighth, so that all levels can be sent as spikes later.


# %%
def make_quantiser(_path: str = "") -> SigmaDeltaQuantiser:
    return SigmaDeltaQuantiser(step=1 / 8, least_step=1 / 8)


sparse = nn.Sequential(make_quantiser(), insert_delta(mask_layers(dense), make=make_quantiser))
for eta in (10.0, 40.0):
    train_model(sparse, 8, eta)
sparse_accuracy, sparse_work = measure(sparse)
print(f"accuracy on {len(test)} test streams: {sparse_accuracy:.2%}")
print(sparse_work.table())
saving = sparse_work.total().n_macs_dense / sparse_work.total().n_macs
print(f"multiply-accumulates: {saving:.1f} times fewer than dense, the whole first frame of each stream included")

# %% [markdown]
# ## Stream
#
# `DeltaStream` keeps each layer's state and adds what the changed values change. It counts what it executes, which is what was
# counted above. (Its time against dense torch is measured by `benchmarks/delta_streaming.py`, on networks large enough for it.)

# %%
stream = DeltaStream(sparse, clips[0, :1])
largest_difference, n_executed = 0.0, 0
some = clips[test[:20]]
for clip in some:
    stream.reset()
    for frame in clip:
        with torch.no_grad():
            expected = sparse(frame[None])
        largest_difference = max(largest_difference, float((stream.step(frame[None]) - expected).abs().max()))
    n_executed += sum(layer.n_macs for layer in stream.counts())
with torch.no_grad(), DeltaCounter(sparse, n_steps=N_FRAMES) as counter:
    run_frames(sparse, some)
print(f"outputs differ by at most {largest_difference:.1e}; {n_executed} executed, {counter.total().n_macs} counted")

# %% [markdown]
# ## To the chip
#
# The chip presents each frame for T steps: a layer's step is its neurons' threshold, a level is a spike count, and only the
# synapses that the masks leave are stored. What delta inference saves is not what the chip saves: `docs/delta_chip.md` says why.
# The input's own quantiser is not a neuron's: frames are rounded before they are sent.

# %%
with torch.no_grad():
    frames = sparse[0](clips[:, -1]).double().numpy()
options = ConvertOptions(n_steps=4, overshoot="hold", input_max=float(frames.max()))
conversion = convert_ann(sparse[1].double(), frames[train[:300]], options=options)
artifacts = compile_model(conversion, "generic-4096")
classes = conversion.read(artifacts.run(conversion.encode(frames[test]))["output"])
with torch.no_grad():
    torch_classes = sparse[1](torch.from_numpy(frames[test])).argmax(1).numpy()
agreement = float((classes == torch_classes).mean())
chip_accuracy, frame_accuracy = (float((found == labels[test]).mean()) for found in (classes, torch_classes))
rows = [
    ("dense network, 8 frames", f"{dense_accuracy:.2%}"),
    ("sparse network, 8 frames", f"{sparse_accuracy:.2%}"),
    ("sparse network, last frame alone", f"{frame_accuracy:.2%}"),
    ("bitstream, last frame alone", f"{chip_accuracy:.2%}"),
]
rich.print(make_table("test streams", ("stage", "accuracy#"), rows))
print(f"the bitstream decides as the sparse network on {agreement:.2%} of the frames")

# %% [markdown]
# ## What must hold

# %%
assert dense_accuracy >= 0.9
assert sparse_accuracy >= dense_accuracy - 0.02
assert saving >= 8.0
assert largest_difference <= 1e-4
assert abs(n_executed - counter.total().n_macs) <= 0.001 * n_executed
assert agreement >= 0.95
assert not artifacts.report.errors

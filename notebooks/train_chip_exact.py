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
# # Train chip-exact
#
# A recurrent network learns to tell nine speakers apart by how they say two vowels, and is mapped to XyloAudio 3. Shown here:
#
# 1. real utterances of different lengths become spike counts;
# 2. a float LIF network is trained on them;
# 3. `to_chip_exact` takes it into the chip's integers, where training goes on;
# 4. the bitstream does what that model does: every spike and every potential is compared.
#
# Needs `pip install -e '.[notebook]'` and a package index, for the data. About 20 s on two cores.

# %%
import sys
from collections import OrderedDict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import rich
import torch
from IPython.display import Image, display
from torch import nn
from torch.utils.data import DataLoader

import snnmap
from snnmap.nn import LIF, LeakyIntegrator, Readout, Surrogate, collate_sequences
from snnmap.report import draw_run, lag_table, make_table
from snnmap.train import TrainOptions, score_model, to_chip_exact, train_model

torch.set_num_threads(1)  # the layers are small: a second thread would mostly wait
_ = torch.manual_seed(0)
CHIP = "xylo-audio-3"

# %% [markdown]
# ## The data
#
# JapaneseVowels (Kudo, Toyama and Shimbo 1999, UCI repository, CC BY 4.0): 270 utterances to train on and 370 to test on, each
# 7 to 29 frames of 12 LPC cepstrum coefficients. The wheel of the package `aeon` holds them; `benchmarks/datasets.py` takes
# them out of it, once, into `build/data`.

# %%
ROOT = Path(snnmap.__file__).parents[1]  # the clone that snnmap is installed from
sys.path.insert(0, str(ROOT / "benchmarks"))
import datasets  # noqa: E402

datasets.FOLDER = ROOT / "build" / "data"
utterances, speakers = datasets.read_japanese_vowels("TRAIN")
test_utterances, test_speakers = datasets.read_japanese_vowels("TEST")
print(
    f"{len(utterances)} + {len(test_utterances)} utterances, {utterances[0].shape[1]} channels, {np.ptp(speakers) + 1} speakers"
)

# %% [markdown]
# A channel of the chip takes 0 to 15 spikes a step. Each coefficient's range over the training data becomes that, and a frame
# becomes a step. Utterances are padded with silence; `Readout("last", settle_steps=3)` reads each one three steps after its own
# end, wherever that is. Training utterances are cut to pieces of 60 to 100 % and their counts are jittered, else 270 of them
# are learnt by heart.

# %%
MOST, SETTLE = 15, 3
low, high = np.min(np.concatenate(utterances), axis=0), np.max(np.concatenate(utterances), axis=0)
collate = collate_sequences(settle_steps=SETTLE)


def encode(utterance):
    return torch.tensor(np.rint(MOST * np.clip((utterance - low) / (high - low), 0, 1)), dtype=torch.float32)


def vary(samples):
    pieces = []
    for counts, speaker in samples:
        length = len(counts) - int(torch.rand(1) * 0.4 * len(counts))
        start = int(torch.randint(0, len(counts) - length + 1, (1,)))
        noise = torch.randn(length, counts.shape[1]) + 0.5 * torch.randn(counts.shape[1])
        pieces.append(((counts[start : start + length] + noise).round().clamp(0, MOST), speaker))
    return collate(pieces)


train = [(encode(utterance), int(speaker)) for utterance, speaker in zip(utterances, speakers, strict=True)]
test = [(encode(utterance), int(speaker)) for utterance, speaker in zip(test_utterances, test_speakers, strict=True)]
loader = DataLoader(train, 32, shuffle=True, collate_fn=vary)
known, _, _ = collate(train)
counts, labels, lengths = collate(test)
print("test counts", tuple(counts.shape), "lengths", int(lengths.min()), "to", int(lengths.max()))

# %% [markdown]
# ## Train in float
#
# Two LIF layers, the second recurrent, and a leaky integrator for each speaker: `torch.nn.Linear` and `snnmap.nn` layers. A
# decay is `1 - 2**-dash`, as the chip codes it.


# %%
def make_linear(n_pre, n_post, gain):
    layer = nn.Linear(n_pre, n_post, bias=False)
    nn.init.normal_(layer.weight, std=gain / n_pre**0.5)
    return layer


surrogate = Surrogate(window=0.5)
recurrent = LIF(96, dash_syn=1, dash_mem=3, surrogate=surrogate, recurrent=True)
nn.init.normal_(recurrent.recurrent_weight, std=0.02)
model = nn.Sequential(
    OrderedDict(
        feed=make_linear(12, 96, 0.3),
        first=LIF(96, dash_syn=1, dash_mem=2, surrogate=surrogate),
        drop_first=nn.Dropout(0.3),
        between=make_linear(96, 96, 0.6),
        second=recurrent,
        drop_second=nn.Dropout(0.3),
        out=make_linear(96, 9, 0.3),
        speakers=LeakyIntegrator(9, dash_syn=1, dash_mem=5),
    )
)
readout = Readout("last", settle_steps=SETTLE)
options = TrainOptions(n_epochs=80, learning_rate=5e-3, weight_decay=1e-2, label_smoothing=0.1)
history = train_model(model, loader, readout=readout, options=options, progress=False)

# %% [markdown]
# ## Train on in the chip's integers
#
# `to_chip_exact` quantises the model and gives it back as layers whose forward pass is the chip's integer arithmetic. That copy
# is trained on for some epochs at a lower learning rate, its gradients passing straight through the rounding. The calibration
# data tell the quantiser how large currents and potentials become.

# %%
batches = [(counts, labels, lengths)]
exact = to_chip_exact(model, CHIP, calibration=known)
accuracy = {
    "float": score_model(model, batches, readout=readout),
    "in the chip's integers": score_model(exact, batches, readout=readout),
}
options = TrainOptions(n_epochs=10, learning_rate=1e-3, label_smoothing=0.1)
further = train_model(exact, loader, readout=readout, options=options, progress=False)
accuracy["trained on in them"] = score_model(exact, batches, readout=readout)

# %%
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.plot([result.loss for result in history + further], color="#1f4e79")
axes.axvline(len(history), color="#b5541c", linestyle=":", label="from here in the chip's integers")
axes.set(xlabel="epoch", ylabel="training loss")
_ = axes.legend(frameon=False)

# %% [markdown]
# ## To the chip
#
# Chip layers are exported without rounding. `verify_model` runs the torch model and the bitstream on all 370 test utterances
# and compares each neuron's count in each step, and the potentials of the readout.

# %%
exact.eval()
artifacts = snnmap.compile_model(exact, CHIP)
verification = snnmap.verify_model(exact, artifacts, counts)
rich.print(lag_table(artifacts.mapped))
print(f"{verification.n_mismatches} of {verification.n_compared} values differ")

# %% [markdown]
# `artifacts.run` runs the bitstream and takes its lag away, so the readout that the model was trained with reads it. The float
# model, built for the chip, is there to compare with: quantising alone does change spikes.

# %%
potentials = torch.tensor(artifacts.run(counts)["output"])
classes = readout(potentials, lengths).argmax(dim=1)
with torch.no_grad():
    model_classes = readout(exact(counts), lengths).argmax(dim=1)
accuracy["run from the bitstream"] = float((classes == labels).double().mean())
from_float = snnmap.verify_model(model, snnmap.compile_model(model, CHIP, calibration=known), counts)
rows = [(name, f"{share:.2%}") for name, share in accuracy.items()]
rich.print(make_table("370 test utterances", ("model", "accuracy#"), rows))
print(f"built from float, {from_float.n_mismatches / from_float.n_compared:.1%} of the values differ; chip-exact, none")

# %% [markdown]
# One utterance on the chip, and how full its memories are. Hidden neurons of both layers share the chip's one hidden
# population.

# %%
display(Image(draw_run(artifacts, counts[0].numpy().astype(np.int64)), width=900))

# %% [markdown]
# ## What must hold

# %%
assert verification.n_mismatches == 0
assert torch.equal(classes, model_classes)
assert accuracy["run from the bitstream"] == accuracy["trained on in them"]
assert accuracy["run from the bitstream"] >= 0.93
assert not artifacts.report.errors

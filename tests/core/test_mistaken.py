"""What is given in the place of a model is named, whatever object of a framework it is."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snnmap
from snnmap.convert import convert_ann
from snnmap.core.errors import FrontendError


class Pairs(torch.utils.data.Dataset[Any]):
    """A data set of a user's own."""


class Loss:
    """As snnTorch's functional losses are: of the framework, and no module."""


Loss.__module__ = "snntorch.functional.loss"
OPTIMISER = torch.optim.SGD(nn.Linear(3, 2).parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "nothing is no model"),
        ((nn.Linear(3, 2), 0.9), "several things"),
        (OPTIMISER, "no torch.nn.Module"),
        (torch.optim.lr_scheduler.StepLR(OPTIMISER, 1), "no torch.nn.Module"),
        (torch.device("cpu"), "no torch.nn.Module"),
        (torch.float32, "no torch.nn.Module"),
        (torch.Generator(), "no torch.nn.Module"),
        (torch.fx.symbolic_trace(nn.Linear(3, 2)).graph, "no torch.nn.Module"),
        (Loss(), "no torch.nn.Module"),
        (Pairs(), "batches of data"),
        (nn.Parameter(torch.zeros(3)), "an array"),
    ],
)
def test_it_is_refused_by_name(given: Any, message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        snnmap.check_model(given, "generic-4096")
    with pytest.raises(FrontendError, match=message):
        convert_ann(given, np.zeros((2, 3)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_torch_makes_of_modules_is_still_converted() -> None:
    linear, images = nn.Linear(3, 2), np.random.default_rng(0).random((4, 3))
    for model in (torch.jit.script(linear), torch.fx.symbolic_trace(linear), torch.export.export(linear, (torch.zeros(1, 3),))):
        assert convert_ann(model, images).network.inputs

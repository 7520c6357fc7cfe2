"""The networks of Rockpool's tutorials on a chip, by `snnmap check --fix`: decisions as the model's."""

import numpy as np
import pytest
import torch

from snnmap import CompileOptions, compile_model, fix_model, load
from snnmap.core.errors import FrontendError

pytest.importorskip("rockpool")
from rockpool_tutorials import TUTORIALS

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", TUTORIALS)
def test_they_reach_a_chip(name: str) -> None:
    tutorial = TUTORIALS[name]
    torch.manual_seed(0)
    np.random.seed(0)
    model = tutorial.make()
    if tutorial.refused:
        with pytest.raises(FrontendError, match=tutorial.refused):
            load(model)
        return
    raster = np.random.default_rng(0).poisson(0.6, (40, 60, tutorial.n_in))
    fixed = fix_model(model, tutorial.chip, calibration=raster)
    drawn = CompileOptions(allow=("SNN6",))  # weights are not trained, so that decisions are close
    comparison = compile_model(fixed.network, tutorial.chip, calibration=raster, options=drawn).comparison
    (port,) = comparison.ports
    assert sum(part.model_spikes for part in comparison.populations if part.fires) > 1000
    assert max(found.agreeing for found in port.agreements) >= 0.9 * comparison.n_samples

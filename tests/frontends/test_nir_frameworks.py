"""What `save` writes, read and run by other frameworks: the same spikes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnmap.core import CsrMatrix
from snnmap.frontends.nir import NirOptions, load, save
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, simulate_network

nir = pytest.importorskip("nir")
torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore")


def trained(seed: int, *, bias: bool = False, recurrent: bool = False) -> Network:
    """Draw a network that both frameworks can hold: reset to zero, one spike a step, one decay a layer (snnTorch)."""
    rng = np.random.default_rng(seed)

    def layer(name: str, size: int, alpha: float) -> Population:
        drive = rng.uniform(-0.1, 0.1, size) if bias and alpha == 0 else 0.0
        return Population.create(
            name, size, alpha=alpha, beta=float(rng.uniform(0.3, 0.95)), bias=drive, reset="value", max_count=1
        )

    def weights(name: str, pre: str, post: str, shape: tuple[int, int], delay_steps: int = 0) -> Projection:
        matrix = CsrMatrix.from_dense(rng.normal(0.15, 0.4, shape).astype(np.float32))
        return Projection(name=name, pre=pre, post=post, weights=matrix, delay_steps=delay_steps)

    wires = [weights("fc1", "in", "lif1", (6, 20)), weights("fc2", "lif1", "lif2", (20, 5))]
    wires += [weights("lif1.w_rec", "lif1", "lif1", (20, 20), delay_steps=1)] if recurrent else []
    return Network(
        name="trained",
        inputs=(InputPort(name="in", size=6),),
        populations=(layer("lif1", 20, float(rng.uniform(0.2, 0.9)) * (not bias)), layer("lif2", 5, 0.0)),
        projections=tuple(wires),
        outputs=(OutputPort(name="out", populations=("lif2",)),),
        dt_s=1e-4,
    )


def run_module(module: Any, raster: np.ndarray) -> np.ndarray:
    state, spikes = None, []
    with torch.no_grad():
        for frame in torch.tensor(raster).float().unbind(1):
            out, state = module(frame, state)
            spikes.append(out.numpy().copy())
    return np.stack(spikes, axis=1)


def open_in_snntorch(path: Path) -> Any:
    importer = pytest.importorskip("snntorch.import_nir")
    return importer.import_from_nir(nir.read(path))


def open_in_norse(path: Path) -> Any:
    norse = pytest.importorskip("norse.torch")
    return norse.from_nir(nir.read(path), dt=1e-4)


READERS = {"snntorch": open_in_snntorch, "norse": open_in_norse}


@pytest.mark.parametrize("framework", READERS)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "biases"])
def test_other_frameworks_count_the_same(framework: str, seed: int, bias: bool, tmp_path: Path) -> None:
    network = trained(seed, bias=bias)
    save(network, tmp_path / "x.nir", precision="float32")
    raster = np.random.default_rng(seed).binomial(1, 0.4, (4, 100, 6))
    expected = simulate_network(network, raster).counts["lif2"]
    found = run_module(READERS[framework](tmp_path / "x.nir"), raster)
    assert expected.sum() > 50
    assert int((found != expected).sum()) == 0


def random_deep(seed: int) -> Network:
    """Draw one to four layers of LIF neurons with or without a synapse of memory, some recurrent."""
    rng = np.random.default_rng(seed)
    depth, size = int(rng.integers(1, 5)), int(rng.integers(5, 16))
    populations, wires, pre, n_pre = [], [], "in", 6
    for number in range(depth):
        name = f"lif{number}"
        alpha = float(rng.uniform(0.2, 0.9)) if rng.random() < 0.5 and number + 1 < depth else 0.0
        populations.append(
            Population.create(name, size, alpha=alpha, beta=float(rng.uniform(0.3, 0.95)), reset="value", max_count=1)
        )
        drawn = rng.normal(0.2, 0.4, (n_pre, size)).astype(np.float32)
        wires.append(Projection(name=f"fc{number}", pre=pre, post=name, weights=CsrMatrix.from_dense(drawn)))
        if alpha and rng.random() < 0.6:
            drawn = rng.normal(0.0, 0.3, (size, size)).astype(np.float32)
            own = CsrMatrix.from_dense(drawn)
            wires.append(Projection(name=f"{name}.w_rec", pre=name, post=name, weights=own, delay_steps=1))
        pre, n_pre = name, size
    return Network(
        name="deep",
        inputs=(InputPort(name="in", size=6),),
        populations=tuple(populations),
        projections=tuple(wires),
        outputs=(OutputPort(name="out", populations=(pre,)),),
        dt_s=1e-4,
    )


@pytest.mark.parametrize("seed", range(50))
def test_norse_runs_random_networks_to_the_same_spikes(seed: int, tmp_path: Path) -> None:
    """The file that Norse runs is read back by us: both ways through NIR, 200 steps."""
    network = random_deep(seed)
    save(network, tmp_path / "x.nir", precision="float32")
    raster = np.random.default_rng(seed).binomial(1, 0.3, (2, 200, 6))
    found = run_module(open_in_norse(tmp_path / "x.nir"), raster)
    read = simulate_network(load(tmp_path / "x.nir"), raster)
    expected = read.counts[network.outputs[0].populations[0]]
    assert expected.sum() > 5
    assert int((found != expected).sum()) == 0


def test_what_norse_exports_is_read_to_the_same_spikes(tmp_path: Path) -> None:
    """Norse writes parameters without a shape; the graph says how many neurons there are."""
    module = pytest.importorskip("norse.torch.module.lif_box")
    torch.manual_seed(0)
    linear = torch.nn.Linear(4, 8)
    neurons = module.LIFBoxCell(module.LIFBoxParameters(tau_mem_inv=torch.tensor(100.0), v_th=torch.tensor(0.06)), dt=1e-3)
    parameters = neurons.p
    graph = nir.NIRGraph(
        {
            "in": nir.Input(np.array([4])),
            "w": nir.Affine(linear.weight.detach().numpy(), linear.bias.detach().numpy()),
            "n": nir.LIF(
                tau=1 / parameters.tau_mem_inv.numpy(), r=np.array(1.0), v_leak=parameters.v_leak.numpy(),
                v_threshold=parameters.v_th.numpy(), v_reset=parameters.v_reset.numpy(),
            ),
            "out": nir.Output(np.array([8])),
        },
        [("in", "w"), ("w", "n"), ("n", "out")],
        type_check=False,
    )  # fmt: skip
    network = load(graph, NirOptions.like("norse", dt_s=1e-3))
    raster = np.random.default_rng(0).binomial(1, 0.5, (3, 80, 4))
    state, spikes = None, []
    with torch.no_grad():
        for frame in torch.tensor(raster).float().unbind(1):
            out, state = neurons(linear(frame), state)
            spikes.append(out.numpy().copy())
    found = simulate_network(network, raster).counts["n"]
    assert found.sum() > 50
    assert int((found != np.stack(spikes, axis=1)).sum()) == 0


def test_importing_the_frontend_imports_no_framework() -> None:
    code = "import sys, snnmap.frontends.nir; print(sorted({'nir', 'h5py', 'torch', 'nirtorch'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert run.stdout.strip() == "[]"

"""The graphs and traces published with the NIR paper; skipped where they are absent."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from snnmap.chip import load_chip
from snnmap.core.errors import FrontendError
from snnmap.frontends.nir import NirOptions, load
from snnmap.lif.drc import check_network
from snnmap.network import Network, simulate_network

DATA = next((p / "shared/data/nir" for p in Path(__file__).resolve().parents if (p / "shared/data/nir").is_dir()), Path("absent"))
pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="shared/data/nir (graphs of the NIR paper) is absent"),
    pytest.mark.filterwarnings("ignore"),
]
pytest.importorskip("nir")
torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("framework", "scale"),
    [("norse", 1.0), ("snntorch", 2.5 / 0.1), ("nengo", 1.0 / 0.1), ("rockpool", 1.0)],
    ids=["norse", "snntorch", "nengo", "rockpool"],
)
def test_each_platforms_rules_give_its_trace(framework: str, scale: float) -> None:
    """``scale``: what the platform's trace counts 1 of the potential as (snnTorch and Nengo normalise)."""
    trace = np.genfromtxt(DATA / f"lif_{framework}.csv", delimiter=",")
    choices = {"reset": "zero"} if framework == "snntorch" else {}  # as its import builds neurons
    network = load(DATA / "lif_norse.nir", NirOptions.like(framework, dt_s=1e-4, **choices))
    run = simulate_network(network, trace[np.newaxis, :, :1].astype(np.int64), states_of=["1"])
    counts, potential = run.counts["1"][0, :, 0], run.potentials["1"][0, :, 0]
    assert np.array_equal(counts > 0, trace[:, 2] > 0)
    assert counts.sum() == 4
    assert np.abs(potential * scale - trace[:, 1]).max() < 1e-6 * np.abs(trace[:, 1]).max()


def test_lava_has_the_input_one_step_late() -> None:
    spikes = np.genfromtxt(DATA / "lif_norse.csv", delimiter=",")[np.newaxis, :, :1].astype(np.int64)
    norse, lava = (load(DATA / "lif_norse.nir", NirOptions.like(name, dt_s=1e-4)) for name in ("norse", "lava"))
    first, late = (simulate_network(network, spikes).counts["1"] for network in (norse, lava))
    assert first.sum() == 4
    assert np.array_equal(first[:, :-1], late[:, 1:])


class SinabsCnn(nn.Module):
    """The same graph in torch, double precision, written from the file's arrays alone."""

    def __init__(self, graph: object) -> None:
        super().__init__()
        nodes = graph.nodes
        self.layers = nn.ModuleList()
        self.thresholds = {}
        for index in range(13):
            node = nodes[str(index)]
            kind = type(node).__name__
            if kind == "Conv2d":
                layer = nn.Conv2d(
                    node.weight.shape[1], node.weight.shape[0], node.weight.shape[2:], tuple(node.stride), tuple(node.padding)
                )
                layer.weight.data, layer.bias.data = torch.tensor(node.weight), torch.tensor(node.bias)
            elif kind == "Affine":
                layer = nn.Linear(node.weight.shape[1], node.weight.shape[0])
                layer.weight.data, layer.bias.data = torch.tensor(node.weight), torch.tensor(node.bias)
            elif kind == "SumPool2d":
                layer = nn.LPPool2d(1, tuple(node.kernel_size), tuple(node.stride))
            elif kind == "Flatten":
                layer = nn.Flatten()
            else:
                layer = nn.Identity()
                self.thresholds[index] = torch.tensor(node.v_threshold).double()
            self.layers.append(layer)
        self.double()

    @torch.no_grad()
    def run(self, raster: np.ndarray) -> dict[int, np.ndarray]:
        v = {index: torch.zeros(threshold.shape).double() for index, threshold in self.thresholds.items()}
        total = {index: [] for index in v}
        for frame in raster:
            x = torch.tensor(frame.reshape(1, 2, 34, 34)).double()
            for index, layer in enumerate(self.layers):
                x = layer(x)
                if index in v:
                    u = v[index] + x[0]
                    spikes = torch.where(u >= self.thresholds[index], torch.floor(u / self.thresholds[index]), 0.0)
                    v[index] = u - spikes * self.thresholds[index]
                    x = spikes.unsqueeze(0)
                    total[index].append(spikes.flatten().numpy().copy())
        return {index: np.array(counts) for index, counts in total.items()}


def test_the_convolutional_network_counts_as_in_torch() -> None:
    import nir

    start = time.perf_counter()
    network = load(DATA / "cnn_sinabs.nir", NirOptions.like("sinabs", floor="none"))
    seconds = time.perf_counter() - start
    assert sum(population.size for population in network.populations) == 8970
    assert network.dt_s == 0
    assert sum(projection.weights.nnz for projection in network.projections) == 1_122_848
    assert seconds < 10
    raster = np.random.default_rng(0).binomial(1, 0.05, (30, 2 * 34 * 34))
    expected = SinabsCnn(nir.read(DATA / "cnn_sinabs.nir", type_check=False)).run(raster)
    run = simulate_network(network, raster[np.newaxis], counts_of=[p.name for p in network.populations])
    for index, counts in expected.items():
        assert np.array_equal(run.counts[str(index)][0], counts), index
        assert counts.sum() > 0


def braille_in_snntorch() -> tuple[nn.Module, ...]:
    """Give snnTorch's own modules for the nodes; its whole import fails on recurrent graphs with nirtorch 2.6."""
    import nir
    from snntorch.import_nir import _nir_to_snntorch_module as convert

    nodes = nir.read(DATA / "braille_noDelay_bias_zero.nir", type_check=False).nodes
    names = ("fc1", "lif1.lif", "lif1.w_rec", "fc2", "lif2")
    return tuple(convert(nodes[name]).double() for name in names)


def test_the_braille_network_spikes_as_in_snntorch() -> None:
    network = load(
        DATA / "braille_noDelay_bias_zero.nir", NirOptions.like("snntorch", dt_s=1e-4, reset="zero", reset_delay_steps=0)
    )
    fc1, lif1, recurrent, fc2, lif2 = braille_in_snntorch()
    raster = np.random.default_rng(1).binomial(1, 0.05, (8, 256, 12))
    first, second = torch.zeros(8, 38).double(), torch.zeros(8, 7).double()
    state = [torch.zeros(8, 38).double()] * 2 + [torch.zeros(8, 7).double()] * 2
    expected: dict[str, list[np.ndarray]] = {"lif1.lif": [], "lif2": []}
    with torch.no_grad():
        for frame in torch.tensor(raster).double().unbind(1):
            first, *state[:2] = lif1(fc1(frame) + recurrent(first.double()), *state[:2])
            second, *state[2:] = lif2(fc2(first.double()), *state[2:])
            expected["lif1.lif"].append(first.numpy().copy())
            expected["lif2"].append(second.numpy().copy())
    run = simulate_network(network, raster, counts_of=list(expected))
    for name, counts in expected.items():
        found = np.stack(counts, axis=1)
        assert found.sum() > 100
        assert int((run.counts[name] != found).sum()) == 0, name


def test_the_braille_network_meets_the_chip_rules() -> None:
    network = load(
        DATA / "braille_noDelay_bias_zero.nir", NirOptions.like("snntorch", dt_s=1e-4, reset="zero", reset_delay_steps=0)
    )
    assert [projection.delay_steps for projection in network.projections if projection.pre == projection.post] == [1]
    assert "lif1.lif->lif1.lif" in network.provenance["loops without Delay"]
    report = check_network(network, load_chip("xylo-audio-2"))
    text = "\n".join(map(str, report.diagnostics))
    assert "reset" in text
    assert "decay" in text


def test_a_leak_above_the_threshold_fires_without_input() -> None:
    network = load(DATA / "two_lif_neurons.nir", NirOptions.like("norse", dt_s=1e-3, initial_potential="zero"))
    run = simulate_network(network, np.zeros((1, 100, 1), np.int64), counts_of=["lif1", "lif2"])
    v, spikes = 0.0, []
    for _ in range(100):
        v += 0.1 * (1.2 - v)
        spikes.append(int(v > 1.0))
        v = 0.0 if v > 1.0 else v
    assert sum(spikes) == 5
    assert run.counts["lif1"][0, :, 0].tolist() == spikes
    assert run.counts["lif2"].sum() == 0


def test_what_rockpool_exports_gives_its_trace() -> None:
    """Its Output has the shape of a batch and a time, its r is no gain: LIFNeuronTorch adds its input as it is."""
    trace = np.genfromtxt(DATA / "lif_rockpool.csv", delimiter=",")
    network = load(DATA / "lif_rockpool.nir", NirOptions.like("rockpool", dt_s=1e-4))
    name = "1_LIFNeuronTorch"
    run = simulate_network(network, trace[np.newaxis, :, :1].astype(np.int64), states_of=[name])
    assert np.array_equal(run.counts[name][0, :, 0] > 0, trace[:, 2] > 0)
    assert run.counts[name].sum() == 4
    assert np.abs(run.potentials[name][0, :, 0] - trace[:, 1]).max() < 1e-6
    with pytest.raises(FrontendError, match="neither 1 nor what Rockpool's to_nir writes"):
        load(DATA / "lif_rockpool.nir", NirOptions.like("rockpool", dt_s=1e-3))


def test_a_file_is_read_alike_as_path_text_and_graph() -> None:
    import nir

    options = NirOptions.like("norse", dt_s=1e-3, initial_potential="zero")
    graph = nir.read(DATA / "two_lif_neurons.nir")
    networks: list[Network] = [
        load(source, options, name="x") for source in (DATA / "two_lif_neurons.nir", str(DATA / "two_lif_neurons.nir"), graph)
    ]
    assert networks[0] == networks[1] == networks[2]

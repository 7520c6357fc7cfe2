"""The demo's main job: train, check, fold, quantise, write, run, and show that the chip does what was trained."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.table import Table

from snnmap.core import IntArray
from snnmap.demo.digits import Digits, make_model, read_digits, train_digits
from snnmap.lif.bitstream import decode
from snnmap.lif.mapping import folded_counts
from snnmap.lif.program import as_folded_network, unpack
from snnmap.lif.simulator import simulate_image, simulate_quantised
from snnmap.network import Recording, simulate_network
from snnmap.nn import record_counts
from snnmap.pipeline import Artifacts, compile_model
from snnmap.report import Occupancy, draw_run, format_report, make_table, measure_occupancy

__all__ = ["DemoResult", "run_demo", "summary_table"]

CHIP = "xylo-audio-3"
_N_EPOCHS = 150
_N_CALIBRATION = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What the demo measured.

    Attributes:
        accuracy: share of held-out digits read right: trained, folded, quantised, bitstream.
        folded_mismatches: hidden spike counts of folded and trained network that differ, all layers, all held-out digits.
        folded_compared: counts compared.
        latency_steps: steps by which the chip's outputs run behind.
        relays: hidden neurons that are relays.
        occupancy: use of each block.
        spikes_per_sample: mean input, hidden spikes a digit, on the chip.
        synaptic_operations_per_sample: mean weights added to currents a digit, on the chip.
        seconds: wall time of everything.
    """

    accuracy: dict[str, float]
    folded_mismatches: int
    folded_compared: int
    latency_steps: int
    relays: int
    occupancy: tuple[Occupancy, ...]
    spikes_per_sample: dict[str, float]
    synaptic_operations_per_sample: float
    seconds: float

    def to_plain(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return {
            "accuracy": self.accuracy,
            "folded_mismatches": self.folded_mismatches,
            "folded_compared": self.folded_compared,
            "latency_steps": self.latency_steps,
            "relays": self.relays,
            "occupancy": {o.block: {"used": o.used, "capacity": o.capacity} for o in self.occupancy},
            "spikes_per_sample": self.spikes_per_sample,
            "synaptic_operations_per_sample": self.synaptic_operations_per_sample,
            "seconds": self.seconds,
        }


def run_demo(directory: Path, *, seed: int, on_stage: Callable[[str], None]) -> DemoResult:
    """Run the demo and write its files: bitstream, text twin, slot table, picture, report, summary.

    Args:
        directory: for the files.
        seed: of data split, initial weights and training.
        on_stage: called with a line of text as each stage starts.

    Raises:
        OSError: the directory cannot be written.
    """
    start = time.perf_counter()
    on_stage("reading the digits and training 8-96-64r-[64]-10")
    digits, model = read_digits(seed), make_model(seed)
    train_digits(model, digits, n_epochs=_N_EPOCHS, seed=seed)
    model = model.double().eval()
    known, labels = digits.train[:_N_CALIBRATION], digits.train_labels[:_N_CALIBRATION]
    artifacts = compile_model(model, CHIP, calibration=known, labels=labels, on_stage=on_stage)
    on_stage(str(artifacts.comparison))
    on_stage("running the held-out digits on every stage")
    result, picture = _measure(model, artifacts, digits, start)
    on_stage(f"writing {directory}")
    report = format_report(artifacts, inputs=digits.test, labels=digits.test_labels).encode()
    summary = (json.dumps(result.to_plain(), indent=2) + "\n").encode()
    artifacts.write(directory, more={"picture.png": picture, "report.html": report, "summary.json": summary})
    return result


def summary_table(result: DemoResult) -> Table:
    """Show the result as one table."""
    rows = [(f"accuracy, {stage}", f"{share:.2%}") for stage, share in result.accuracy.items()]
    rows += [
        ("folded against trained, differing counts", f"{result.folded_mismatches} of {result.folded_compared}"),
        ("latency", f"{result.latency_steps} steps"),
        ("relays", str(result.relays)),
    ]
    rows += [(f"occupancy, {o.block}", f"{o.used} of {o.capacity} ({o.share:.1%})") for o in result.occupancy]
    rows += [(f"{area} spikes a digit", f"{mean:.1f}") for area, mean in result.spikes_per_sample.items()]
    rows += [
        ("synaptic operations a digit", f"{result.synaptic_operations_per_sample:.0f}"),
        ("seconds", f"{result.seconds:.1f}"),
    ]
    return make_table(f"digits on {CHIP}", ("what", "value#"), rows)


def _measure(model: torch.nn.Module, artifacts: Artifacts, digits: Digits, start: float) -> tuple[DemoResult, bytes]:
    mapped, raster = artifacts.mapped, digits.test
    with record_counts(model) as trained_counts, torch.no_grad():
        trained = model(torch.tensor(raster, dtype=torch.float64)).numpy()
    padded = np.pad(raster, ((0, 0), (0, mapped.latency_steps), (0, 0)))
    folded = simulate_network(as_folded_network(mapped), padded, counts_of=["hidden", "outputs"], states_of=["outputs"])
    readout = mapped.output_ports[0].populations[0]
    quantised = simulate_quantised(artifacts.quantised, raster, states_of=[readout])
    chip = simulate_image(decode(artifacts.bitstream), padded, counts_of=("hidden", "outputs"), states_of=("outputs",))
    if chip.profile is None:
        raise RuntimeError("the simulator counted nothing")
    scale = artifacts.quantised.output_scale
    scores = {
        "trained": trained[:, -1],
        "folded": folded.potentials["outputs"][:, -1],
        "quantised": quantised.potentials[readout][:, -1] / scale,
        "bitstream": chip.potentials["outputs"][:, -1] / scale,
    }
    mismatches, compared = _count_mismatches(trained_counts, folded, artifacts, raster.shape[1])
    n = raster.shape[0]
    result = DemoResult(
        accuracy={name: _accuracy(values, digits.test_labels) for name, values in scores.items()},
        folded_mismatches=mismatches,
        folded_compared=compared,
        latency_steps=mapped.latency_steps,
        relays=mapped.n_relays,
        occupancy=measure_occupancy(unpack(artifacts.image)),
        spikes_per_sample={"input": chip.profile.input_spikes / n, "hidden": chip.profile.hidden_spikes / n},
        synaptic_operations_per_sample=chip.profile.synaptic_operations / n,
        seconds=time.perf_counter() - start,
    )
    return result, draw_run(artifacts, raster[0], label=int(digits.test_labels[0]))


def _count_mismatches(trained: dict[str, torch.Tensor], folded: Recording, artifacts: Artifacts, n_steps: int) -> tuple[int, int]:
    """Compare every hidden layer of the torch module with the folded network, its lag taken away."""
    differing = compared = 0
    for name, counts in trained.items():
        expected: IntArray = counts.numpy().astype(np.int64)
        differing += int((folded_counts(folded, artifacts.mapped, name)[:, :n_steps] != expected).sum())
        compared += expected.size
    return differing, compared


def _accuracy(scores: npt.NDArray[np.float64], labels: IntArray) -> float:
    return float((scores.argmax(axis=1) == labels).mean())

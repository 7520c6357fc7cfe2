"""A program on XyloSim, the chip vendor's own simulator (PyPI ``xylosim``), as an independent judge."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from xylosim.v2 import XyloLayer, XyloSynapse

from snnmap.core import CsrMatrix
from snnmap.lif.program import Program


@dataclass
class XyloRun:
    """Counts and states of one sample, ``(n_steps, n)`` and ``(n_steps, n_synapses, n)``."""

    counts: dict[str, np.ndarray] = field(default_factory=dict)
    potentials: dict[str, np.ndarray] = field(default_factory=dict)
    currents: dict[str, np.ndarray] = field(default_factory=dict)


class XyloChip:
    """A configured layer; keeps every synapse object, to which the layer holds raw pointers."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.synapses = [_synapses(matrices) for _, _, matrices in program.memories]
        hidden, outputs = program.hidden, program.outputs
        self.layer = XyloLayer(
            *self.synapses,
            [[target] if target >= 0 else [] for target in program.alias.tolist()],
            hidden.threshold.tolist(),
            outputs.threshold.tolist(),
            True,
            hidden.bias.tolist(),
            outputs.bias.tolist(),
            program.input_shift,
            program.recurrent_shift,
            program.output_shift,
            hidden.dash_mem.tolist(),
            outputs.dash_mem.tolist(),
            hidden.dash_syn.T.tolist(),
            outputs.dash_syn.T.tolist(),
            "judge",
        )

    def run(self, raster: np.ndarray) -> XyloRun:
        """Run one sample, ``(n_steps, n_inputs)``, from zero states."""
        self.layer.reset_all()
        sent = self.layer.evolve(raster.tolist())
        layer, two = self.layer, self.program.hidden.dash_syn.shape[0] == 2
        hidden_currents = [layer.rec_i_syn, layer.rec_i_syn2] if two else [layer.rec_i_syn]
        return XyloRun(
            counts={"hidden": np.array(layer.rec_recurrent_spikes), "outputs": np.array(sent)},
            potentials={"hidden": np.array(layer.rec_v_mem).T, "outputs": np.array(layer.rec_v_mem_out).T},
            currents={
                "hidden": np.array(hidden_currents).transpose(2, 0, 1),
                "outputs": np.array([layer.rec_i_syn_out]).transpose(2, 0, 1),
            },
        )


def _synapses(matrices: tuple[CsrMatrix, ...]) -> list[list[Any]]:
    rows: list[list[Any]] = [[] for _ in range(matrices[0].shape[0])]
    for synapse, matrix in enumerate(matrices):
        for source, target, weight in zip(matrix.rows.tolist(), matrix.indices.tolist(), matrix.data.tolist(), strict=True):
            rows[source].append(XyloSynapse(target, synapse, weight))
    return rows

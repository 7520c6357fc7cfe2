"""The parts of a network while a frontend collects them: names stay unique, currents that never stop get a source."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from snnmap.core import CsrMatrix, FloatArray
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, SpikeSum
from snnmap.network.network import Reset

__all__ = ["NEVER_REACHED", "NetworkParts"]

NEVER_REACHED = 2**15 - 1
"""Threshold from which on neurons count as a readout that never fires; Rockpool's SynNet sets it for ``output="vmem"``."""


class NetworkParts:
    """Populations, projections and sums read so far; ``reserved`` are names of ports whose size is not known yet."""

    def __init__(self) -> None:
        self.reserved: set[str] = set()
        self.inputs: list[InputPort] = []
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.sums: list[SpikeSum] = []
        self.outputs: list[OutputPort] = []

    def make_name(self, wanted: str) -> str:
        """Return a source name that is not taken yet: the wanted one, with a number where needed."""
        taken = self.reserved | {port.name for port in self.inputs}
        taken |= {population.name for population in self.populations} | {addition.name for addition in self.sums}
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        return name

    def project(
        self, pre: str, post: str, weights: CsrMatrix | npt.ArrayLike, *, synapse: int = 0, delay_steps: int = 0, source: str = ""
    ) -> None:
        """Add weights, ``(n_pre, n_post)``; nothing where all are 0."""
        matrix = weights if isinstance(weights, CsrMatrix) else CsrMatrix.from_dense(np.asarray(weights, np.float64))
        if not matrix.nnz:
            return
        taken = {projection.name for projection in self.projections}
        name = f"{pre}->{post}" + (f"[{synapse}]" if synapse else "")
        while name in taken:
            name += "'"
        self.projections.append(
            Projection(name=name, pre=pre, post=post, weights=matrix, synapse=synapse, delay_steps=delay_steps, source=source)
        )

    def project_diagonal(
        self, pre: str, post: str, weights: FloatArray, *, synapse: int = 0, delay_steps: int = 0, source: str = ""
    ) -> None:
        """Add one weight from each neuron to the neuron of the same index, ``(size,) float64``."""
        index = np.arange(weights.size)
        matrix = CsrMatrix.from_triplets(index, index, weights, (weights.size, weights.size))
        self.project(pre, post, matrix, synapse=synapse, delay_steps=delay_steps, source=source)

    def hold_currents(self, post: str, currents: FloatArray, *, source: str) -> None:
        """Add the same input to synapses with memory in every step, by one neuron that fires once a step.

        A constant that enters a synapse builds up with the synapse's memory, which no bias of the membrane does.

        Args:
            post: target population.
            currents: ``(n_synapses, size) float64``, input a step.
            source: path of the module in the user's model.
        """
        if not currents.any():
            return
        name = self.make_name(f"{post}.constant")
        others = [population.reset for population in self.populations if np.isfinite(population.threshold).any()]
        reset: Reset = "value" if "value" in others else "subtract"  # of a spike at the threshold they are the same
        self.populations.append(Population.create(name, 1, bias=1.0, threshold=1.0, reset=reset, max_count=1, source=source))
        for synapse, current in enumerate(currents):
            self.project(name, post, current[np.newaxis], synapse=synapse, source=source)

    def add_sum(self, terms: tuple[str, ...], source: str) -> str:
        """Add the sum of the counts of several sources, once; give its name."""
        for known in self.sums:
            if known.terms == terms:
                return known.name
        self.sums.append(SpikeSum(name=self.make_name(f"sum{len(self.sums)}"), terms=terms, source=source))
        return self.sums[-1].name

    def to_network(self, name: str, dt_s: float, provenance: Mapping[str, str]) -> Network:
        """Join the parts."""
        return Network(
            name=name,
            inputs=tuple(self.inputs),
            populations=tuple(self.populations),
            projections=tuple(self.projections),
            outputs=tuple(self.outputs),
            sums=tuple(self.sums),
            dt_s=dt_s,
            provenance=provenance,
        )

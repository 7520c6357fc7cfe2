"""An image on torch tensors, samples side by side, on whatever device torch has: the same numbers as the other engines.

States are integers held as float64, in which sums and products of chip words are exact in any order. The rules are those of the
family that training uses (:class:`snnmap.chip.arithmetic.FloatRules`); where a sum could leave the word on its way, weights are
added one after the other in the chip's order.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snnmap.chip import Chip, MemoryKind
from snnmap.chip.arithmetic import WIDE
from snnmap.core import CsrMatrix, IntArray
from snnmap.core.errors import InputError
from snnmap.lif.program import NeuronCodes, Program
from snnmap.lif.simulator import Run
from snnmap.nn.chip.dynamics import OPS

__all__ = ["torch_engine"]


def torch_engine(device: str = "cpu") -> Callable[[Program, IntArray, Run], None]:
    """Return an engine for :func:`snnmap.simulate_image`.

    Args:
        device: as torch names it, such as ``cuda``.

    Raises:
        InputError: torch has no such device here.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> import snnmap
        >>> image = snnmap.compile_model(network, "xylo-audio-3").image
        >>> snnmap.simulate_image(image, [[1, 3], [0, 0]], engine=torch_engine("cpu")).counts["outputs"][0].tolist()
        [[0, 0], [0, 1]]
    """
    try:
        found = torch.zeros(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # torch's own assertion where it was built without the device
        raise InputError(
            f"torch has no such device: {str(error).splitlines()[0]}",
            where="device",
            measured=device,
            limit="cuda" if torch.cuda.is_available() else "cpu",
            fix="leave it out: snnmap simulate BITSTREAM -i COUNTS --engine torch",
        ) from error

    @torch.no_grad()
    def run_torch(program: Program, raster: IntArray, run: Run) -> None:
        _TorchRun(program, raster, run, found).run()

    return run_torch


class _Memory:
    """Weights of one synapse, and the chip's order of those onto each target."""

    def __init__(self, matrix: CsrMatrix, shift: int, chip: Chip, device: torch.device) -> None:
        count_weight, bits = np.frompyfunc(chip.family.integers.count_weight, 3, 1), chip.bits.state
        amounts = np.asarray(count_weight(matrix.data, shift, bits), np.float64)
        order = np.lexsort((matrix.rows, matrix.indices))  # by target, then ascending source
        starts = np.concatenate([[0], np.cumsum(matrix.column_lengths)])[:-1]
        ranks = np.arange(matrix.nnz) - starts[matrix.indices[order]]
        by_wave = order[np.argsort(ranks, kind="stable")]
        self.waves = [len(wave) for wave in np.split(by_wave, np.cumsum(np.bincount(ranks))[:-1])] if matrix.nnz else []
        self.sources, self.targets = (torch.tensor(values[by_wave], device=device) for values in (matrix.rows, matrix.indices))
        self.amounts = torch.tensor(amounts[by_wave], device=device)
        self.lengths = torch.tensor(matrix.row_lengths, dtype=torch.float64, device=device)
        places = torch.stack([self.targets, self.sources])
        self.signed, self.magnitude = (
            torch.sparse_coo_tensor(places, values, (matrix.shape[1], matrix.shape[0]), check_invariants=True).coalesce()
            for values in (self.amounts, self.amounts.abs())
        )

    def list_waves(self, flagged: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """List sources, targets and amounts of all first weights onto flagged targets, of all second ones, and so on."""
        held = self.sources, self.targets, self.amounts
        parts = zip(*(torch.split(values, self.waves) for values in held), strict=True)
        kept = [(sources, targets, amounts, flagged[targets]) for sources, targets, amounts in parts]
        return [(sources[mask], targets[mask], amounts[mask]) for sources, targets, amounts, mask in kept if mask.any()]


class _Neurons:
    """States of a row of neurons, ``(n_samples, n)`` and ``(n_synapses, n_samples, n)``."""

    def __init__(self, codes: NeuronCodes, chip: Chip, max_count: int, n_samples: int, device: torch.device) -> None:
        def send(values: Any) -> Tensor:
            return torch.tensor(np.asarray(values, np.float64), device=device)

        family, highest = chip.family, float(chip.bits.state_max)
        self.family, self.bits, self.max_count = family, chip.bits.state, max_count
        self.rules = family.build_float_rules(OPS)
        self.limits = (0.0, 1.0, float(max_count), -highest - 1.0, highest)
        self.wide = (*self.limits[:3], -(2.0 ** (WIDE - 1)), 2.0 ** (WIDE - 1) - 1.0)
        self.share_syn = send(1.0 - family.synapse_factors(codes.dash_syn))[:, None]
        self.share_mem = send(1.0 - family.membrane_factors(codes.dash_mem))
        self.bias, self.threshold = send(codes.bias), send(codes.threshold + family.least_firing)
        self.codes = codes
        self.low = np.flatnonzero(codes.threshold + family.least_firing < 1)
        self.currents = torch.zeros((len(codes.dash_syn), n_samples, codes.size), dtype=torch.float64, device=device)
        self.potentials = torch.zeros((n_samples, codes.size), dtype=torch.float64, device=device)
        self.left = torch.zeros((3, n_samples), dtype=torch.int64, device=device)

    def enter(self) -> None:
        self.currents = self.rules.enter(self.currents, self.share_syn, self.limits)

    def receive(self, memories: list[_Memory], counts: Tensor, *, is_counted: bool) -> Tensor:
        """Deliver counts ``(n_samples, n_sources)``; give the synaptic operations of each sample."""
        for current, memory in zip(self.currents, memories, strict=True):
            arriving = torch.sparse.mm(memory.signed, counts.T).T
            reach = current.abs() + torch.sparse.mm(memory.magnitude, counts.T).T
            flagged = (reach > self.limits[4]).any(dim=0)
            if self.family.is_order_free and not is_counted:
                current.copy_(self.rules.add(current, arriving, self.limits))
                continue
            current += torch.where(flagged, 0.0, arriving)
            for sources, targets, amounts in memory.list_waves(flagged) if flagged.any() else ():
                before, amount = current[:, targets], counts[:, sources] * amounts
                after = self.rules.add(before, amount, self.limits)
                current[:, targets] = after
                if is_counted:
                    self.left[0] += (after != self.rules.add(before, amount, self.wide)).sum(dim=1)
        return sum((counts @ memory.lengths for memory in memories), torch.zeros_like(counts[:, 0]))

    def integrate(self, *, is_counted: bool) -> None:
        """Settle the currents and take them into the potentials, up to the spike test."""
        self.currents = self.rules.settle(self.currents, self.share_syn, self.limits)
        inputs = self.potentials, self.share_mem, self.currents.sum(dim=0), self.bias
        self.potentials = self.rules.integrate(*inputs, self.limits)
        if is_counted:
            self.left[1] += (self.potentials != self.rules.integrate(*inputs, self.wide)).sum(dim=1)

    def fire(self, neurons: Tensor, already: Tensor, *, is_counted: bool) -> Tensor:
        """Fire some neurons; give their counts, ``(n_samples, n_fired)``, on top of those that they have already."""
        reached, threshold = self.potentials[:, neurons], self.threshold[neurons]
        spikes = torch.minimum(self.rules.spikes(reached, threshold, self.limits).to(reached), self.max_count - already)
        left = self.rules.reset(reached, spikes, threshold)
        more = self.rules.spikes(left, threshold, self.limits).to(reached) > 0
        counts = already + spikes
        if self.low.size:
            self._fire_low(neurons, already, counts, left, more)
        self.potentials[:, neurons] = left
        if is_counted:
            self.left[2] += more.sum(dim=1)
        return counts

    def _fire_low(self, neurons: Tensor, already: Tensor, counts: Tensor, left: Tensor, more: Tensor) -> None:
        """Fire neurons whose threshold is below 1, for which spikes are no quotient, by the family's integer rule."""
        fire, device = np.frompyfunc(self.family.integers.fire, 5, 2), left.device
        places = np.flatnonzero(np.isin(neurons.cpu().numpy(), self.low))
        slots = neurons.cpu().numpy()[places]
        reached, before = (values.cpu().numpy().astype(np.int64) for values in (self.potentials[:, slots], already[:, places]))
        thresholds = np.broadcast_to(self.codes.threshold[slots], reached.shape)
        found, potentials = fire(reached, thresholds, before, self.max_count, self.bits)
        unbound = fire(reached, thresholds, before, self.max_count, WIDE)[1]
        further = np.asarray(fire(potentials, thresholds, 0, 1, self.bits)[0] > 0) & (reached >= thresholds)
        self.left[1] += torch.tensor(np.asarray(potentials != unbound, np.int64).sum(axis=1), device=device)
        counts[:, places] = torch.tensor(found.astype(np.float64), device=device)
        left[:, places] = torch.tensor(potentials.astype(np.float64), device=device)
        more[:, places] = torch.tensor(further.astype(np.bool_), device=device)


class _TorchRun:
    """All samples of a run."""

    def __init__(self, program: Program, raster: IntArray, run: Run, device: torch.device) -> None:
        chip = program.chip
        self.program, self.recorder, self.is_counted = program, run, run.left is not None
        self.raster = torch.tensor(raster, dtype=torch.float64, device=device)
        self.rows = {
            "hidden": _Neurons(program.hidden, chip, chip.hidden.max_count, len(raster), device),
            "outputs": _Neurons(program.outputs, chip, chip.outputs.max_count, len(raster), device),
        }
        self.memories = {
            kind: [_Memory(matrix, program.memory(kind).shift, chip, device) for matrix in program.memory(kind).weights]
            for kind in MemoryKind
        }
        self.levels = [torch.tensor(level, device=device) for level in _list_levels(program.alias)]
        pairs = [(source, target) for source, target in enumerate(program.alias.tolist()) if target >= 0]
        self.ahead, self.behind = (
            torch.tensor([p for p in pairs if (p[1] > p[0]) == is_ahead], dtype=torch.int64, device=device).reshape(-1, 2).T
            for is_ahead in (True, False)
        )

    def run(self) -> None:
        chip, hidden, outputs = self.program.chip, self.rows["hidden"], self.rows["outputs"]
        delays = {kind: chip.memory(kind).delay_steps for kind in MemoryKind}
        everyone = torch.arange(outputs.codes.size, device=self.raster.device)
        before, counted = torch.zeros_like(hidden.potentials), self.is_counted
        totals = torch.zeros((4, len(self.raster)), dtype=torch.float64, device=self.raster.device)
        for step in range(self.raster.shape[1]):
            hidden.enter()
            outputs.enter()
            arrived = step - delays[MemoryKind.INPUT]
            if arrived >= 0:
                totals[3] += hidden.receive(self.memories[MemoryKind.INPUT], self.raster[:, arrived], is_counted=counted)
            totals[3] += hidden.receive(self.memories[MemoryKind.RECURRENT], before, is_counted=counted)
            now = self._fire_hidden()
            read = before if delays[MemoryKind.OUTPUT] else now
            totals[3] += outputs.receive(self.memories[MemoryKind.OUTPUT], read, is_counted=counted)
            outputs.integrate(is_counted=counted)
            sent = outputs.fire(everyone, torch.zeros_like(outputs.potentials), is_counted=counted)
            totals[:3] += torch.stack([self.raster[:, step].sum(dim=1), now.sum(dim=1), sent.sum(dim=1)])
            self._record(step, {"hidden": now, "outputs": sent})
            before = now
        self.recorder.totals[:] += totals.T.long().cpu().numpy()
        if self.recorder.left is not None:
            self.recorder.left[:] += torch.stack([row.left for row in (hidden, outputs)]).permute(2, 0, 1).cpu().numpy()

    def _fire_hidden(self) -> Tensor:
        """Fire hidden neurons; an alias of a later slot counts before that fires, one of an earlier slot after it has."""
        hidden = self.rows["hidden"]
        hidden.integrate(is_counted=self.is_counted)
        counts, already = (torch.zeros_like(hidden.potentials) for _ in range(2))
        for level in self.levels:
            counts[:, level] = hidden.fire(level, already[:, level], is_counted=self.is_counted)
            already[:, self.ahead[1]] = counts[:, self.ahead[0]]
        repeated = counts[:, self.behind[1]] + counts[:, self.behind[0]]
        if self.is_counted:
            hidden.left[2] += (repeated > hidden.max_count).sum(dim=1)
        counts[:, self.behind[1]] = repeated.clamp(max=hidden.max_count)
        return counts

    def _record(self, step: int, counts: dict[str, Tensor]) -> None:
        for name, row in self.rows.items():
            if name in self.recorder.counts:
                self.recorder.counts[name][:, step] = counts[name].cpu().numpy()
            if name in self.recorder.potentials:
                self.recorder.potentials[name][:, step] = row.potentials.cpu().numpy()
                self.recorder.currents[name][:, step] = row.currents.transpose(0, 1).cpu().numpy()


def _list_levels(alias: IntArray) -> list[IntArray]:
    """List neurons such that each whose counts an earlier slot repeats comes a level behind that."""
    levels = np.zeros(alias.size, np.int64)
    for source, target in enumerate(alias.tolist()):
        if target > source:
            levels[target] = levels[source] + 1
    return [np.flatnonzero(levels == level) for level in range(int(levels.max(initial=-1)) + 1)]

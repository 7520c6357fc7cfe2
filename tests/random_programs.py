"""Random chip programs for the tests of packing, bitstreams and engines."""

from dataclasses import replace

import numpy as np

from snnmap.chip import Chip
from snnmap.core import CsrMatrix
from snnmap.lif.program import NeuronCodes, Program


def random_program(
    chip: Chip,
    rng: np.random.Generator,
    *,
    n_inputs: int,
    n_hidden: int,
    n_outputs: int,
    density: float = 0.3,
    shifts: tuple[int, int, int] = (0, 0, 0),
    threshold: tuple[int, int] = (20, 400),
    with_alias: bool = False,
) -> Program:
    """Draw a program that the chip can hold; ``density`` is the share of non-zero weights."""

    def draw(n_pre: int, n_post: int, sources: range, targets: range, n_synapses: int) -> tuple[CsrMatrix, ...]:
        low, high = chip.bits.weight_range
        matrices = []
        for _ in range(n_synapses):
            dense = np.zeros((n_pre, n_post), np.int64)
            area = dense[sources.start : sources.stop, targets.start : targets.stop]
            area[...] = rng.integers(low, high + 1, area.shape) * (rng.random(area.shape) < density)
            matrices.append(CsrMatrix.from_dense(dense))
        return tuple(matrices)

    def thin(matrices: tuple[CsrMatrix, ...], max_fan_out: int) -> tuple[CsrMatrix, ...]:
        """Drop the last synapses of sources that have more than the chip stores."""
        left = np.full(matrices[0].shape[0], max_fan_out if max_fan_out else 2**31)
        thinned = []
        for matrix in matrices:
            kept = np.arange(matrix.nnz) - matrix.indptr[matrix.rows] < left[matrix.rows]
            thinned.append(CsrMatrix.from_triplets(matrix.rows[kept], matrix.indices[kept], matrix.data[kept], matrix.shape))
            left = left - thinned[-1].row_lengths
        return tuple(thinned)

    def codes(n: int, n_synapses: int, has_bias: bool) -> NeuronCodes:
        return NeuronCodes(
            dash_syn=rng.integers(1, 6, (n_synapses, n)),
            dash_mem=rng.integers(0, 6, n),
            threshold=rng.integers(*threshold, n),
            bias=rng.integers(-5, 6, n) if has_bias else np.zeros(n, np.int64),
        )

    alias = np.full(n_hidden, -1)
    if with_alias:
        chosen = rng.permutation(n_hidden)[: 2 * (n_hidden // 4)].reshape(2, -1)
        alias[chosen[0]] = chosen[1]
    reached, read = chip.inputs.reach.slots(n_hidden), chip.outputs.reach.slots(n_hidden)
    return Program(
        chip=chip,
        input_weights=draw(n_inputs, n_hidden, range(n_inputs), reached, chip.hidden.synapses),
        recurrent_weights=thin(
            draw(n_hidden, n_hidden, range(n_hidden), range(n_hidden), chip.hidden.synapses), chip.recurrent_weights.max_fan_out
        ),
        output_weights=draw(n_hidden, n_outputs, read, range(n_outputs), chip.outputs.synapses),
        input_shift=shifts[0],
        recurrent_shift=shifts[1],
        output_shift=shifts[2],
        hidden=codes(n_hidden, chip.hidden.synapses, chip.hidden.bias),
        outputs=codes(n_outputs, chip.outputs.synapses, chip.outputs.bias),
        alias=alias,
    )


def with_delays(chip: Chip, delay_steps: int) -> Chip:
    """Change a chip's delays of inputs and outputs."""
    return replace(
        chip,
        input_weights=replace(chip.input_weights, delay_steps=delay_steps),
        output_weights=replace(chip.output_weights, delay_steps=delay_steps),
    )

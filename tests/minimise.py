"""Delta debugging of chip programs: the smallest case that still fails (Zeller and Hildebrandt, TSE 28(2), 2002)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from snnmap.chip import MemoryKind
from snnmap.core import CsrMatrix
from snnmap.lif.program import NeuronCodes, Program

Case = tuple[Program, np.ndarray]
Fails = Callable[[Program, np.ndarray], bool]
_PLAIN = {"dash_syn": 1, "dash_mem": 0, "bias": 0}


def minimise(program: Program, raster: np.ndarray, fails: Fails) -> Case:
    """Return a case that fails, of which no single part can be left out without that it passes.

    Parts are samples, steps, hidden and output neurons, channels, stored weights, input counts, aliases, and codes that are
    not at their plainest.

    Args:
        program: of a case that fails.
        raster: ``(n_samples, n_steps, n_inputs)``.
        fails: whether a case does.
    """
    assert fails(program, raster), "the case to make smaller does not fail"
    case: Case = program, raster
    while True:
        before = _measure(case)
        for cut in (_cut_samples, _cut_steps, _cut_neurons, _cut_weights, _cut_counts, _cut_codes):
            case = cut(case, fails)
        if _measure(case) == before:
            return case


def keep_few(parts: Sequence[int], fails: Callable[[list[int]], bool]) -> list[int]:
    """Return parts that fail together, and of which each is needed (``ddmin``)."""
    kept, n_chunks = list(parts), 2
    if fails([]):
        return []
    while len(kept) >= 2:
        chunks = [chunk.tolist() for chunk in np.array_split(np.array(kept), n_chunks)]
        without = [[part for part in kept if part not in set(chunk)] for chunk in chunks]
        smaller = next((rest for rest in without if fails(rest)), None)
        if smaller is not None:
            kept, n_chunks = smaller, max(n_chunks - 1, 2)
        elif n_chunks < len(kept):
            n_chunks = min(2 * n_chunks, len(kept))
        else:
            break
    return kept


def _measure(case: Case) -> tuple[int, ...]:
    """Count the parts of a case."""
    program, raster = case
    matrices = [matrix for _, _, matrices in program.memories for matrix in matrices]
    extra = [
        (getattr(codes, name) != plain).sum() for codes in (program.hidden, program.outputs) for name, plain in _PLAIN.items()
    ]
    shifts = [program.memory(kind).shift for kind in MemoryKind]
    parts = (program.hidden.size, program.outputs.size, sum(m.nnz for m in matrices), sum(extra), (program.alias >= 0).sum())
    return (raster.size, int(raster.sum()), *map(int, parts), *shifts)


def _cut_samples(case: Case, fails: Fails) -> Case:
    program, raster = case
    kept = keep_few(range(len(raster)), lambda some: bool(some) and fails(program, raster[some]))
    return program, raster[kept]


def _cut_steps(case: Case, fails: Fails) -> Case:
    program, raster = case
    kept = keep_few(range(raster.shape[1]), lambda some: bool(some) and fails(program, raster[:, some]))
    return program, raster[:, kept]


def _cut_neurons(case: Case, fails: Fails) -> Case:
    for axis in range(3):
        case = _cut_axis(case, axis, fails)
    return case


def _cut_axis(case: Case, axis: int, fails: Fails) -> Case:
    """Leave out channels (0), hidden neurons (1) or output neurons (2)."""
    program, raster = case
    every = [list(range(size)) for size in (raster.shape[2], program.hidden.size, program.outputs.size)]

    def take(some: list[int]) -> Case:
        chosen = [*every[:axis], some, *every[axis + 1 :]]
        return _take(program, *chosen), raster[..., chosen[0]]

    return take(keep_few(every[axis], lambda some: bool(some) and fails(*take(some))))


def _take(program: Program, inputs: list[int], hidden: list[int], outputs: list[int]) -> Program:
    """Return the program of some channels and neurons alone."""
    ends = {MemoryKind.INPUT: (inputs, hidden), MemoryKind.RECURRENT: (hidden, hidden), MemoryKind.OUTPUT: (hidden, outputs)}
    weights = {
        kind: tuple(CsrMatrix.from_dense(m.to_dense()[np.ix_(*ends[kind])]) for m in program.memory(kind).weights)
        for kind in MemoryKind
    }
    places = {old: new for new, old in enumerate(hidden)}
    alias = np.array([places.get(int(program.alias[old]), -1) for old in hidden])
    codes = {"hidden": _take_codes(program.hidden, hidden), "outputs": _take_codes(program.outputs, outputs)}
    return replace(program.with_weights(weights), alias=alias, **codes)


def _take_codes(codes: NeuronCodes, kept: list[int]) -> NeuronCodes:
    return NeuronCodes(
        dash_syn=codes.dash_syn[:, kept], dash_mem=codes.dash_mem[kept], threshold=codes.threshold[kept], bias=codes.bias[kept]
    )


def _cut_weights(case: Case, fails: Fails) -> Case:
    for kind in MemoryKind:
        for synapse in range(len(case[0].memory(kind).weights)):
            case = _cut_matrix(case, kind, synapse, fails)
    return case


def _cut_matrix(case: Case, kind: MemoryKind, synapse: int, fails: Fails) -> Case:
    """Leave out stored weights of a matrix."""
    program, raster = case
    matrices = program.memory(kind).weights
    matrix = matrices[synapse]

    def keep(some: list[int]) -> Program:
        fewer = CsrMatrix.from_triplets(matrix.rows[some], matrix.indices[some], matrix.data[some], matrix.shape)
        return program.with_weights({kind: (*matrices[:synapse], fewer, *matrices[synapse + 1 :])})

    return keep(keep_few(range(matrix.nnz), lambda some: fails(keep(some), raster))), raster


def _cut_counts(case: Case, fails: Fails) -> Case:
    """Leave out input counts, and make those that stay smaller by halves, then by one."""
    program, raster = case
    places = np.flatnonzero(raster)

    def keep(some: list[int]) -> np.ndarray:
        kept = np.zeros_like(raster)
        kept.flat[places[some]] = raster.flat[places[some]]
        return kept

    raster = keep(keep_few(range(places.size), lambda some: fails(program, keep(some))))
    for place in np.flatnonzero(raster):
        for smaller in (1, int(raster.flat[place]) // 2, int(raster.flat[place]) - 1):
            tried = raster.copy()
            tried.flat[place] = smaller
            if 0 < smaller < raster.flat[place] and fails(program, tried):
                raster = tried
    return program, raster


def _cut_codes(case: Case, fails: Fails) -> Case:
    """Make weight shifts, aliases, biases and decays plain, one by one."""
    program, raster = case
    for kind in MemoryKind:
        program = _try(program, replace(program, **{kind.shift_name: 0}), raster, fails)
    for neuron in np.flatnonzero(program.alias >= 0):
        alias = program.alias.copy()
        alias[neuron] = -1
        program = _try(program, replace(program, alias=alias), raster, fails)
    places = [(area, neuron) for area in ("hidden", "outputs") for neuron in range(getattr(program, area).size)]
    for area, neuron in places:
        for name, plain in _PLAIN.items():
            codes: NeuronCodes = getattr(program, area)
            values = getattr(codes, name).copy()
            values[..., neuron] = plain
            program = _try(program, replace(program, **{area: replace(codes, **{name: values})}), raster, fails)
    return program, raster


def _try(program: Program, changed: Program, raster: np.ndarray, fails: Fails) -> Program:
    return changed if changed != program and fails(changed, raster) else program

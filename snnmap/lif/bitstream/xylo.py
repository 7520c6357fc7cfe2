"""What loaders of the Xylo chips take: the memory files of their hardware tests, and a specification for samna."""

import json
from collections.abc import Iterator

import numpy as np

from snnmap.chip import MemoryKind
from snnmap.core import CsrMatrix, IntArray
from snnmap.core.errors import FormatError
from snnmap.lif.program import Image, NeuronCodes, Program, unpack

__all__ = ["export_specification", "export_xylo_ram"]

_LAYOUTS = {MemoryKind.INPUT: "dense", MemoryKind.RECURRENT: "rows_by_source", MemoryKind.OUTPUT: "dense"}


def export_xylo_ram(image: Image) -> dict[str, bytes]:
    """Return the memory files by name, ``iwtram.ini`` to ``rcram.ini``, a hexadecimal word a line, and ``basic_config.json``.

    Files of second synapses, biases and aliases are there where the chip has them. A word has the digits of the vendor's own
    writer; fan-out from 256 and biases beyond 8 bits get more, which that cuts off.

    Raises:
        FormatError: the chip has other memories than those of the Xylo family.
    """
    program = _read_program(image)
    files = {**_list_weights(program), **_list_neurons(program)}
    made = {f"{name}.ini": "".join(f"{line}\n" for line in lines).encode() for name, lines in files.items()}
    return {**made, "basic_config.json": json.dumps(_configure(program)).encode()}


def export_specification(image: Image) -> bytes:
    """Return the arguments of Rockpool's ``config_from_specification`` as JSON: integers, and lists of them.

    Weights are ``(n_inputs, n_reached, n_synapses)``, ``(n_hidden, n_hidden, n_synapses)`` and ``(n_read, n_outputs)``, of the
    hidden neurons that inputs reach, and of those that outputs read.

    Raises:
        FormatError: as :func:`export_xylo_ram`.
    """
    program = _read_program(image)
    chip, hidden, outputs = program.chip, program.hidden, program.outputs
    reached, read = chip.inputs.reach.slots(hidden.size), chip.outputs.reach.slots(hidden.size)
    specification = {
        "weights_in": _stack(program, MemoryKind.INPUT)[:, reached.start : reached.stop],
        "weights_rec": _stack(program, MemoryKind.RECURRENT),
        "weights_out": _stack(program, MemoryKind.OUTPUT)[read.start : read.stop, :, 0],
        "dash_mem": hidden.dash_mem,
        "dash_mem_out": outputs.dash_mem,
        "dash_syn": hidden.dash_syn[0],
        "dash_syn_out": outputs.dash_syn[0],
        "threshold": hidden.threshold,
        "threshold_out": outputs.threshold,
    }
    if chip.hidden.synapses > 1:
        specification["dash_syn_2"] = hidden.dash_syn[1]
    if chip.hidden.bias:
        specification |= {"bias_hidden": hidden.bias, "bias_out": outputs.bias}
    plain = {name: values.tolist() for name, values in specification.items()}
    shifts = {
        f"weight_shift_{end}": program.memory(kind).shift for end, kind in zip(("in", "rec", "out"), MemoryKind, strict=True)
    }
    aliases = [[target] if target >= 0 else [] for target in program.alias.tolist()]
    return (json.dumps({**plain, **shifts, "aliases": aliases}) + "\n").encode()


def _read_program(image: Image) -> Program:
    chip = image.chip
    layouts = {kind: chip.memory(kind).layout for kind in MemoryKind}
    if layouts != _LAYOUTS or chip.hidden.synapses > 2 or chip.bits.weight != 8 or chip.bits.decay != 4:
        raise FormatError(
            "the chip is none of the Xylo family, of which these files are",
            where=f"chip '{chip.name}'",
            measured=", ".join(f"{kind.value} {layout}" for kind, layout in layouts.items()),
            limit=", ".join(f"{kind.value} {layout}" for kind, layout in _LAYOUTS.items()),
            fix="give --format readmemh, which is of any chip",
        )
    return unpack(image)


def _stack(program: Program, kind: MemoryKind) -> IntArray:
    """Return the weights of a kind of memory, ``(n_sources, n_targets, n_synapses)``."""
    return np.stack([matrix.to_dense() for matrix in program.memory(kind).weights], axis=2).astype(np.int64)


def _hex(values: IntArray, digits: int) -> list[str]:
    """Write integers in two's complement."""
    return [f"{value & (16**digits - 1):0{digits}x}" for value in values.tolist()]


def _list_weights(program: Program) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for synapse, name in enumerate(("iwt", "iwt2")[: program.chip.hidden.synapses]):
        files[f"{name}ram"] = list(_list_rows(program.input_weights[synapse], f"// {name} for IN"))
    files["owtram"] = list(_list_rows(program.output_weights[0], "// owt for RSN"))
    return {**files, **_list_recurrent(program)}


def _list_rows(matrix: CsrMatrix, title: str) -> Iterator[str]:
    """List a dense memory, a head and all targets for each source; the heads end in a blank."""
    for source, row in enumerate(matrix.to_dense().astype(np.int64)):
        yield f"{title}{source} "
        yield from _hex(row, 2)


def _list_recurrent(program: Program) -> dict[str, list[str]]:
    """List the synapses of each neuron: targets, weights onto each of their synapses, and how many."""
    matrices = program.recurrent_weights
    weights = ("rwt", "rwt2")[: len(matrices)]
    files: dict[str, list[str]] = {name: [] for name in (*(f"{name}ram" for name in weights), "rforam")}
    fan_out = []
    for source in range(program.hidden.size):
        rows = [_take_row(matrix, source) for matrix in matrices]
        targets = np.unique(np.concatenate([columns for columns, _ in rows]))
        fan_out.append(targets.size)
        for name, (columns, data) in zip(weights, rows, strict=True):
            values = np.zeros(targets.size, np.int64)
            values[np.searchsorted(targets, columns)] = data
            files[f"{name}ram"] += [f"// {name} of RSN{source} ", *_hex(values, 2)]
        files["rforam"] += [f"// rfo of RSN{source} ", *_hex(targets, 3)]
    return {**files, "refocram": _hex(np.array(fan_out, np.int64), 2 if max(fan_out, default=0) < 256 else 3)}


def _take_row(matrix: CsrMatrix, source: int) -> tuple[IntArray, IntArray]:
    part = slice(matrix.indptr[source], matrix.indptr[source + 1])
    return matrix.indices[part], matrix.data[part]


def _list_neurons(program: Program) -> dict[str, list[str]]:
    chip, hidden, outputs, alias = program.chip, program.hidden, program.outputs, program.alias

    def join(name: str, digits: int) -> list[str]:
        return _hex(np.concatenate([_take(codes, name) for codes in (hidden, outputs)]), digits)

    files = {"ndmram": join("dash_mem", 1), "ndsram": join("dash_syn", 1), "nthram": join("threshold", 4)}
    if chip.hidden.synapses > 1:
        files["rds2ram"] = _hex(hidden.dash_syn[1], 1)
    if chip.hidden.bias:
        biases = np.concatenate([hidden.bias, outputs.bias])
        files["nbram"] = _hex(biases, 2 if not biases.size or (biases.min() >= -128 and biases.max() < 128) else 4)
    targets = np.isin(np.arange(alias.size), alias[alias >= 0])
    files["raram"], files["rcram"] = _hex(alias, 3), _hex(2 * (alias >= 0) + targets, 1)
    return files


def _take(codes: NeuronCodes, name: str) -> IntArray:
    return codes.dash_syn[0] if name == "dash_syn" else np.asarray(getattr(codes, name), np.int64)


def _configure(program: Program) -> dict[str, int | bool]:
    """Return sizes, shifts and what is in use, under the vendor's names."""
    second = [m for kind in (MemoryKind.INPUT, MemoryKind.RECURRENT) for m in program.memory(kind).weights[1:]]
    sizes = {"IN": program.n_inputs, "RSN": program.hidden.size, "ON": program.outputs.size}
    shifts = {f"{letter}WBS": program.memory(kind).shift for letter, kind in zip("IRO", MemoryKind, strict=True)}
    uses = {"N_SYNS": 1 + any(matrix.nnz for matrix in second), "RA": bool((program.alias >= 0).any())}
    has_bias = {"BIAS": bool(program.hidden.bias.any() or program.outputs.bias.any())} if program.chip.hidden.bias else {}
    return {**sizes, **shifts, "time_resolution_wrap": 0, **uses, **has_bias}

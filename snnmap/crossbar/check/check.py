"""An image held against the layers that it is to compute, instruction by instruction, without the mapper or the scheduler.

What a program does is followed in symbols: which weights lie where, what is multiplied with what, which sums meet. Each output
of each layer must come from every weight of its own exactly once, and every parameter must be the layer's.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from snnmap.core.diagnostics import Location
from snnmap.core.rules import Finding
from snnmap.crossbar.check.expected import list_tensors, require_fields, split_expected
from snnmap.crossbar.check.sums import CoreState, Fields, Product, decode_weights, list_places, measure_block
from snnmap.crossbar.container import Image
from snnmap.crossbar.isa import from_float
from snnmap.crossbar.lower import (
    PAIR_FUNCTIONS,
    AddLayer,
    AverageLayer,
    Layer,
    LayerProgram,
    MatrixLayer,
    MeanLayer,
    PairLayer,
    PoolLayer,
    TableLayer,
)

__all__ = ["Fault", "find_faults"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that an image does otherwise than its layers.

    Attributes:
        rule: id of the rule that tells it.
        finding: what and where.
    """

    rule: str
    finding: Finding


class _Stop(Exception):  # noqa: N818
    """A fault behind which nothing more can be followed."""


def find_faults(image: Image, program: LayerProgram) -> tuple[Fault, ...]:
    """Return what an image does otherwise than its layers; where sums meet otherwise, the first such place.

    Args:
        image: as decoded from bytes.
        program: layers of the model.
    """
    checker = _Checker(image=image, program=program)
    try:
        checker.check_tensors()
        checker.follow()
        checker.require_complete()
    except _Stop:
        pass
    return tuple(checker.faults)


@dataclass(kw_only=True)
class _Checker:
    image: Image
    program: LayerProgram
    faults: list[Fault] = field(default_factory=list)
    written: dict[int, Any] = field(default_factory=dict)
    """How often each value of a tensor is written, ``(channels, places)``."""
    constants: dict[int, int] = field(default_factory=dict)
    """Sizes of the ranges of constants that are in use, by their first byte."""
    layers: dict[int, Layer] = field(init=False)
    cores: list[CoreState] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = {layer.target: layer for layer in self.program.layers}
        pairs = zip(self.image.programs, self.image.weights, strict=True)
        self.cores = [CoreState(program=program, weights=weights) for program, weights in pairs]

    def refuse(self, rule: str, message: str, where: str, *, measured: str = "", limit: str = "", stop: bool = False) -> None:
        finding = Finding(
            location=Location(block=where), message=message, measured=measured, limit=limit, fix="build the file anew"
        )
        self.faults.append(Fault(rule=rule, finding=finding))
        if stop:
            raise _Stop

    def check_tensors(self) -> None:
        """Hold tensors against those of the layers, and their addresses against how long they are needed."""
        expected = list_tensors(self.program)
        if self.image.name != self.program.name:
            self.refuse("CIM404", "the name is not the model's", "name", measured=self.image.name, limit=self.program.name)
        if len(expected) != len(self.image.tensors):
            self.refuse("CIM404", "other tensors than the model has", "tensors", measured=str(len(self.image.tensors)), stop=True)
        for number, (found, wanted) in enumerate(zip(self.image.tensors, expected, strict=True)):
            if found != wanted:
                self.refuse("CIM404", "the tensor is not the model's", f"tensor {number}", measured=str(found), limit=str(wanted))

    def follow(self) -> None:
        """Follow all cores, from barrier to barrier."""
        n_barriers = 0
        while any(state.at < len(state.program) for state in self.cores):
            pending = [self._advance(core, state) for core, state in enumerate(self.cores)]
            kinds = {kind for kind in pending if kind}
            if kinds == {"barrier"}:
                self._pass_barrier(n_barriers)
                n_barriers += 1
            elif kinds - {"end"} and not self._transfer():
                self.refuse("CIM405", "cores wait for each other", "transfers", measured=str(Counter(pending)), stop=True)
        if n_barriers != len(self.program.layers):
            self.refuse("CIM405", "other barriers than one a layer", "barriers", measured=str(n_barriers))

    def require_complete(self) -> None:
        """Check that all of every tensor is written, and that nothing is left over in any memory."""
        for number, layer in self.layers.items():
            counts = self.written.get(number)
            if counts is None or (counts != 1).any():
                self.refuse("CIM401", "values of a layer are not written exactly once", f"layer '{layer.name}'", stop=True)
        for core, state in enumerate(self.cores):
            if state.products:
                self.refuse("CIM405", "sums are left over", f"core {core}", measured=str(len(state.products)))
            if state.n_read != len(state.weights):
                measured, limit = str(state.n_read), f"{len(state.weights)} bytes"
                self.refuse("CIM401", "weights are not stored", f"core {core}", measured=measured, limit=limit)
        end = 0
        for first, size in sorted(self.constants.items()):
            if first != end:
                self.refuse("CIM403", "constants leave a hole or overlap", "constants", measured=str(first), limit=str(end))
            end = first + size
        if end != len(self.image.constants):
            self.refuse(
                "CIM403", "constants are not in use", "constants", measured=str(len(self.image.constants)), limit=str(end)
            )

    def _advance(self, core: int, state: CoreState) -> str:
        """Follow a core to its next barrier, transfer or end, and say which; nothing where it has ended."""
        while state.at < len(state.program):
            kind, fields = state.program[state.at].kind.name, state.program[state.at].as_dict()
            if kind in ("barrier", "send", "receive"):
                return kind
            where = f"core {core}, instruction {state.at} ({kind})"
            state.at += 1
            if kind == "end":
                if state.at < len(state.program):
                    self.refuse("CIM405", "instructions follow the end", where, stop=True)
                return kind
            _FOLLOW[kind](self, state, fields, where)
        return "end" if state.at else ""

    def _pass_barrier(self, number: int) -> None:
        for core, state in enumerate(self.cores):
            found = state.program[state.at]["number"]
            if found != number:
                self.refuse(
                    "CIM405", "a barrier of another number", f"core {core}", measured=str(found), limit=str(number), stop=True
                )
            state.at += 1

    def _transfer(self) -> bool:
        """Follow all transfers whose receivers wait for them."""
        moved = False
        for core, state in enumerate(self.cores):
            if state.at >= len(state.program) or state.program[state.at].kind.name != "send":
                continue
            sent = state.program[state.at].as_dict()
            receiver = self.cores[sent["core"]] if sent["core"] < len(self.cores) else state
            if receiver.at >= len(receiver.program) or receiver.program[receiver.at].kind.name != "receive":
                continue
            taken = receiver.program[receiver.at].as_dict()
            if taken["core"] != core:
                continue
            self._move(core, state, receiver, sent, taken)
            moved = True
        return moved

    def _move(self, core: int, state: CoreState, receiver: CoreState, sent: Fields, taken: Fields) -> None:
        where = f"core {core}, instruction {state.at} (send)"
        products = state.move_products(sent)
        windows = {one.windows[1] for one in products}
        fits = all(one.pitch == sent["pitch"] and _ends(one) <= sent["filters"] for one in products)
        same = (sent["filters"], sent["windows"]) == (taken["filters"], taken["windows"])
        same = same and state.n_cleared == sent["filters"] * sent["windows"]
        if not products or not fits or not same or windows != {sent["windows"]} or sent["pitch"] != sent["filters"]:
            self.refuse(
                "CIM405", "a transfer of other sums than were added", where, measured=str(sent), limit=str(taken), stop=True
            )
        first, pitch = taken["accumulator"], taken["pitch"]
        receiver.products += [_place(one, one.accumulator + first, pitch) for one in products]
        state.at, receiver.at = state.at + 1, receiver.at + 1

    def take_layer(self, kind: type[Any], number: int, where: str) -> Any:
        """Return the layer that writes a tensor, which must be of a kind."""
        layer = self.layers.get(number)
        if not isinstance(layer, kind):
            self.refuse("CIM404", "the tensor is written by no layer of this kind", where, measured=str(number), stop=True)
        return layer

    def count_writes(self, number: int, channels: range, places: range, where: str) -> None:
        """Count values of a tensor as written."""
        tensor = self.program.tensors[number]
        if channels.stop > tensor.channels or places.stop > tensor.n_places:
            self.refuse("CIM404", "values outside of the tensor", where, measured=f"{channels}, {places}", stop=True)
        counts = self.written.setdefault(number, np.zeros((tensor.channels, tensor.n_places), np.int8))
        counts[channels.start : channels.stop, places.start : places.stop] += 1

    def require(self, problems: Iterator[str], where: str) -> None:
        """Tell parameters that are not the layer's."""
        told = "; ".join(problems)
        if told:
            self.refuse("CIM404", "parameters are not the layer's", where, measured=told, stop=True)


def _ends(product: Product) -> int:
    return product.accumulator + int(product.weights.shape[1])


def _place(product: Product, accumulator: int, pitch: int) -> Product:
    return replace(product, accumulator=accumulator, pitch=pitch)


def _follow_cycle(checker: _Checker, state: CoreState, fields: Fields, where: str) -> None:
    grid = checker.image.architecture.elements
    state.elements, state.blocks = np.zeros((grid.grid_rows, grid.grid_columns), np.bool_), {}


def _follow_weights(checker: _Checker, state: CoreState, fields: Fields, where: str) -> None:
    """Follow cells into elements that must be free, within the grid and the switches."""
    architecture = checker.image.architecture
    size = fields["blocks"] * fields["rows"] * fields["filters"] * len(architecture.cell_scales)
    data = state.weights[fields["address"] : fields["address"] + size]
    if fields["address"] != state.n_read or len(data) != size:
        measured, limit = str(fields["address"]), str(state.n_read)
        checker.refuse("CIM401", "weights are stored from another place", where, measured=measured, limit=limit, stop=True)
    state.n_read += size
    weights = decode_weights(data, fields, architecture)
    height, width = measure_block(fields, architecture)
    reach = (architecture.longest_chain, architecture.widest_row)
    if state.elements is None or not (0 < height <= reach[0] and 0 < width <= reach[1]):
        measured = f"{height} x {width} elements"
        checker.refuse("CIM402", "elements beyond the switches", where, measured=measured, limit=str(reach), stop=True)
    for number, (row, column) in enumerate(list_places(fields, architecture)):
        taken = state.elements[row : row + height, column : column + width]
        if taken.shape != (height, width) or taken.any():
            measured = f"element {row}, {column}"
            checker.refuse("CIM402", "an element is used twice, or not in the grid", where, measured=measured, stop=True)
        taken[:] = True
        state.blocks[row, column] = weights[number]


def _follow_input(checker: _Checker, state: CoreState, fields: Fields, where: str) -> None:
    state.setting = fields


def _follow_clear(checker: _Checker, state: CoreState, fields: Fields, where: str) -> None:
    if state.products or fields["accumulator"]:
        checker.refuse("CIM405", "sums are lost", where, measured=str(len(state.products)), stop=True)
    state.n_cleared = fields["words"]


def _follow_multiply(checker: _Checker, state: CoreState, fields: Fields, where: str) -> None:
    for number, (row, column) in enumerate(list_places(fields, checker.image.architecture)):
        weights = state.blocks.get((row, column))
        if weights is None or weights.shape != (fields["rows"], fields["filters"]):
            measured = f"element {row}, {column}"
            checker.refuse("CIM402", "elements are read as they were not stored", where, measured=measured, stop=True)
        state.products.append(
            Product(
                setting=state.setting,
                windows=(fields["window"], fields["windows"]),
                first_input=fields["first_input"] + number * fields["block_inputs"],
                block_inputs=fields["block_inputs"],
                bias_row=fields["bias_row"],
                weights=weights,
                accumulator=fields["accumulator"] + number * fields["filters"],
                pitch=fields["pitch"],
            )
        )


def _follow_output(checker: _Checker, state: CoreState, fields: Fields, where: str) -> None:
    """Hold the products that meet in outputs against the layer's weights."""
    layer: MatrixLayer = checker.take_layer(MatrixLayer, fields["tensor"], where)
    products = state.move_products(fields)
    count, channel = fields["filters"], fields["channel"]
    checker.require(require_fields(fields, {"pitch": count, "accumulator": 0}), where)
    checker.require(require_fields({"cleared": state.n_cleared}, {"cleared": count * fields["windows"]}), where)
    checker.count_writes(
        fields["tensor"], range(channel, channel + count), range(fields["window"], fields["window"] + fields["windows"]), where
    )
    expected = split_expected(layer, channel, count, checker.image.architecture)
    found, times = np.zeros(expected.weights.shape, np.int16), np.zeros(expected.weights.shape, np.int8)
    for setting in {id(one.setting): one.setting for one in products}.values():
        checker.require(_compare_windows(setting, layer), where)
    wanted = ((fields["window"], fields["windows"]), count, layer.n_rows)
    for product in products:
        if (product.windows, product.pitch, product.block_inputs) != wanted:
            told = str((product.windows, product.pitch, product.block_inputs))
            checker.refuse(
                "CIM404", "windows, pitch or inputs are not the layer's", where, measured=told, limit=str(wanted), stop=True
            )
        span = expected.locate(product, layer, checker.image.architecture)
        if span is None:
            checker.refuse(
                "CIM401", "rows or filters beyond those of the layer", where, measured=str(product.first_input), stop=True
            )
            return
        found[span] += product.weights
        times[span] += 1
    wrong = int(((times != 1) | (found != expected.weights)).sum())
    if wrong:
        checker.refuse(
            "CIM401",
            "weights are missing, wrong or counted twice",
            f"layer '{layer.name}', {where}",
            measured=str(wrong),
            stop=True,
        )
    data = checker.image.constants[fields["constants"] : fields["constants"] + 8 * count]
    if data != expected.constants or checker.constants.setdefault(fields["constants"], 8 * count) != 8 * count:
        checker.refuse("CIM403", "biases or factors are not the layer's", f"layer '{layer.name}', {where}", stop=True)


def _compare_windows(setting: Fields, layer: MatrixLayer | PoolLayer | AverageLayer) -> Iterator[str]:
    windows = layer.windows
    pairs = {"kernel": windows.kernel, "stride": windows.strides, "dilation": windows.dilations, "windows": windows.counts}
    wanted = {f"{name}_{side}": pair[place] for name, pair in pairs.items() for place, side in enumerate(("height", "width"))}
    yield from require_fields(
        setting, {"tensor": layer.source, "pad_top": windows.pads[0], "pad_left": windows.pads[1], **wanted}
    )


def _follow_maximum(checker: _Checker, state: CoreState, fields: Fields, where: str) -> None:
    layer = checker.take_layer(PoolLayer, fields["tensor"], where)
    checker.require(_compare_windows(state.setting, layer), where)
    _count_channels(checker, fields, layer.windows.n_windows, where)


def _follow_mean(checker: _Checker, state: CoreState, fields: Fields, where: str) -> None:
    layer = checker.take_layer(MeanLayer, fields["tensor"], where)
    checker.require(require_fields(fields, {"source": layer.source, "factor": from_float(layer.factor)}), where)
    _count_channels(checker, fields, 1, where)


def _count_channels(checker: _Checker, fields: Fields, n_places: int, where: str) -> None:
    channels = range(fields["channel"], fields["channel"] + fields["channels"])
    checker.count_writes(fields["tensor"], channels, range(n_places), where)


def _follow_add(checker: _Checker, state: CoreState, fields: Fields, where: str) -> None:
    layer = checker.take_layer(AddLayer, fields["tensor"], where)
    factors = {"factor_a": layer.factors[0], "factor_b": layer.factors[1], "shift": layer.shift}
    wanted = {"source": layer.source, "other": layer.other, **{name: from_float(value) for name, value in factors.items()}}
    checker.require(require_fields(fields, wanted), where)
    _count_values(checker, fields, where)


def _follow_average(checker: _Checker, state: CoreState, fields: Fields, where: str) -> None:
    layer = checker.take_layer(AverageLayer, fields["tensor"], where)
    checker.require(_compare_windows(state.setting, layer), where)
    checker.require(require_fields(fields, {"divisor": layer.divisor, "offset": layer.offset}), where)
    _count_channels(checker, fields, layer.windows.n_windows, where)


def _follow_pair(checker: _Checker, state: CoreState, fields: Fields, where: str) -> None:
    layer = checker.take_layer(PairLayer, fields["tensor"], where)
    wanted = {
        "source": layer.source, "other": layer.other, "function": PAIR_FUNCTIONS.index(layer.function), "offset": layer.offset,
        "spread_source": layer.spreads[0], "spread_other": layer.spreads[1],
    }  # fmt: skip
    checker.require(require_fields(fields, wanted), where)
    _count_values(checker, fields, where)


def _follow_table(checker: _Checker, state: CoreState, fields: Fields, where: str) -> None:
    layer = checker.take_layer(TableLayer, fields["tensor"], where)
    place = bisect_right(layer.runs, fields["written"], key=lambda run: run.written) - 1
    run = layer.runs[place]
    ahead = fields["written"] - run.written
    checker.require(require_fields(fields, {"source": layer.sources[run.source], "first": run.first + ahead}), where)
    if ahead + fields["values"] > run.count:
        checker.refuse("CIM404", "values outside of the tensor", where, measured=str(fields["values"]), stop=True)
    data = checker.image.constants[fields["constants"] : fields["constants"] + 256]
    if data != layer.tables[run.table] or checker.constants.setdefault(fields["constants"], 256) != 256:
        checker.refuse("CIM403", "a table is not the layer's", f"layer '{layer.name}', {where}", stop=True)
    _count_values(checker, {**fields, "first": fields["written"]}, where)


def _count_values(checker: _Checker, fields: Fields, where: str) -> None:
    tensor = checker.program.tensors[fields["tensor"]]
    counts = checker.written.setdefault(fields["tensor"], np.zeros((tensor.channels, tensor.n_places), np.int8)).reshape(-1)
    first, count = fields["first"], fields["values"]
    if first + count > counts.size or not count:
        checker.refuse(
            "CIM404", "values outside of the tensor", where, measured=f"{first + count}", limit=str(counts.size), stop=True
        )
    counts[first : first + count] += 1


_FOLLOW: Mapping[str, Callable[[_Checker, CoreState, Fields, str], None]] = {
    "add": _follow_add,
    "average": _follow_average,
    "clear": _follow_clear,
    "cycle": _follow_cycle,
    "input": _follow_input,
    "maximum": _follow_maximum,
    "mean": _follow_mean,
    "multiply": _follow_multiply,
    "output": _follow_output,
    "pair": _follow_pair,
    "table": _follow_table,
    "weights": _follow_weights,
}

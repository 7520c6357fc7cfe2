"""What each instruction does, in symbols, held against the layer that it is of."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from snnmap.crossbar.check.expected import require_fields, split_expected
from snnmap.crossbar.check.ledger import Ledger
from snnmap.crossbar.check.sums import CoreState, Fields, Product, decode_weights, list_places, measure_block
from snnmap.crossbar.isa import from_float
from snnmap.crossbar.lower import PAIR_FUNCTIONS, AddLayer, AverageLayer, MatrixLayer, MeanLayer, PairLayer, PoolLayer, TableLayer

__all__ = ["FOLLOW"]


def _follow_cycle(ledger: Ledger, state: CoreState, fields: Fields, where: str) -> None:
    grid = ledger.image.architecture.elements
    state.elements, state.blocks = np.zeros((grid.grid_rows, grid.grid_columns), np.bool_), {}


def _follow_weights(ledger: Ledger, state: CoreState, fields: Fields, where: str) -> None:
    """Follow cells into elements that must be free, within the grid and the switches."""
    architecture = ledger.image.architecture
    size = fields["blocks"] * fields["rows"] * fields["filters"] * len(architecture.cell_scales)
    data = state.weights[fields["address"] : fields["address"] + size]
    if fields["address"] != state.n_read or len(data) != size:
        measured, limit = str(fields["address"]), str(state.n_read)
        ledger.refuse("CIM401", "weights are stored from another place", where, measured=measured, limit=limit, stop=True)
    state.n_read += size
    weights = decode_weights(data, fields, architecture)
    height, width = measure_block(fields, architecture)
    reach = (architecture.longest_chain, architecture.widest_row)
    if state.elements is None or not (0 < height <= reach[0] and 0 < width <= reach[1]):
        measured = f"{height} x {width} elements"
        ledger.refuse("CIM402", "elements beyond the switches", where, measured=measured, limit=str(reach), stop=True)
    for number, (row, column) in enumerate(list_places(fields, architecture)):
        taken = state.elements[row : row + height, column : column + width]
        if taken.shape != (height, width) or taken.any():
            measured = f"element {row}, {column}"
            ledger.refuse("CIM402", "an element is used twice, or not in the grid", where, measured=measured, stop=True)
        taken[:] = True
        state.blocks[row, column] = weights[number]


def _follow_input(ledger: Ledger, state: CoreState, fields: Fields, where: str) -> None:
    state.setting = fields


def _follow_clear(ledger: Ledger, state: CoreState, fields: Fields, where: str) -> None:
    if state.products or fields["accumulator"]:
        ledger.refuse("CIM405", "sums are lost", where, measured=str(len(state.products)), stop=True)
    state.n_cleared = fields["words"]


def _follow_multiply(ledger: Ledger, state: CoreState, fields: Fields, where: str) -> None:
    for number, (row, column) in enumerate(list_places(fields, ledger.image.architecture)):
        weights = state.blocks.get((row, column))
        if weights is None or weights.shape != (fields["rows"], fields["filters"]):
            measured = f"element {row}, {column}"
            ledger.refuse("CIM402", "elements are read as they were not stored", where, measured=measured, stop=True)
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


def _follow_output(ledger: Ledger, state: CoreState, fields: Fields, where: str) -> None:
    """Hold the products that meet in outputs against the layer's weights."""
    layer: MatrixLayer = ledger.take_layer(MatrixLayer, fields["tensor"], where)
    products = state.move_products(fields)
    count, channel = fields["filters"], fields["channel"]
    ledger.require(require_fields(fields, {"pitch": count, "accumulator": 0}), where)
    ledger.require(require_fields({"cleared": state.n_cleared}, {"cleared": count * fields["windows"]}), where)
    ledger.count_writes(
        fields["tensor"], range(channel, channel + count), range(fields["window"], fields["window"] + fields["windows"]), where
    )
    expected = split_expected(layer, channel, count, ledger.image.architecture)
    found, times = np.zeros(expected.weights.shape, np.int16), np.zeros(expected.weights.shape, np.int8)
    for setting in {id(one.setting): one.setting for one in products}.values():
        ledger.require(_compare_windows(setting, layer), where)
    wanted = ((fields["window"], fields["windows"]), count, layer.n_rows)
    for product in products:
        if (product.windows, product.pitch, product.block_inputs) != wanted:
            told = str((product.windows, product.pitch, product.block_inputs))
            ledger.refuse(
                "CIM404", "windows, pitch or inputs are not the layer's", where, measured=told, limit=str(wanted), stop=True
            )
        span = expected.locate(product, layer, ledger.image.architecture)
        if span is None:
            ledger.refuse(
                "CIM401", "rows or filters beyond those of the layer", where, measured=str(product.first_input), stop=True
            )
            return
        found[span] += product.weights
        times[span] += 1
    wrong = int(((times != 1) | (found != expected.weights)).sum())
    if wrong:
        ledger.refuse(
            "CIM401",
            "weights are missing, wrong or counted twice",
            f"layer '{layer.name}', {where}",
            measured=str(wrong),
            stop=True,
        )
    data = ledger.image.constants[fields["constants"] : fields["constants"] + 8 * count]
    if data != expected.constants or ledger.constants.setdefault(fields["constants"], 8 * count) != 8 * count:
        ledger.refuse("CIM403", "biases or factors are not the layer's", f"layer '{layer.name}', {where}", stop=True)


def _compare_windows(setting: Fields, layer: MatrixLayer | PoolLayer | AverageLayer) -> Iterator[str]:
    windows = layer.windows
    pairs = {"kernel": windows.kernel, "stride": windows.strides, "dilation": windows.dilations, "windows": windows.counts}
    wanted = {f"{name}_{side}": pair[place] for name, pair in pairs.items() for place, side in enumerate(("height", "width"))}
    yield from require_fields(
        setting, {"tensor": layer.source, "pad_top": windows.pads[0], "pad_left": windows.pads[1], **wanted}
    )


def _follow_maximum(ledger: Ledger, state: CoreState, fields: Fields, where: str) -> None:
    layer = ledger.take_layer(PoolLayer, fields["tensor"], where)
    ledger.require(_compare_windows(state.setting, layer), where)
    _count_channels(ledger, fields, layer.windows.n_windows, where)


def _follow_mean(ledger: Ledger, state: CoreState, fields: Fields, where: str) -> None:
    layer = ledger.take_layer(MeanLayer, fields["tensor"], where)
    ledger.require(require_fields(fields, {"source": layer.source, "factor": from_float(layer.factor)}), where)
    _count_channels(ledger, fields, 1, where)


def _count_channels(ledger: Ledger, fields: Fields, n_places: int, where: str) -> None:
    channels = range(fields["channel"], fields["channel"] + fields["channels"])
    ledger.count_writes(fields["tensor"], channels, range(n_places), where)


def _follow_add(ledger: Ledger, state: CoreState, fields: Fields, where: str) -> None:
    layer = ledger.take_layer(AddLayer, fields["tensor"], where)
    factors = {"factor_a": layer.factors[0], "factor_b": layer.factors[1], "shift": layer.shift}
    wanted = {"source": layer.source, "other": layer.other, **{name: from_float(value) for name, value in factors.items()}}
    ledger.require(require_fields(fields, wanted), where)
    _count_values(ledger, fields, where)


def _follow_average(ledger: Ledger, state: CoreState, fields: Fields, where: str) -> None:
    layer = ledger.take_layer(AverageLayer, fields["tensor"], where)
    ledger.require(_compare_windows(state.setting, layer), where)
    ledger.require(require_fields(fields, {"divisor": layer.divisor, "offset": layer.offset}), where)
    _count_channels(ledger, fields, layer.windows.n_windows, where)


def _follow_pair(ledger: Ledger, state: CoreState, fields: Fields, where: str) -> None:
    layer = ledger.take_layer(PairLayer, fields["tensor"], where)
    wanted = {
        "source": layer.source, "other": layer.other, "function": PAIR_FUNCTIONS.index(layer.function), "offset": layer.offset,
        "spread_source": layer.spreads[0], "spread_other": layer.spreads[1],
    }  # fmt: skip
    ledger.require(require_fields(fields, wanted), where)
    _count_values(ledger, fields, where)


def _follow_table(ledger: Ledger, state: CoreState, fields: Fields, where: str) -> None:
    layer = ledger.take_layer(TableLayer, fields["tensor"], where)
    place = bisect_right(layer.runs, fields["written"], key=lambda run: run.written) - 1
    run = layer.runs[place]
    ahead = fields["written"] - run.written
    ledger.require(require_fields(fields, {"source": layer.sources[run.source], "first": run.first + ahead}), where)
    if ahead + fields["values"] > run.count:
        ledger.refuse("CIM404", "values outside of the tensor", where, measured=str(fields["values"]), stop=True)
    data = ledger.image.constants[fields["constants"] : fields["constants"] + 256]
    if data != layer.tables[run.table] or ledger.constants.setdefault(fields["constants"], 256) != 256:
        ledger.refuse("CIM403", "a table is not the layer's", f"layer '{layer.name}', {where}", stop=True)
    _count_values(ledger, {**fields, "first": fields["written"]}, where)


def _count_values(ledger: Ledger, fields: Fields, where: str) -> None:
    tensor = ledger.program.tensors[fields["tensor"]]
    counts = ledger.written.setdefault(fields["tensor"], np.zeros((tensor.channels, tensor.n_places), np.int8)).reshape(-1)
    first, count = fields["first"], fields["values"]
    if first + count > counts.size or not count:
        ledger.refuse(
            "CIM404", "values outside of the tensor", where, measured=f"{first + count}", limit=str(counts.size), stop=True
        )
    counts[first : first + count] += 1


FOLLOW: Mapping[str, Callable[[Ledger, CoreState, Fields, str], None]] = {
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
"""By the instruction's name: takes the core that it is of, its fields and its place."""

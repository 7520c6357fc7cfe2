"""From placed weights to instructions: programming, windows, partial sums, epilogues, transfers, barriers."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from snnmap.crossbar.cells import encode_cells, split_bias
from snnmap.crossbar.container import Image, TensorEntry
from snnmap.crossbar.isa import Instruction, from_float, make_instruction
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
    WindowGeometry,
)
from snnmap.crossbar.mapping import Mapped, Strip, StripPart, Tile, find_output, list_parts
from snnmap.crossbar.schedule.memory import place_tensors

__all__ = ["schedule"]


def schedule(mapped: Mapped) -> Image:
    """Write the instructions of all cores.

    In each computation cycle all cores store their weights; then layer by layer, in the cycles that hold its weights, windows are
    multiplied, partial sums of a strip are sent to the core that holds its last rows, and that one scales, rounds and writes. A
    barrier ends each layer. Accumulators begin at 0, and hold as many windows at once as they have room for.

    Args:
        mapped: that breaks no rule.
    """
    scheduler = _Scheduler(mapped=mapped)
    scheduler.run()
    architecture = mapped.architecture
    return Image(
        name=mapped.program.name,
        architecture=architecture,
        tensors=_list_tensors(mapped.program),
        constants=b"".join(scheduler.constants),
        weights=tuple(b"".join(scheduler.weights[core]) for core in range(architecture.cores)),
        programs=tuple(tuple(scheduler.programs[core]) for core in range(architecture.cores)),
    )


def _list_tensors(program: LayerProgram) -> tuple[TensorEntry, ...]:
    addresses, _ = place_tensors(program)
    roles = {**dict.fromkeys(program.inputs, 1), **dict.fromkeys(program.outputs, 2)}
    return tuple(
        TensorEntry(
            name=tensor.name,
            address=addresses[number],
            channels=tensor.channels,
            height=tensor.height,
            width=tensor.width,
            zero=tensor.zero,
            scale=tensor.scale,
            role=roles.get(number, 0),
            storage=tensor.storage,
        )
        for number, tensor in enumerate(program.tensors)
    )


@dataclass(kw_only=True)
class _Scheduler:
    mapped: Mapped
    programs: dict[int, list[Instruction]] = field(default_factory=lambda: defaultdict(list))
    weights: dict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    n_stored: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    constants: list[bytes] = field(default_factory=list)
    n_constants: int = 0
    shared: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """Addresses of constants by layer, first output and how many: copies of weights share them."""
    inputs: dict[int, Instruction] = field(default_factory=dict)
    by_strip: dict[int, list[Tile]] = field(default_factory=lambda: defaultdict(list))
    n_barriers: int = 0
    started: set[tuple[int, int]] = field(default_factory=set)
    """Strips and cores whose accumulators are in use over several cycles."""

    def __post_init__(self) -> None:
        for tile in self.mapped.tiles:
            self.by_strip[tile.strip].append(tile)

    @property
    def cores(self) -> range:
        return range(self.mapped.architecture.cores)

    def run(self) -> None:
        tiles = _group_tiles(self.mapped)
        spans = self._list_spans()
        for cycle in range(self.mapped.n_cycles):
            for core in self.cores:
                self._emit(core, "cycle", number=cycle)
            for tile in tiles[cycle]:
                self._store(tile)
            for number, layer in enumerate(self.mapped.program.layers):
                if spans[number][0] <= cycle <= spans[number][1]:
                    self._compute(number, layer, [tile for tile in tiles[cycle] if self._layer_of(tile) == number], cycle)
                    if cycle == spans[number][1]:
                        self._wait()
        for core in self.cores:
            self._emit(core, "end")

    def _list_spans(self) -> list[tuple[int, int]]:
        """Return the first and last cycle of each layer; one without weights follows those before it."""
        held: dict[int, list[int]] = defaultdict(list)
        for tile in self.mapped.tiles:
            held[self._layer_of(tile)].append(tile.cycle)
        spans, last = [], 0
        for number in range(len(self.mapped.program.layers)):
            spans.append((min(held[number]), max(held[number])) if held[number] else (last, last))
            last = spans[-1][1]
        return spans

    def _layer_of(self, tile: Tile) -> int:
        return self.mapped.strips[tile.strip].layer

    def _emit(self, core: int, name: str, /, **values: int) -> None:
        self.programs[core].append(make_instruction(name, **values))

    def _wait(self) -> None:
        for core in self.cores:
            self._emit(core, "barrier", number=self.n_barriers)
        self.n_barriers += 1

    def _store(self, tile: Tile) -> None:
        """Store a tile's cells."""
        number = self._layer_of(tile)
        layer = self._matrix(number)
        rows, filters = (
            slice(tile.first_row, tile.first_row + tile.n_rows),
            slice(tile.first_filter, tile.first_filter + tile.n_filters),
        )
        blocks = slice(tile.first_block, tile.first_block + tile.n_blocks)
        values = layer.weights[blocks, rows, filters]
        if tile.bias_row:
            bias = split_bias(layer.bias, self.mapped.architecture)[0].reshape(layer.n_blocks, 1, -1)
            values = np.concatenate([values, bias[blocks, :, filters]], axis=1)
        data = encode_cells(values, self.mapped.architecture)
        self._emit(tile.core, "weights", **_rectangle(tile), address=self.n_stored[tile.core])
        self.weights[tile.core].append(data)
        self.n_stored[tile.core] += len(data)

    def _matrix(self, number: int) -> MatrixLayer:
        layer = self.mapped.program.layers[number]
        if not isinstance(layer, MatrixLayer):
            raise TypeError(f"layer {number} has no weights")
        return layer

    def _compute(self, number: int, layer: Layer, tiles: list[Tile], cycle: int) -> None:
        if isinstance(layer, MatrixLayer):
            for strip in dict.fromkeys(tile.strip for tile in tiles):
                self._sum_strip(strip, layer, cycle)
        elif isinstance(layer, PoolLayer):
            for core, first, count in self._share(self.mapped.program.tensors[layer.target].channels):
                self._set_input(core, layer.source, layer.windows)
                self._emit(core, "maximum", tensor=layer.target, channel=first, channels=count)
        elif isinstance(layer, AverageLayer):
            for core, first, count in self._share(self.mapped.program.tensors[layer.target].channels):
                self._set_input(core, layer.source, layer.windows)
                values = {"tensor": layer.target, "channel": first, "channels": count}
                self._emit(core, "average", **values, divisor=layer.divisor, offset=layer.offset)
        elif isinstance(layer, MeanLayer):
            for core, first, count in self._share(self.mapped.program.tensors[layer.target].channels):
                values = {"tensor": layer.target, "source": layer.source, "channel": first, "channels": count}
                self._emit(core, "mean", **values, factor=from_float(layer.factor))
        elif isinstance(layer, AddLayer):
            self._add(layer)
        elif isinstance(layer, PairLayer):
            self._pair(layer)
        else:
            self._look_up(layer)

    def _add(self, layer: AddLayer) -> None:
        factor_a, factor_b = map(from_float, layer.factors)
        for core, first, count in self._share(self.mapped.program.tensors[layer.target].size):
            self._emit(
                core, "add", tensor=layer.target, source=layer.source, other=layer.other, first=first, values=count,
                factor_a=factor_a, factor_b=factor_b, shift=from_float(layer.shift),
            )  # fmt: skip

    def _pair(self, layer: PairLayer) -> None:
        for core, first, count in self._share(self.mapped.program.tensors[layer.target].size):
            self._emit(
                core, "pair", tensor=layer.target, source=layer.source, other=layer.other,
                function=PAIR_FUNCTIONS.index(layer.function), offset=layer.offset, spread_source=layer.spreads[0],
                spread_other=layer.spreads[1], first=first, values=count,
            )  # fmt: skip

    def _look_up(self, layer: TableLayer) -> None:
        """Schedule the runs of tables, each core those of its share, which cuts runs."""
        start = self.n_constants
        self.constants += layer.tables
        self.n_constants += 256 * len(layer.tables)
        each = -(-self.mapped.program.tensors[layer.target].size // len(self.cores))
        for run in layer.runs:
            done = 0
            while done < run.count:
                core = (run.written + done) // each
                count = min(run.count - done, (core + 1) * each - run.written - done)
                self._emit(
                    core, "table", tensor=layer.target, source=layer.sources[run.source], first=run.first + done,
                    written=run.written + done, values=count, constants=start + 256 * run.table,
                )  # fmt: skip
                done += count

    def _share(self, count: int) -> list[tuple[int, int, int]]:
        """Return which core computes which of so many channels or values: core, first, count."""
        each = -(-count // len(self.cores))
        return [(core, core * each, min(each, count - core * each)) for core in self.cores if core * each < count]

    def _set_input(self, core: int, source: int, windows: WindowGeometry) -> None:
        """Set a core's input, where it is not set so."""
        wanted = make_instruction(
            "input", tensor=source, kernel_height=windows.kernel[0], kernel_width=windows.kernel[1],
            stride_height=windows.strides[0], stride_width=windows.strides[1],
            dilation_height=windows.dilations[0], dilation_width=windows.dilations[1],
            pad_top=windows.pads[0], pad_left=windows.pads[1],
            windows_height=windows.counts[0], windows_width=windows.counts[1],
        )  # fmt: skip
        if self.inputs.get(core) != wanted:
            self.programs[core].append(wanted)
            self.inputs[core] = wanted

    def _sum_strip(self, number: int, layer: MatrixLayer, cycle: int) -> None:
        """Schedule what is computed of a strip in a cycle, as many windows at once as accumulators hold."""
        strip = self.mapped.strips[number]
        tiles = self.by_strip[number]
        owner = tiles[-1].core
        parts = list_parts(strip, tiles)
        words = self.mapped.architecture.memories.accumulator_words
        is_whole = all(tile.cycle == cycle for tile in tiles)
        each = min(strip.n_windows, words // max(part.count for part in parts.values())) if is_whole else strip.n_windows
        constants = self._add_constants(strip, layer) if tiles[-1].cycle == cycle else 0
        end = strip.first_window + strip.n_windows
        for window in range(strip.first_window, end, each):
            windows = range(window, min(window + each, end))
            for tile in tiles:
                if tile.cycle == cycle:
                    self._multiply(number, tile, layer, parts[tile.core], windows)
            if tiles[-1].cycle == cycle:
                self._gather(number, parts, owner, windows)
                self._write(strip, layer, owner, windows, constants)

    def _multiply(self, number: int, tile: Tile, layer: MatrixLayer, part: StripPart, windows: range) -> None:
        strip, core = self.mapped.strips[number], tile.core
        if (number, core) not in self.started:
            self.started.add((number, core))
            self._emit(core, "clear", accumulator=0, words=len(windows) * part.count)
        self._set_input(core, layer.source, layer.windows)
        self._emit(
            core, "multiply", **_rectangle(tile), bias_row=tile.bias_row,
            first_input=tile.first_block * layer.n_rows + tile.first_row, block_inputs=layer.n_rows,
            window=windows.start, windows=len(windows), accumulator=find_output(strip, tile) - part.first, pitch=part.count,
        )  # fmt: skip

    def _gather(self, number: int, parts: dict[int, StripPart], owner: int, windows: range) -> None:
        """Send the partial sums of all cores to the one that writes the outputs."""
        for core, part in parts.items():
            self.started.discard((number, core))
            if core == owner:
                continue
            region = {"filters": part.count, "windows": len(windows)}
            self._emit(core, "send", core=owner, accumulator=0, pitch=part.count, **region)
            self._emit(owner, "receive", core=core, accumulator=part.first, pitch=parts[owner].count, **region)

    def _write(self, strip: Strip, layer: MatrixLayer, owner: int, windows: range, constants: int) -> None:
        self._emit(
            owner, "output", tensor=layer.target, channel=strip.first_block * layer.n_filters + strip.first_filter,
            window=windows.start, accumulator=0, filters=strip.n_outputs, pitch=strip.n_outputs, windows=len(windows),
            constants=constants,
        )  # fmt: skip

    def _add_constants(self, strip: Strip, layer: MatrixLayer) -> int:
        """Add the biases and factors of a strip's outputs, where no other copy of them has, and return where they are."""
        first = strip.first_block * layer.n_filters + strip.first_filter
        key = (strip.layer, first, strip.n_outputs)
        if key in self.shared:
            return self.shared[key]
        outputs = slice(first, first + strip.n_outputs)
        bias = split_bias(layer.bias[outputs], self.mapped.architecture)[1]
        address = self.shared[key] = self.n_constants
        self.constants += [bias.astype("<i4").tobytes(), layer.factor[outputs].astype("<f4").tobytes()]
        self.n_constants += 8 * strip.n_outputs
        return address


def _group_tiles(mapped: Mapped) -> dict[int, list[Tile]]:
    tiles: dict[int, list[Tile]] = defaultdict(list)
    for tile in mapped.tiles:
        tiles[tile.cycle].append(tile)
    return tiles


def _rectangle(tile: Tile) -> dict[str, int]:
    return {
        "row": tile.row,
        "column": tile.column,
        "rows": tile.n_rows + tile.bias_row,
        "blocks": tile.n_blocks,
        "stack": tile.stack,
        "filters": tile.n_filters,
    }

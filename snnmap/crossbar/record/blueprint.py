"""The blueprint of an architecture: what it is made of, in lines for people."""

from dataclasses import asdict

from snnmap.crossbar.record.architecture import Architecture

__all__ = ["format_blueprint"]


def format_blueprint(architecture: Architecture) -> str:
    """Return the parts of an architecture: cores, crossbars, converters, state machines and the NoC controller."""
    elements, cells, converters = architecture.elements, architecture.weights, architecture.converters
    rows, columns = elements.grid_rows * elements.rows, elements.grid_columns * elements.columns
    per_weight, width = len(architecture.cell_scales), converters.columns_per_adc
    memories, noc, fsm = architecture.memories, architecture.noc, architecture.fsm
    bias = "digital" if cells.bias == "digital" else "in a row, the remainder digital"
    machines = f"loops to {2**fsm.loop_bits - 1}, addresses to {2**fsm.address_bits - 1}"
    return "\n".join(
        [
            f"{architecture.name}: {architecture.description}",
            f"  cores            {architecture.cores} at {architecture.clock_mhz:g} MHz",
            f"  crossbar         {rows} rows x {columns} columns of cells: {elements.grid_rows} x {elements.grid_columns}"
            f" elements of {elements.rows} x {elements.columns}",
            f"  switches         chains of {architecture.longest_chain} elements, rows of {architecture.widest_row}",
            f"  weight           {cells.bits} bits, {cells.encoding}, {per_weight} cells of {cells.cell_bits} bits; bias {bias}",
            f"  converters       {rows} DACs of {converters.dac_bits} bits, {columns // width} ADCs of {converters.adc_bits} bits"
            f" for {width} columns each",
            f"  FSM weights      stores cells row by row; {machines}",
            "  FSM input        reads windows from the activation memory, drives rows",
            f"  FSM output       reads columns, adds into {memories.accumulator_words} accumulators, scales, rounds, writes",
            "  FSM transfers    sends accumulators to another core, receives and adds",
            f"  program          {memories.program_bytes} bytes a core",
            f"  memory           {memories.activation_bytes} bytes of activations, {memories.constant_bytes} of constants",
            f"  NoC controller   mesh {noc.columns} x {-(-architecture.cores // noc.columns)}, {noc.bytes_per_cycle} bytes a"
            " cycle a link, activation memory at core 0",
            f"  prices           {_format_prices(architecture)}",
            f"  digest           {architecture.digest.hex()[:16]}",
        ]
    )


def _format_prices(architecture: Architecture) -> str:
    prices, sources = asdict(architecture.costs), asdict(architecture.sources)
    unknown = [name for name, value in prices.items() if value is None]
    told = f"{len(prices) - len(unknown)} of {len(prices)}, {sum(map(bool, sources.values()))} with their source"
    return f"{told}; unknown: {', '.join(unknown)}" if unknown else told

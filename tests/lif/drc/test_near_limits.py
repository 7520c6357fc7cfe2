"""Networks at the limits of every chip: clean ones build and verify, and what a rule finds breaks a later stage."""

from collections.abc import Iterator

import numpy as np
import pytest
from limit_networks import draw_at_limits, list_edges

from snnmap.chip import Chip, list_chips, load_chip
from snnmap.core.errors import DesignRuleError, FormatError, NetworkError
from snnmap.lif.bitstream import decode, encode
from snnmap.lif.drc import check_network
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import memories_of, pack
from snnmap.lif.quantise import quantise_network
from snnmap.network import Network, simulate_network
from snnmap.pipeline import compile_model

CHIPS = [load_chip(name) for name in list_chips()]
MANY = range(1000, 1504)
UNHELD = {
    "SNN201": "input channels",
    "SNN202": "hidden neurons",
    "SNN203": "output neurons",
    "SNN204": "fan-in",
    "SNN205": "fan-out",
    "SNN206": "words",
    "SNN207": "instead of",
    "SNN208": "an input reaches",
    "SNN209": "an output reads",
    "SNN210": ".bias: ",
}
"""What packing says of a program that breaks a rule."""
UNQUANTISED = {"SNN207": "fewer synapses", "SNN302": "repeats a count"}
"""What quantising says."""
UNFOLDED = {"SNN301": DesignRuleError}
"""What folding raises."""


def require_truth(network: Network, chip: Chip) -> bool:
    """Check that a network builds, or that each error that is told of it breaks a later stage; say whether it builds."""
    refused: set[str] = set()
    try:
        artifacts = compile_model(network, chip)
    except DesignRuleError as error:
        refused = {diagnostic.rule for diagnostic in error.diagnostics}
    if refused:
        assert list(find_unbroken(network, chip, refused)) == []
        return False
    assert artifacts.verification is not None
    assert artifacts.verification.n_mismatches == 0
    assert encode(decode(artifacts.bitstream, chip=chip)) == artifacts.bitstream
    return True


def find_unbroken(network: Network, chip: Chip, rules: set[str]) -> Iterator[str]:
    """Run the stages without the rules, and yield the rules of which none takes notice."""
    folding = {rule for rule in rules if rule in UNFOLDED}
    if folding:
        with pytest.raises(tuple(UNFOLDED[rule] for rule in folding)):
            fold_network(network, chip)
        return
    unseen = {rule for rule in rules if not rule.startswith("SNN6")}  # those are measured by running the bitstream
    try:
        pack(quantise_network(fold_network(network, chip)).program)
    except NetworkError as error:  # the first that is met; of the others nothing can be shown
        if not unseen & {rule for rule, words in UNQUANTISED.items() if words in str(error)}:
            yield from unseen
        return
    except FormatError as error:
        unseen = {rule for rule in unseen if UNHELD.get(rule, "at all") not in str(error)}
    yield from (rule for rule in unseen if not loses(network, chip, rule))


def loses(network: Network, chip: Chip, rule: str) -> bool:
    """Say whether a network that breaks a rule is another one on the chip: without weights or biases, or sending fewer spikes."""
    mapped = fold_network(network, chip)
    program = quantise_network(mapped).program
    if rule in ("SNN204", "SNN205", "SNN206", "SNN208", "SNN209"):  # it may fit after all, where rounding makes weights 0
        folded = {name: sum(matrix.nnz for matrix in matrices) for name, _, matrices in memories_of(mapped)}
        return any(sum(matrix.nnz for matrix in matrices) < folded[name] for name, _, matrices in program.memories)
    if rule == "SNN210":
        return any(p.bias.any() for p in network.populations) and not (program.hidden.bias.any() or program.outputs.bias.any())
    if rule == "SNN404":
        most = {p.name: chip.outputs.max_count if p.name == "out" else chip.hidden.max_count for p in network.populations}
        strong = [np.full((1, 20, port.size), chip.inputs.max_count) for port in network.inputs]
        counts = simulate_network(network, {"in": strong[0]}, counts_of=list(most)).counts
        return any(counts[name].max() > limit for name, limit in most.items())
    return False


@pytest.mark.parametrize("seed", range(21))
def test_clean_builds_and_what_is_found_breaks(seed: int) -> None:
    chip = CHIPS[seed % len(CHIPS)]
    require_truth(draw_at_limits(seed, chip)[0], chip)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", MANY)
def test_clean_builds_and_what_is_found_breaks_of_many(seed: int) -> None:
    test_clean_builds_and_what_is_found_breaks(seed)


@pytest.mark.parametrize("chip", CHIPS, ids=[chip.name for chip in CHIPS])
def test_the_networks_at_the_limits_show_both_outcomes(chip: Chip) -> None:
    """Neither branch of the property is empty, and every limit of the chip is met."""
    drawn = [draw_at_limits(seed, chip) for seed in MANY if CHIPS[seed % len(CHIPS)] == chip]
    assert {place.rpartition(" ")[0] for _, places in drawn for place in places} == set(list_edges(chip))
    found = [bool(check_network(network, chip).errors) for network, _ in drawn]
    assert 10 <= sum(found) <= len(found) - 10

"""The rules about neurons, on either side of each of their edges."""

import numpy as np
import pytest
from rule_cases import XYLO, edit

from snnmap.lif.drc import check_network

Told = list[tuple[str, str, tuple[tuple[int, int], ...], float, float]]
"""Rule, severity, neurons, measured value and limit."""


def find(name: str, values: list[float]) -> Told:
    """Give five neurons a parameter; return what the rules about neurons say of them."""
    found = check_network(edit("populations", "h1", **{name: np.array(values)}), XYLO).diagnostics
    return [
        (d.rule, d.severity, d.location.runs, d.measured_value, d.limit_value)  # type: ignore[misc]
        for d in found
        if d.rule.startswith("SNN4")
    ]


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("threshold", [1.0, 1e-9, 1.0, 1.0, 1.0], []),
        ("threshold", [1.0, 0.0, 1.0, 1.0, 1.0], [("SNN401", "error", ((1, 2),), 0.0, 0.0)]),
        ("threshold", [1.0, -0.5, -2.0, -1.0, 1.0], [("SNN401", "error", ((1, 4),), -2.0, 0.0)]),
        ("threshold", [1.0, np.inf, 1.0, 1.0, 1.0], [("SNN401", "error", ((1, 2),), np.inf, None)]),
        ("beta", [0.5, 1.0, 0.0, 0.5, 0.5], []),
        ("beta", [0.5, 1.01, 1.03, 1.02, 0.5], [("SNN402", "error", ((1, 4),), 1.03, 1.0)]),
        ("beta", [0.5, -0.01, -0.03, -0.02, 0.5], [("SNN402", "error", ((1, 4),), -0.03, 0.0)]),
        ("max_count", [31, 31, 31, 31, 31], []),
        ("max_count", [31, 32, 34, 33, 31], [("SNN404", "error", ((1, 4),), 34, 31)]),
        ("max_count", [31, 30, 0, 29, 31], [("SNN404", "warning", ((1, 4),), 0, 31)]),
        ("max_count", [31, -1, -3, -2, 31], [("SNN404", "error", ((1, 4),), -3, 0)]),
    ],
)
def test_a_rule_changes_its_mind_at_its_edges(name: str, values: list[float], told: Told) -> None:
    assert find(name, values) == told


def test_neurons_that_are_read_by_their_potential_send_no_spikes() -> None:
    """So that their most spikes a step are nobody's matter."""
    silent = edit("populations", "out", threshold=np.array([np.inf, 1.0]), max_count=np.array([5, 1]))
    read = edit("outputs", "port", silent, readout="potential")
    assert [d.rule for d in check_network(read, XYLO).errors] == []

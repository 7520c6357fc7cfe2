"""The rules about delays, on either side of their edges."""

import pytest
from rule_cases import CLEAN, XYLO, chain, check, draw, extend, limit, make_projection

NO_RELAYS = limit(XYLO, "bits", weight=2)


@pytest.mark.parametrize(
    ("n_skips", "instead"),
    [
        (1, "leave out 'in->h2[0]@0'"),
        (3, "leave out 'in->h2[0]@0', 'in->h3[0]@0', 'in->h4[0]@0'"),
        (4, ""),
    ],
)
def test_a_few_connections_that_wait_are_named(n_skips: int, instead: str) -> None:
    skips = [make_projection("in", f"h{number}", draw(3, 4)) for number in range(2, 2 + n_skips)]
    report = check((extend(*skips, network=chain(3, 4, 4, 4, 4, 4, 2)), NO_RELAYS))
    (found,) = [diagnostic for diagnostic in report.errors if diagnostic.rule == "SNN302"]
    assert found.least is not None
    assert (found.least.instead, found.least.n) == (instead, 3 * n_skips)


def test_a_network_that_needs_no_relays_needs_no_chip_that_has_them() -> None:
    assert [found.rule for found in check((CLEAN, NO_RELAYS)).diagnostics if found.rule == "SNN302"] == []

"""A membrane as the sum of changes: the error is the leak's, unit by unit."""

import pytest

from snnmap.convert import measure_held_changes
from snnmap.core.errors import InputError


def test_a_membrane_at_rest_loses_a_unit_a_step() -> None:
    """Without changes the level stays; of 8 bits it is 128 units, and none of these streams is at 0 before step 128."""
    first, second = measure_held_changes(width_bits=(8,), n_steps=(64, 128), change_share=0.0, seed=2)
    assert second.error - first.error == pytest.approx(64 / 128, rel=0.02)


def test_a_bias_gives_a_positive_membrane_back_what_it_lost() -> None:
    rows = measure_held_changes(width_bits=(8,), n_steps=(32, 128, 4096), change_share=0.0)
    assert len({row.offset_error for row in rows}) == 1
    assert rows[0].offset_error < 0.05  # of the synapse's rounding of the first change


def test_more_bits_and_more_time_mean_more_error() -> None:
    rows = {(row.width_bits, row.n_steps): row for row in measure_held_changes(n_steps=(128, 1024))}
    for width in (4, 6, 8):
        assert rows[width, 128].error < 0.5 * rows[width, 1024].error
        assert rows[width, 1024].offset_error < 0.5 * rows[width, 1024].error
    assert rows[4, 1024].error < rows[6, 1024].error < rows[8, 1024].error


@pytest.mark.parametrize("options", [{"width_bits": (9,)}, {"change_share": 1.5}, {"dash_mem": 16}])
def test_what_does_not_fit_the_state(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="held changes"):
        measure_held_changes(**options)  # type: ignore[arg-type]

from typing import Any

import numpy as np
import pytest

from snnmap.core.errors import InputError
from snnmap.events import Events


def make_events(**changes: Any) -> Events:
    given = {"t_us": [0, 5, 5, 9], "x": [0, 3, 2, 1], "y": [1, 0, 1, 0], "polarity": [0, 1, 1, 0], "shape": (2, 4)}
    return Events(**{**given, **changes})


def test_arrays_are_copied_in_and_read_only() -> None:
    t_us = np.array([0, 5, 5, 9])
    events = make_events(t_us=t_us, polarity=np.array([False, True, True, False]))
    t_us[:] = 7
    assert events.t_us.tolist() == [0, 5, 5, 9]
    assert [array.dtype for array in (events.t_us, events.x, events.y, events.polarity)] == [
        np.int64,
        np.int16,
        np.int16,
        np.uint8,
    ]
    with pytest.raises(ValueError, match="read-only"):
        events.x[0] = 1


def test_slices_by_count_and_time() -> None:
    events = make_events()
    assert events[1:3] == make_events(t_us=[5, 5], x=[3, 2], y=[0, 1], polarity=[1, 1])
    assert events.between(5, 9) == events[1:3]
    assert events.between(0, 10) == events
    assert len(events.between(6, 9)) == 0
    assert (events.duration_us, events[:0].duration_us) == (9, 0)
    assert events != make_events(shape=(3, 4))


def test_flat_indices_are_those_of_a_dense_array() -> None:
    events = make_events()
    positions = np.arange(16).reshape(2, 2, 4)
    assert events.flat_indices().tolist() == positions[events.polarity, events.y, events.x].tolist()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"t_us": [0, 5, 4, 9]}, "event 2"),
        ({"x": [0, 4, 2, 1]}, "0..3"),
        ({"y": [1, 0, -1, 0]}, "0..1"),
        ({"polarity": [-1, 1, 1, 0]}, "0..1"),
        ({"x": [0, 3, 2]}, "differ in length"),
        ({"t_us": [0.0, 5.5, 6.0, 9.0]}, "integers"),
        ({"y": [[1, 0, 1, 0]]}, "shape"),
        ({"shape": (0, 4)}, "rows and columns"),
        ({"t_us": np.array([0, 1, 2, 2**63], np.uint64)}, "64 bits"),
    ],
)
def test_what_is_no_recording_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        make_events(**changes)


def test_one_event_is_no_slice() -> None:
    with pytest.raises(InputError, match="slices"):
        make_events()[0]  # type: ignore[index]

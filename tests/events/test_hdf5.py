from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snnmap.core.errors import InputError
from snnmap.events import Events, read_events

EVENTS = Events(t_us=[5, 9, 9, 4000], x=[0, 5, 3, 2], y=[1, 3, 0, 2], polarity=[1, 0, 0, 1], shape=(4, 6))


def write_metavision(path: Path, **changes: Any) -> Path:
    table = np.zeros(4, np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")]))
    for name, values in (("x", EVENTS.x), ("y", EVENTS.y), ("p", EVENTS.polarity), ("t", EVENTS.t_us)):
        table[name] = changes.get(name, values)
    with h5py.File(path, "w") as file:
        file["CD/events"] = table
        if "geometry" in changes:
            file.attrs["geometry"] = changes["geometry"]
    return path


def write_dsec(path: Path, **changes: Any) -> Path:
    given = {"x": EVENTS.x, "y": EVENTS.y, "p": EVENTS.polarity, "t": EVENTS.t_us.astype(np.uint32)}
    with h5py.File(path, "w") as file:
        for name, values in {**given, **changes}.items():
            file["t_offset" if name == "t_offset" else f"events/{name}"] = values
    return path


@pytest.mark.parametrize("geometry", ["6x4", np.bytes_(b"6x4")])
def test_metavision(tmp_path: Path, geometry: Any) -> None:
    assert read_events(write_metavision(tmp_path / "a.hdf5", geometry=geometry)) == EVENTS


def test_metavision_without_a_geometry(tmp_path: Path) -> None:
    path = write_metavision(tmp_path / "a.hdf5")
    assert read_events(path, shape=(4, 6)) == EVENTS
    with pytest.raises(InputError, match="4 by 6"):
        read_events(path)


def test_dsec(tmp_path: Path) -> None:
    assert read_events(write_dsec(tmp_path / "a.h5"), shape=(4, 6)) == EVENTS
    later = read_events(write_dsec(tmp_path / "b.h5", t_offset=2**40), shape=(4, 6))
    assert np.array_equal(later.t_us, EVENTS.t_us + 2**40)


@pytest.mark.parametrize(
    "changes", [{"p": [1, -1, 0, 1]}, {"x": [[0, 1, 2, 3]]}, {"t": [0.5, 1.0, 2.0, 3.0]}, {"y": [0, 1]}, {"x": "text"}]
)
def test_dsec_with_other_values_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"a\.h5"):
        read_events(write_dsec(tmp_path / "a.h5", **changes), shape=(4, 6))


def test_other_layouts_and_damage_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["frames"] = [1]
    with pytest.raises(InputError, match="frames"):
        read_events(path)
    with h5py.File(path, "w") as file:
        file["CD/events"] = [1, 2, 3]
    with pytest.raises(InputError, match="cannot be read"):
        read_events(path)
    with h5py.File(path, "w") as file:
        file["CD/events/x"] = [1, 2, 3]
    with pytest.raises(InputError, match="cannot be read"):
        read_events(path)
    content = write_dsec(tmp_path / "b.h5").read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        read_events(path)

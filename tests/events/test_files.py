"""The door to files: what is written is what is read, and damage never passes."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnmap.core.errors import FrontendError, InputError
from snnmap.events import Events, read_events, write_events

FORMATS = {"aedat4": ".aedat4", "dat": ".dat", "evt2": ".raw", "evt3": ".raw"}
DATA = Path(__file__).parent / "data"


def draw_events(n_events: int = 500, end_us: int = 90_000_000) -> Events:
    rng = np.random.default_rng(0)
    y, x, polarity = (rng.integers(0, limit, n_events) for limit in (480, 640, 2))
    return Events(t_us=np.sort(rng.integers(0, end_us, n_events)), x=x, y=y, polarity=polarity, shape=(480, 640))


def write_orchard(path: Path, events: Events) -> Path:
    columns = zip(events.t_us.tolist(), events.x.tolist(), events.y.tolist(), events.polarity.tolist(), strict=True)
    path.write_bytes(b"".join((x << 32 | y << 24 | p << 23 | t).to_bytes(5, "big") for t, x, y, p in columns))
    return path


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("end_us", [50, 90_000_000])
def test_what_is_written_is_read(tmp_path: Path, kind: str, end_us: int) -> None:
    events, path = draw_events(end_us=end_us), tmp_path / f"a{FORMATS[kind]}"
    write_events(path, events, format=kind)
    assert read_events(path) == events
    path = path.rename(tmp_path / "another.name")
    assert read_events(path, format=kind) == events


def test_a_file_of_dv_processing() -> None:
    """Written by dv-processing 2.0.4, the library of the format's makers."""
    i = np.arange(20)
    expected = Events(t_us=1_600_000_000_000_000 + 100 * i, x=i % 8, y=i % 6, polarity=i % 2, shape=(6, 8))
    assert read_events(DATA / "dv_processing.aedat4") == expected


def test_a_file_that_makes_the_decoder_abort_is_refused(tmp_path: Path) -> None:
    """With this byte changed faery 0.7.1 ends its process and not only its call."""
    content = bytearray((DATA / "dv_processing.aedat4").read_bytes())
    content[785] = 206
    path = tmp_path / "a.aedat4"
    path.write_bytes(content)
    with pytest.raises(InputError, match="aborted"):
        read_events(path)


def test_dat_events_of_the_older_type(tmp_path: Path) -> None:
    events, path = draw_events(), tmp_path / "a.dat"
    write_events(path, events, format="dat")
    content = path.read_bytes()
    place = content.index(b"\x0c\x08")
    path.write_bytes(content[:place] + b"\x00\x08" + content[place + 2 :])
    assert read_events(path) == events


def test_dat_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    words = np.array([7, 3 | 5 << 14 | 1 << 28, 9, 2 | 1 << 14], "<u4")
    path.write_bytes(b"% Data file containing CD events\n% Version 2\n\x0c\x08" + words.tobytes())
    assert read_events(path, shape=(6, 4)) == Events(t_us=[7, 9], x=[3, 2], y=[5, 1], polarity=[1, 0], shape=(6, 4))


def test_evt2_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    words = np.array([8 << 28 | 1, 1 << 28 | 5 << 22 | 3 << 11 | 4, 8 << 28 | 70, 0 << 28 | 63 << 22 | 2 << 11 | 1], "<u4")
    path.write_bytes(b"% evt 2.0\n% geometry 4x6\n% end\n" + words.tobytes())
    assert read_events(path) == Events(t_us=[69, 70 * 64 + 63], x=[3, 2], y=[4, 1], polarity=[1, 0], shape=(6, 4))


def test_orchard_by_suffix(tmp_path: Path) -> None:
    events = Events(t_us=[1, 2], x=[33, 0], y=[0, 33], polarity=[1, 0], shape=(34, 34))
    path = write_orchard(tmp_path / "00002.bin", events)
    assert read_events(path, shape=(34, 34)) == events
    with pytest.raises(InputError, match="34 by 34"):
        read_events(path)
    with pytest.raises(InputError, match="event's x"):
        read_events(path, shape=(34, 33))


def test_files_out_of_order_are_put_in_order_on_request(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"".join(t.to_bytes(5, "big") for t in (5, 2, 9)))
    with pytest.raises(InputError, match="descend"):
        read_events(path, shape=(34, 34))
    assert read_events(path, shape=(34, 34), sort=True).t_us.tolist() == [2, 5, 9]


@settings(deadline=None, max_examples=30)
@given(kind=st.sampled_from(sorted(FORMATS)), part=st.floats(0, 1), noise=st.binary(max_size=8), place=st.floats(0, 1))
def test_damage_gives_events_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, kind: str, part: float, noise: bytes, place: float
) -> None:
    path = tmp_path_factory.mktemp("damage") / f"a{FORMATS[kind]}"
    write_events(path, draw_events(20), format=kind)
    content = bytearray(path.read_bytes())
    start = int(place * len(content))
    content[start : start + len(noise)] = noise
    path.write_bytes(content[: int(part * len(content))])
    try:
        assert isinstance(read_events(path, shape=(480, 640)), Events)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("kind", ["dat", "evt2", "evt3"])
def test_files_without_events_or_cut_within_one_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.raw"
    write_events(path, draw_events(), format=kind)
    content = path.read_bytes()
    for cut in (content[:-1], content[: content.index(b"% geometry" if kind != "dat" else b"% Height")]):
        path.write_bytes(cut)
        with pytest.raises(InputError, match=r"a\.raw"):
            read_events(path, shape=(480, 640), format=kind)


@pytest.mark.parametrize(("kind", "t_us", "x"), [("dat", 2**32, 0), ("dat", 0, 2**14), ("evt2", 0, 2**11), ("evt3", 0, 2**11)])
def test_a_format_that_cannot_hold_the_events_is_refused(tmp_path: Path, kind: str, t_us: int, x: int) -> None:
    events = Events(t_us=[t_us], x=[x], y=[0], polarity=[0], shape=(1, x + 1))
    with pytest.raises(InputError, match="cannot"):
        write_events(tmp_path / "a.raw", events, format=kind)
    assert list(tmp_path.iterdir()) == []
    held = Events(t_us=[t_us - (t_us > 0)], x=[x - (x > 0)], y=[0], polarity=[0], shape=(1, x + (x == 0)))
    write_events(tmp_path / "a.raw", held, format=kind)
    assert read_events(tmp_path / "a.raw", format=kind) == held


@pytest.mark.parametrize("kind", ["evt2", "evt3"])
def test_evt_holds_times_beyond_its_bits(tmp_path: Path, kind: str) -> None:
    late = 2**24 if kind == "evt3" else 2**34
    events = Events(t_us=[late + 3, 4 * late, 4 * late + 1], x=[0, 1, 2], y=[2, 1, 0], polarity=[0, 1, 0], shape=(3, 3))
    write_events(tmp_path / "a.raw", events, format=kind)
    assert read_events(tmp_path / "a.raw") == events


def test_only_events_of_formats_that_faery_writes_are_written(tmp_path: Path) -> None:
    events = draw_events(3)
    with pytest.raises(InputError, match="at least one event"):
        write_events(tmp_path / "a.raw", events[:0], format="evt3")
    with pytest.raises(InputError, match="no such format"):
        write_events(tmp_path / "a.bin", events, format="bin")


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.raw", b"", "empty"),
        ("a.raw", b"\x01\x02\x03\x04", "not recognised"),
        ("a.raw", b"% format EVT21;height=720;width=1280\n% end\n\x00\x00", "no such format"),
        ("a.aedat", b"#!AER-DAT2.0\r\n", "not recognised"),
        ("a.aedat4", b"#!AER-DAT4.0\r\n", "faery cannot read"),
        ("a.h5", b"text", "cannot be read"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=text):
        read_events(path, shape=(4, 4))


def test_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_events(tmp_path / "none.bin")
    with pytest.raises(InputError, match="no such format"):
        read_events(DATA / "dv_processing.aedat4", format="aedat2")


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faery", None)
    with pytest.raises(FrontendError, match=r"snnmap\[events\]"):
        read_events(DATA / "dv_processing.aedat4")

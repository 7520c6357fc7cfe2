"""Reading videos and UCF101's folders, of a tiny one that is made here."""

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import torch

from snnmap.core.errors import InputError
from snnmap.nn.models import ResNet, TwoStream

NAMES = ("Archery", "Bowling")


@pytest.fixture
def video_data(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "benchmarks"))
    import video_data

    yield video_data
    for name in ("video_data", "datasets"):
        sys.modules.pop(name, None)


def write_video(path: Path, levels: list[int]) -> None:
    """Write frames of 32x24, each of one grey level, as motion JPEG."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=Fraction(25), width=32, height=24, pix_fmt="yuvj420p")
        for level in levels:
            frame = av.VideoFrame.from_ndarray(np.full((24, 32, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture
def ucf101(tmp_path: Path) -> Path:
    """Two classes of three videos each; the first group of each is the test part."""
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("".join(f"{number} {name}\r\n" for number, name in enumerate(NAMES, 1)))
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for number, name in enumerate(NAMES, 1):
        (tmp_path / "UCF-101" / name).mkdir(parents=True)
        for group in (1, 2, 3):
            member = f"{name}/v_{name}_g{group:02}_c01.avi"
            write_video(tmp_path / "UCF-101" / member, [40 * group + 5 * step for step in range(6)])
            lines["test" if group == 1 else "train"].append(member if group == 1 else f"{member} {number}")
    for part, members in lines.items():
        (lists / f"{part}list01.txt").write_text("\n".join(members) + "\n")
    return tmp_path


def test_the_split_names_videos_and_classes(video_data: ModuleType, ucf101: Path) -> None:
    train, names = video_data.read_ucf101(ucf101)
    test, _ = video_data.read_ucf101(ucf101, part="test")
    assert names == list(NAMES)
    assert [(video.path.name, video.label) for video in train] == [
        (f"v_{name}_g0{group}_c01.avi", label) for label, name in enumerate(NAMES) for group in (2, 3)
    ]
    assert [(video.path.name, video.label) for video in test] == [("v_Archery_g01_c01.avi", 0), ("v_Bowling_g01_c01.avi", 1)]


def test_its_videos_run_through_two_streams(video_data: ModuleType, ucf101: Path) -> None:
    videos, names = video_data.read_ucf101(ucf101)
    frames = np.stack([video_data.read_video(video.path, height=12, n_frames=5) for video in videos])
    assert frames.shape == (4, 5, 12, 16, 3)
    means = frames.mean((2, 3, 4))
    np.testing.assert_allclose(means, [[40 * group + 5 * step for step in range(5)] for _ in NAMES for group in (2, 3)], atol=3.0)
    clip = torch.from_numpy(frames).permute(0, 1, 4, 2, 3).float() / 255.0
    small = {"width": 2, "n_classes": len(names), "small_stem": True}
    model = TwoStream(ResNet((1, 1, 1, 1), **small), ResNet((1, 1, 1, 1), n_channels=6, **small), n_stacked=2).eval()
    assert model(clip).shape == (4, 2)


def test_without_a_height_or_a_number_it_is_the_whole_video(video_data: ModuleType, ucf101: Path) -> None:
    video = video_data.read_ucf101(ucf101)[0][0]
    assert video_data.read_video(video.path).shape == (6, 24, 32, 3)
    with pytest.raises(InputError, match="too short"):
        video_data.read_video(video.path, n_frames=7)


def test_what_is_missing_is_named(video_data: ModuleType, ucf101: Path) -> None:
    with pytest.raises(InputError, match=r"trainlist02\.txt"):
        video_data.read_ucf101(ucf101, split=2)
    (ucf101 / "UCF-101/Bowling/v_Bowling_g03_c01.avi").unlink()
    with pytest.raises(InputError, match="v_Bowling_g03_c01"):
        video_data.read_ucf101(ucf101)


def test_a_label_of_another_folder(video_data: ModuleType, ucf101: Path) -> None:
    path = ucf101 / "ucfTrainTestlist/trainlist01.txt"
    path.write_text(path.read_text().replace("g02_c01.avi 1", "g02_c01.avi 2"))
    with pytest.raises(InputError, match="label is not the folder's"):
        video_data.read_ucf101(ucf101)

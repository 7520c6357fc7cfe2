"""Decodes an AEDAT4 file in a process of its own: a damaged file can make faery 0.7.1 (and aedat 2.3.0) abort its process.

Run as a script, with the file and the ``.npz`` to write.
"""

import sys

import faery
import numpy as np

__all__ = ["save_columns"]


def save_columns(path: str, target: str) -> None:
    """Write the first stream of events and its sensor as an ``.npz`` of t_us, x, y, polarity and shape."""
    stream = faery.events_stream_from_file(path, file_type="aedat")
    width, height = stream.dimensions()
    table = stream.to_array()
    np.savez(target, t_us=table["t"], x=table["x"], y=table["y"], polarity=table["p"], shape=(height, width))


if __name__ == "__main__":
    save_columns(*sys.argv[1:])

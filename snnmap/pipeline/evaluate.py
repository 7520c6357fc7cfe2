"""A whole data set on an image, chunk by chunk on whatever runs jobs, into one table that a second call goes on with."""

import hashlib
import json
import shutil
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snnmap.core import IntArray, fsio
from snnmap.core.errors import InputError
from snnmap.core.jobs import find_version, run_jobs
from snnmap.core.record import record
from snnmap.core.table import Row, read_table, require_table_name, write_table
from snnmap.lif.bitstream import encode
from snnmap.lif.compare import read_labels, run_image
from snnmap.lif.program import Image, Manifest
from snnmap.lif.simulator import batch_engine, require_counts
from snnmap.network import read_raster

__all__ = ["Evaluation", "evaluate_image"]

_Key: TypeAlias = tuple[str, str, str]
"""Digests of image and data, and what ran them."""
_KEY_COLUMNS = ("image", "data", "tool")


@record
class Evaluation:
    """What an image gave for a data set.

    Attributes:
        rows: a row a sample and output port: digests of ``image`` and ``data``, ``tool``, ``sample``, ``port``, ``class`` (None
            with one output), ``label`` and ``right`` where labels were given, ``left``, the values that left their words, and
            ``value_0`` and so on, of which the highest decides.
        n_kept: rows that an earlier call had left.
    """

    rows: tuple[Row, ...]
    n_kept: int = 0

    def count_right(self) -> dict[str, tuple[int, int]]:
        """Return by port the samples whose class is their label, and all with one."""
        judged = [row for row in self.rows if row.get("right") is not None]
        ports = dict.fromkeys(str(row["port"]) for row in judged)
        by_port = {port: [bool(row["right"]) for row in judged if row["port"] == port] for port in ports}
        return {port: (sum(right), len(right)) for port, right in by_port.items()}

    @property
    def n_left(self) -> int:
        """Values that left their words on the chip."""
        ports = {row["port"] for row in self.rows[:1]}
        return sum(int(row["left"] or 0) for row in self.rows if row["port"] in ports)


def evaluate_image(
    image: Image,
    raster: npt.ArrayLike,
    *,
    labels: npt.ArrayLike | None = None,
    executor: Executor | None = None,
    n_workers: int | None = None,
    table: Path | str | None = None,
    chunk: int = 256,
) -> Evaluation:
    """Run all samples of a data set on an image, bit for bit as the chip does, and read its outputs as its manifest says.

    The rows do not depend on who ran them, in which order, or how often a worker died.

    Args:
        image: with its manifest, as a build makes it.
        raster: ``(n_samples, n_steps, n_inputs)`` spike counts.
        labels: ``(n_samples,)`` classes.
        executor: runs the chunks, with the interface of ``concurrent.futures`` (such as :func:`snnmap.core.jobs.open_cluster`
            gives); None is local processes, which scripts must start under ``if __name__ == "__main__":``.
        n_workers: local processes; as many as there are cores where left out.
        table: ``.parquet`` or ``.csv`` file that the rows are added to. Rows that it has of this image, data and snnmap are
            taken as they are. Until it is written, finished chunks are kept in a folder beside it, and a call that was cut
            off goes on from them where its chunks are as large.
        chunk: samples that a worker runs at once.

    Raises:
        InputError: wrong raster or labels, counts beyond those of a channel, an image that does not say how it is read, a
            table that cannot be read, or workers that die or have another snnmap.
        FrontendError: the table is Parquet and pyarrow is not installed.
    """
    manifest, counts = _require_manifest(image), read_raster(raster, image.sizes[0], where="input raster")
    require_counts(counts, image.chip)
    classes = None if labels is None else _read_classes(labels, counts.shape[0], manifest)
    if chunk < 1:
        raise InputError("a chunk holds no sample", where="chunk", measured=str(chunk), limit=">= 1", fix="give chunk=256")
    key, path = _make_key(image, counts, classes), None if table is None else Path(table)
    if path is None:
        return Evaluation(rows=tuple(_run_chunks(image, counts, classes, key, executor, n_workers, chunk, None)[0]))
    require_table_name(path)
    others = read_table(path, texts=(*_KEY_COLUMNS, "port")) if path.exists() else []
    rows = [row for row in others if tuple(row.get(name) for name in _KEY_COLUMNS) == key]
    if rows:
        return Evaluation(rows=tuple(rows), n_kept=len(rows))
    parts = path.with_name(f".{path.name}.{key[0][:12]}-{key[1][:12]}-{chunk}.parts")
    found, n_kept = _run_chunks(image, counts, classes, key, executor, n_workers, chunk, parts)
    write_table(path, [*others, *found])
    shutil.rmtree(parts, ignore_errors=True)
    return Evaluation(rows=tuple(found), n_kept=n_kept)


def _require_manifest(image: Image) -> Manifest:
    if image.manifest is None:
        raise InputError(
            "the image does not tell how its outputs are read",
            where=f"image for chip '{image.chip.name}'",
            fix="build it anew: snnmap build MODEL --chip NAME",
        )
    return image.manifest


def _read_classes(labels: npt.ArrayLike, n_samples: int, manifest: Manifest) -> IntArray:
    return read_labels(labels, n_samples, max((readout.size for readout in manifest.readouts), default=0))


def _make_key(image: Image, counts: IntArray, labels: IntArray | None) -> _Key:
    data = hashlib.sha256(f"{counts.shape}".encode() + np.ascontiguousarray(counts, "<i8").tobytes())
    data.update(b"" if labels is None else np.ascontiguousarray(labels, "<i8").tobytes())
    return hashlib.sha256(encode(image)).hexdigest(), data.hexdigest(), f"snnmap {find_version()}"


def _run_chunks(
    image: Image,
    counts: IntArray,
    labels: IntArray | None,
    key: _Key,
    executor: Executor | None,
    n_workers: int | None,
    chunk: int,
    parts: Path | None,
) -> tuple[list[Row], int]:
    """Return the rows of all samples in their order, and how many of them were kept from a call that was cut off."""
    done = {} if parts is None else _read_parts(parts, key)
    n_kept = sum(map(len, done.values()))
    narrow = counts.astype(np.min_scalar_type(int(counts.max(initial=0))))
    spans = [slice(start, start + chunk) for start in range(0, counts.shape[0], chunk) if start not in done]
    jobs = {span.start: (image, span.start, narrow[span], None if labels is None else labels[span]) for span in spans}
    for start, rows in run_jobs(_run_chunk, jobs, executor, n_workers=n_workers):
        done[start] = rows
        if parts is not None:
            fsio.write_file(parts / f"{start}.json", json.dumps({"key": key, "rows": rows}).encode())
    named = dict(zip(_KEY_COLUMNS, key, strict=True))
    return [{**named, **row} for start in sorted(done) for row in done[start]], n_kept


def _read_parts(folder: Path, key: _Key) -> dict[int, list[Row]]:
    """Read the finished chunks of a call that was cut off; of another snnmap there are none."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            part = json.loads(path.read_text())
            if tuple(part["key"]) == key:
                found[int(path.stem)] = part["rows"]
        except (ValueError, LookupError, TypeError) as error:
            raise InputError(f"a finished chunk cannot be read: {error}", where=str(path), fix=f"rm -r {folder}") from error
    return found


def _run_chunk(image: Image, start: int, counts: npt.NDArray[Any], labels: IntArray | None) -> list[Row]:
    """Run some samples and return a row a sample and port, as JSON values."""
    engine = batch_engine(n_threads=1)  # whoever runs the chunks shares out the cores
    run = run_image(image, _require_manifest(image), np.asarray(counts, np.int64), engine=engine)
    left = np.zeros(len(counts), np.int64) if run.saturation is None else run.saturation.by_sample
    rows: list[Row] = []
    for sample in range(len(counts)):
        for port in run.ports:
            classes, values = port.classes, port.decided_by[sample]
            label = None if labels is None or classes is None else int(labels[sample])
            chosen = None if classes is None else int(classes[sample])
            row: Row = {
                "sample": start + sample,
                "port": port.readout.port,
                "class": chosen,
                "label": label,
                "right": None if label is None else chosen == label,
                "left": int(left[sample]),
                **{f"value_{place}": value for place, value in enumerate(values.tolist())},
            }
            rows.append(row)
    return rows

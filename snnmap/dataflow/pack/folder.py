"""A pipeline as files: weights and parameters of each stage, their text twins, and a manifest with digests."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnmap.core.errors import FormatError, InputError
from snnmap.core.folders import replace_folder
from snnmap.dataflow.allocate import Stage
from snnmap.dataflow.lower import Loops
from snnmap.dataflow.pack.layout import Packed, pack_stage
from snnmap.dataflow.pack.text import format_words, parse_words
from snnmap.dataflow.pipeline import Pipeline
from snnmap.dataflow.templates import Parallelism

__all__ = [
    "MANIFEST",
    "digest_manifest",
    "list_files",
    "make_manifest",
    "pack_pipeline",
    "read_files",
    "require_own",
    "write_folder",
]

MANIFEST = "pipeline.json"
FORMAT = "snnmap pipeline 1"
_OF_A_PIPELINE = re.compile(r"\d{2,}-[^/]*\.(weights|parameters|hex)|pipeline\.json")
_REBUILD = "build the files again: snnmap dataflow build"


def pack_pipeline(pipeline: Pipeline) -> dict[str, Packed]:
    """Return what the memories of each stage are loaded with, by the name of its layer; of those that have weights."""
    packed = {stage.layer.name: pack_stage(stage) for stage in pipeline.all_stages}
    return {name: one for name, one in packed.items() if one is not None}


def list_files(pipeline: Pipeline) -> dict[str, bytes]:
    """Return all files of a pipeline by name; the same pipeline gives the same bytes.

    Of each stage with weights ``NN-name.weights`` (words, a byte a weight, two's complement), ``NN-name.parameters`` (int32
    biases, then float32 factors, little-endian) and ``NN-name.hex``, the weights as text; and ``pipeline.json``, which ends with
    the SHA-256 of its other fields, as JSON with sorted keys. Digests tell accidents, not intent.
    """
    files: dict[str, bytes] = {}
    for name, packed in pack_pipeline(pipeline).items():
        stem = _find_stem(pipeline, name)
        files[f"{stem}.weights"] = packed.words.tobytes()
        files[f"{stem}.parameters"] = packed.bias.astype("<i4").tobytes() + packed.factor.astype("<f4").tobytes()
        files[f"{stem}.hex"] = format_words(packed.words).encode()
    manifest = make_manifest(pipeline)
    manifest["files"] = {name: {"bytes": len(data), "sha256": _digest(data)} for name, data in sorted(files.items())}
    manifest["sha256"] = digest_manifest(manifest)
    return {**files, MANIFEST: (json.dumps(manifest, indent=2, allow_nan=False) + "\n").encode()}


def make_manifest(pipeline: Pipeline) -> dict[str, Any]:
    """Return what a pipeline is, as JSON values: device, streams, stages, buffers."""
    network, names = pipeline.network, [*(stream.name for stream in pipeline.network.inputs)]
    return {
        "format": FORMAT,
        "name": network.name,
        "device": {"name": pipeline.device.name, "digest": pipeline.device.digest},
        "interval_cycles": pipeline.interval,
        "inputs": names,
        "outputs": list(network.outputs),
        "streams": {
            name: {"channels": stream.channels, "height": stream.height, "width": stream.width}
            for name, stream in network.streams.items()
        },
        "stages": [_describe_stage(pipeline, stage) for stage in pipeline.all_stages],
        "shared_from": len(pipeline.stages) if pipeline.unit is not None else None,
        "buffers": [
            {"stream": one.stream, "reader": one.reader, "input": one.place, "words": one.depth, "word_bytes": one.word_bytes}
            for one in pipeline.buffers
        ],
    }


def write_folder(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Put files in the place of an older pipeline's at once, whole or not at all; files of others stay.

    Args:
        folder: made if absent.
        files: as :func:`list_files` gives them, and others by name.

    Raises:
        InputError: the folder is a mount point, or holds the working directory.
        OSError: the folder cannot be written or the disk is full; nothing is left half-written.
    """
    replace_folder(Path(folder), files, lambda name: bool(_OF_A_PIPELINE.fullmatch(name)))


def require_own(pipeline: Pipeline, manifest: Mapping[str, Any]) -> None:
    """Check that files are of this pipeline.

    Args:
        pipeline: that they should be of.
        manifest: as :func:`read_files` gives it.

    Raises:
        InputError: the manifest tells another device, stage, stream or buffer; it says what differs first.
    """
    told = {key: value for key, value in manifest.items() if key not in ("files", "sha256")}
    found = _find_difference(told, json.loads(json.dumps(make_manifest(pipeline))))
    if found is None:
        return
    place, theirs, ours = found
    raise InputError(
        "the files are of another pipeline",
        where=f"{MANIFEST}: {place}",
        measured=theirs,
        limit=ours,
        fix="give the model, device and options that they were built with, or build them again: snnmap dataflow build",
    )


def read_files(folder: str | Path) -> tuple[dict[str, Any], dict[str, Packed]]:
    """Read files of a pipeline back, check the digests of the manifest and of all files, and weights against their text twins.

    Returns:
        The manifest, and what the memories of each stage are loaded with.

    Raises:
        FormatError: a file is missing, or is another than the manifest tells.
    """
    root = Path(folder)
    manifest = _read_manifest(root / MANIFEST)
    try:
        files = {name: _read_checked(root, name, told) for name, told in manifest["files"].items()}
        packed = {stage["name"]: _read_packed(stage, files) for stage in manifest["stages"] if stage["files"]}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        told = f"{type(error).__name__}: {error}"
        raise FormatError(
            f"the manifest does not tell what it should ({told})", where=str(root / MANIFEST), fix=_REBUILD
        ) from error
    return manifest, packed


def _find_stem(pipeline: Pipeline, name: str) -> str:
    number = next(number for number, stage in enumerate(pipeline.all_stages) if stage.layer.name == name)
    return f"{number:02d}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)}"


def _find_difference(theirs: Any, ours: Any, place: str = "") -> tuple[str, str, str] | None:
    """Return where two JSON values differ first, and what stands there; None where they are equal."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        pairs = [(f"{place}.{key}".lstrip("."), theirs.get(key), ours.get(key)) for key in {**ours, **theirs}]
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        pairs = [(f"{place}[{number}]", one, other) for number, (one, other) in enumerate(zip(theirs, ours, strict=True))]
    else:
        return None if theirs == ours else (place, json.dumps(theirs)[:60], json.dumps(ours)[:60])
    return next(filter(None, (_find_difference(one, other, within) for within, one, other in pairs)), None)


def _describe_stage(pipeline: Pipeline, stage: Stage) -> dict[str, Any]:
    layer, factors, matrix = stage.layer, stage.parallelism, stage.layer.matrix
    return {
        "name": layer.name,
        "operation": layer.node.kind,
        "module": layer.node.source,
        "template": stage.template.name,
        "sources": list(layer.sources),
        "loops": {"outputs": layer.loops.outputs, "channels": layer.loops.channels, "kernel": layer.loops.kernel},
        "parallelism": {
            "outputs": factors.outputs, "channels": factors.channels, "kernel": factors.kernel, "places": factors.places,
        },
        "firings": layer.flow.n_firings,
        "weights_stay": not stage.is_streamed,
        "weight_sets": 0 if matrix is None else len(matrix.weights),
        "zeros": None if matrix is None else {"input": matrix.source_zero, "output": matrix.zero},
        "files": None if matrix is None else _find_stem(pipeline, layer.name),
    }  # fmt: skip


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"the manifest cannot be read: {error}", where=str(path), fix=_REBUILD) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FormatError("the file is no manifest of a pipeline", where=str(path), limit=FORMAT, fix=_REBUILD)
    if digest_manifest(manifest) != manifest.get("sha256"):
        raise FormatError(
            "the manifest is another than its digest tells",
            where=str(path),
            measured=f"SHA-256 {digest_manifest(manifest)[:12]}...",
            limit=f"{str(manifest.get('sha256'))[:12]}...",
            fix=_REBUILD,
        )
    return manifest


def _read_checked(root: Path, name: str, told: Mapping[str, Any]) -> bytes:
    if Path(name).name != name:
        raise FormatError("a file is not in the folder of its manifest", where=name, fix=_REBUILD)
    try:
        data = (root / name).read_bytes()
    except OSError as error:
        raise FormatError(f"a file cannot be read: {error.strerror}", where=str(root / name), fix=_REBUILD) from error
    if (len(data), _digest(data)) != (told["bytes"], told["sha256"]):
        raise FormatError(
            "a file is another than its manifest tells",
            where=str(root / name),
            measured=f"{len(data)} bytes, SHA-256 {_digest(data)[:12]}...",
            limit=f"{told['bytes']} bytes, {str(told['sha256'])[:12]}...",
            fix=_REBUILD,
        )
    return data


def _read_packed(stage: Mapping[str, Any], files: Mapping[str, bytes]) -> Packed:
    """Return the memories of a stage, their sizes and the text twin checked."""
    stem, loops, parallelism = stage["files"], Loops(**stage["loops"]), Parallelism(**stage["parallelism"])
    shape = (stage["weight_sets"] * parallelism.count_steps(loops), parallelism.word_weights)
    sizes = [len(files[f"{stem}.{suffix}"]) for suffix in ("weights", "parameters")]
    if sizes != [shape[0] * shape[1], 8 * loops.outputs]:
        raise FormatError("a stage has other files than its loops need", where=stem, measured=str(sizes), fix=_REBUILD)
    words = np.frombuffer(files[f"{stem}.weights"], np.int8).reshape(shape)
    parameters = files[f"{stem}.parameters"]
    try:
        twin = parse_words(files[f"{stem}.hex"].decode("ascii", "replace"), shape[1])
    except FormatError as error:
        raise error.within(f"{stem}.hex") from error
    if not np.array_equal(words, twin):
        raise FormatError("weights and their text differ", where=f"{stem}.weights, {stem}.hex", fix=_REBUILD)
    return Packed(
        words=words,
        bias=np.frombuffer(parameters, "<i4", loops.outputs).astype(np.int32),
        factor=np.frombuffer(parameters, "<f4", loops.outputs, 4 * loops.outputs).astype(np.float32),
    )


def digest_manifest(manifest: Mapping[str, Any]) -> str:
    """Return the digest of all that a manifest tells but this."""
    told = {key: value for key, value in manifest.items() if key != "sha256"}
    return _digest(json.dumps(told, sort_keys=True).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

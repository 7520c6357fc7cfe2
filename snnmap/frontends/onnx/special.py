"""ONNX operators that are written otherwise in a layer graph: whose shapes count the batch, or that give several tensors."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from snnmap.frontends.onnx.choices import CHOICES, drop_batch, note_comparison
from snnmap.frontends.onnx.classical import CLASSICAL
from snnmap.frontends.onnx.einsum import read_einsum
from snnmap.frontends.onnx.joined import read_joined_reshape, refuse_joined
from snnmap.frontends.onnx.node import OnnxNode
from snnmap.graph import BATCHES, UnreadableError
from snnmap.graph.fixes import BY_VALUES
from snnmap.graph.operations.arithmetic import Add, Sum
from snnmap.graph.operations.gemm import MatMul
from snnmap.graph.operations.movement import Expand, Flatten, Gather, Identity, Pad, Reshape, Slice, Squeeze, Transpose, Unsqueeze
from snnmap.graph.operations.pooling import ReduceMax, ReduceMean, ReduceMin, ReduceSum, Reduction
from snnmap.graph.operations.resize import Resize

if TYPE_CHECKING:
    from snnmap.frontends.onnx.read import OnnxReader

__all__ = ["MOVED", "SPECIAL", "read_plain"]

_COORDINATES = ("align_corners", "asymmetric", "half_pixel", "pytorch_half_pixel")
_WHOLE = 10**9
"""From which number on a slice ends behind all samples, as exporters write it, JAX's the least."""
_REDUCTIONS: Mapping[str, type[Reduction]] = {kind.__name__: kind for kind in (ReduceMax, ReduceMean, ReduceMin, ReduceSum)}


def read_plain(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read an operator that a record of the same name describes as it is."""
    operation, inputs = reader.make_operation(node)
    if any(node.outputs[1:]):
        raise UnreadableError(f"it gives {len(node.outputs)} outputs, and one is read", "export the model with one")
    reader.add(node, operation, inputs)


def _read_spread(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read an operator whose operands are spread over each other; constants lose sides of 1 where the batch is."""
    operation, inputs = reader.make_operation(node)
    rank = max(len(reader.shape_of(name)) for name in inputs if name in reader.values)
    for name in inputs:
        array = reader.constants.get(name)
        if array is not None and name not in reader.values:
            reader.constants[name] = drop_batch(name, array, rank)
    reader.add(node, operation, inputs)


def _read_sum(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read a sum of any number of operands as additions of two; of two quantised ones as it is, for it is one of floats."""
    if len(node.inputs) == 1:
        reader.add(node, Identity(), node.inputs)
        return
    if len(node.inputs) == 2 and all(reader.kind_of(name) == "DequantizeLinear" for name in node.inputs):
        reader.add(node, Sum(), node.inputs)
        return
    total, *rest = map(reader.name_of, node.inputs)
    for place, name in enumerate(rest[:-1]):
        total = reader.builder.add(f"{node.name}.{place}", Add(), [total, name], source=node.source)
    reader.values[node.outputs[0]] = reader.builder.add(
        node.name, Add(), [total, rest[-1]], source=node.source, tensor=node.outputs[0]
    )


def _read_reshape(reader: "OnnxReader", node: OnnxNode) -> None:
    shape = reader.shape_of(node.inputs[0])
    numbers = [int(number) for number in reader.constant(node, 1).reshape(-1)]
    if read_joined_reshape(reader, node, numbers):
        return
    whole = (1, *shape)
    new = [whole[axis] if number == 0 and axis < len(whole) else number for axis, number in enumerate(numbers)]
    size = int(np.prod(shape))
    if not new or numbers[0] not in (0, 1, -1, reader.batch) or new.count(-1) > 1 + (new[0] == -1):
        raise _mix_samples(shape, numbers)
    known = int(np.prod([number for number in new[1:] if number != -1]))
    sides = tuple(size // max(known, 1) if number == -1 else number for number in new[1:])
    if int(np.prod(sides)) != size:
        raise _mix_samples(shape, numbers)
    reader.add(node, Reshape(shape=sides), node.inputs[:1])


def _read_flatten(reader: "OnnxReader", node: OnnxNode) -> None:
    shape = reader.shape_of(node.inputs[0])
    rank = len(shape) + 1
    axis = node.get("axis", 1)
    axis += rank if axis < 0 else 0
    if axis == rank - 1 > 1 and read_joined_reshape(reader, node, [-1, shape[-1]]):
        return
    if node.inputs[0] in reader.joined:
        raise refuse_joined()
    if axis != 1:
        raise UnreadableError(f"it flattens from axis {axis}, and samples would mix", "flatten from axis 1")
    reader.add(node, Flatten(), node.inputs)


def _read_axes(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read Squeeze, Unsqueeze and reductions, whose axes are an input or an attribute."""
    given = node.attributes.get("axes", reader.constant(node, 1))
    sides, batch_axis = reader.sides_of(node.inputs[0]), reader.batch_axes.get(node.inputs[0], 0)
    rank = len(sides)
    if given is None:
        given = [axis for axis, side in enumerate(sides) if side == 1] if node.kind == "Squeeze" else list(range(rank))
    numbers = [int(axis) for axis in np.asarray(given).reshape(-1)]
    rank += len(numbers) if node.kind == "Unsqueeze" else 0
    axes = tuple(axis + rank if axis < 0 else axis for axis in numbers)
    if node.kind == "Squeeze" and batch_axis in axes:
        raise _mix_samples(reader.shape_of(node.inputs[0]), numbers)
    if node.kind in _REDUCTIONS:
        reader.add(node, _REDUCTIONS[node.kind](axes=axes, keepdims=int(node.get("keepdims", 1))), node.inputs[:1])
    else:
        reader.add(node, (Squeeze if node.kind == "Squeeze" else Unsqueeze)(axes=axes), node.inputs[:1])


def _read_slice(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read a slice, its bounds within the sides that it cuts."""
    starts, ends, axes, steps = (reader.constant(node, place) for place in range(1, 5))
    whole, batch_axis = reader.sides_of(node.inputs[0]), reader.batch_axes.get(node.inputs[0], 0)
    places = [axis % len(whole) for axis in (range(len(starts)) if axes is None else axes.tolist())]
    spans = [1] * len(places) if steps is None else steps.tolist()
    bounds, cut = [], []
    for axis, start, end, step in zip(places, starts.tolist(), ends.tolist(), spans, strict=True):
        if axis == batch_axis and start == 0 and step == 1 and end >= _WHOLE:  # all samples
            continue
        first, stop, _ = slice(start, end, step).indices(whole[axis])
        bounds.append((first, stop if stop >= 0 else -whole[axis] - 1))
        cut.append((axis, step))
    if not cut:
        reader.add(node, Identity(), node.inputs[:1])
        return
    operation = Slice(
        starts=tuple(first for first, _ in bounds),
        ends=tuple(stop for _, stop in bounds),
        axes=tuple(axis for axis, _ in cut),
        steps=tuple(step for _, step in cut),
    )
    reader.add(node, operation, node.inputs[:1])


def _read_split(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read a split as a slice for each part."""
    sides = reader.sides_of(node.inputs[0])
    axis = int(node.get("axis", 0)) % len(sides)
    if axis == reader.batch_axes.get(node.inputs[0], 0):
        raise UnreadableError("it splits the samples", "split another axis than the batch")
    side = sides[axis]
    given = reader.constant(node, 1)
    each = -(-side // len(node.outputs))
    sizes = [min(each, side - place * each) for place in range(len(node.outputs))] if given is None else given.tolist()
    ends = np.cumsum(sizes).tolist()
    for place, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        reader.add(node, Slice(starts=(end - size,), ends=(end,), axes=(axis,)), node.inputs[:1], place=place)


def _read_picks(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read a GatherND: places of the first axes, which are no samples."""
    places, batch_axis = np.asarray(reader.constant(node, 1)), reader.batch_axes.get(node.inputs[0], 0)
    n_axes = places.shape[-1]
    if node.get("batch_dims", 0) or batch_axis < n_axes:
        raise UnreadableError("it picks samples, or by places that differ between them", "pick from other axes than the batch")
    shape, after = reader.shape_of(node.inputs[0]), batch_axis - n_axes + places.ndim - 1
    numbers = [places[..., axis] % shape[axis] for axis in range(n_axes)]  # from the end where negative
    flat = Reshape(shape=(int(np.prod(shape[:n_axes])), *shape[n_axes:]))
    joint = reader.builder.add(f"{node.name}.joint", flat, [reader.name_of(node.inputs[0])], source=node.source)
    picked = reader.builder.add_constant(f"{node.name}.places", np.ravel_multi_index(numbers, shape[:n_axes]))
    told = "" if after else node.outputs[0]
    reader.values[node.outputs[0]] = reader.builder.add(
        node.name, Gather(axis=1), [joint, picked], source=node.source, tensor=told
    )
    reader.place_batch(node.outputs[0], after)


def _read_pad(reader: "OnnxReader", node: OnnxNode) -> None:
    pads, value, axes = (reader.constant(node, place) for place in range(1, 4))
    rank = len(reader.shape_of(node.inputs[0])) + 1
    places = range(rank) if axes is None else [int(axis) % rank for axis in axes]
    whole = np.zeros(2 * rank, np.int64)
    whole[[*places, *(rank + axis for axis in places)]] = pads
    filled = 0.0 if value is None else float(value.item())
    reader.add(node, Pad(pads=tuple(whole.tolist()), mode=node.get("mode", "constant"), value=filled), node.inputs[:1])


def _read_expand(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read a sample spread to a shape, in which 1 leaves a side as it is."""
    shape, given = reader.shape_of(node.inputs[0]), reader.constant(node, 1)
    wanted = (1,) * (len(shape) + 1 - given.size) + tuple(given.reshape(-1).tolist())
    if len(wanted) > len(shape) + 1 or wanted[0] not in (0, 1, reader.batch):
        raise _mix_samples(shape, given.tolist())
    sides = tuple(old if new == 1 else new for old, new in zip(shape, wanted[1:], strict=True))
    reader.add(node, Expand(shape=sides), node.inputs[:1])


def _read_tile(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read repetitions of a sample along its axes as choices of their places."""
    repeats = [int(number) for number in reader.constant(node, 1)]
    shape, name = reader.shape_of(node.inputs[0]), reader.name_of(node.inputs[0])
    if len(repeats) != len(shape) + 1 or repeats[0] != 1:
        raise _mix_samples(shape, repeats)
    for axis, (side, count) in enumerate(zip(shape, repeats[1:], strict=True), 1):
        if count != 1:
            places = reader.builder.add_constant(f"{node.name}.places{axis}", np.tile(np.arange(side), count))
            name = reader.builder.add(f"{node.name}.{axis}", Gather(axis=axis), [name, places], source=node.source)
    reader.values[node.outputs[0]] = reader.builder.add(node.name, Identity(), [name], source=node.source, tensor=node.outputs[0])


def _read_running_sum(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read sums of all places up to each as a product of that axis, brought to the end."""
    rank = len(reader.shape_of(node.inputs[0])) + 1
    axis = int(np.asarray(reader.constant(node, 1)).item()) % rank
    if axis == 0:
        raise UnreadableError("it adds up samples", "add up along another axis than the batch")
    side = reader.shape_of(node.inputs[0])[axis - 1]
    weights = np.triu(np.ones((side, side), np.float32), 1 if node.get("exclusive", 0) else 0)
    matrix = reader.builder.add_constant(f"{node.name}.weights", weights.T if node.get("reverse", 0) else weights)
    perm = list(range(rank))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    turned = reader.builder.add(
        f"{node.name}.turned", Transpose(perm=tuple(perm)), [reader.name_of(node.inputs[0])], source=node.source
    )
    sums = reader.builder.add(f"{node.name}.sums", MatMul(), [turned, matrix], source=node.source)
    reader.values[node.outputs[0]] = reader.builder.add(
        node.name, Transpose(perm=tuple(perm)), [sums], source=node.source, tensor=node.outputs[0]
    )


def _read_resize(reader: "OnnxReader", node: OnnxNode) -> None:
    names = ("mode", "coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a")
    changing = {"antialias": 0, "exclude_outside": 0, "keep_aspect_ratio_policy": "stretch"}
    wrong = [name for name, usual in changing.items() if node.get(name, usual) != usual]
    if wrong or node.get("coordinate_transformation_mode", "half_pixel") not in _COORDINATES:
        what = wrong[0] if wrong else f"coordinates by {node.get('coordinate_transformation_mode', '')}"
        raise UnreadableError(f"resizing with {what}", "export it without")
    scales, sizes = reader.constant(node, 2), reader.constant(node, 3)
    sides = reader.shape_of(node.inputs[0])
    places = node.get("axes", range(len(sides) + 1))
    given = sizes if scales is None or not scales.size else scales
    told = dict(zip((axis % (len(sides) + 1) for axis in places), given.reshape(-1).tolist(), strict=True))
    if told.get(0, 1) not in (0, 1, reader.batch):
        raise UnreadableError("it resizes the batch", "resize axes of a sample")
    is_scaled = given is not sizes
    numbers = tuple(told.get(axis, 1.0 if is_scaled else side) for axis, side in enumerate(sides, 1))
    options: dict[str, Any] = {name: node.attributes[name] for name in names if name in node.attributes}
    options["scales" if is_scaled else "sizes"] = numbers
    reader.add(node, Resize(**options), node.inputs[:1])


def _read_blocks(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read DepthToSpace and SpaceToDepth as a transposition of the blocks' axes."""
    channels, *places = reader.shape_of(node.inputs[0])
    side = int(node.get("blocksize", 1))
    height, width = places
    if node.kind == "SpaceToDepth":
        split, perm = (channels, height // side, side, width // side, side), (0, 3, 5, 1, 2, 4)
        whole: tuple[int, ...] = (channels * side**2, height // side, width // side)
    else:
        is_last = node.get("mode", "DCR") == "CRD"  # whether the blocks are counted after the channels that are left
        left = channels // side**2
        split = (left, side, side, height, width) if is_last else (side, side, left, height, width)
        perm = (0, 1, 4, 2, 5, 3) if is_last else (0, 3, 4, 1, 5, 2)
        whole = (left, height * side, width * side)
    parts = reader.builder.add(f"{node.name}.split", Reshape(shape=split), [reader.name_of(node.inputs[0])], source=node.source)
    moved = reader.builder.add(f"{node.name}.moved", Transpose(perm=perm), [parts], source=node.source)
    reader.values[node.outputs[0]] = reader.builder.add(
        node.name, Reshape(shape=whole), [moved], source=node.source, tensor=node.outputs[0]
    )


def _read_cast(reader: "OnnxReader", node: OnnxNode) -> None:
    from onnx import TensorProto, helper

    compared = reader.comparisons.get(node.inputs[0])
    if compared is not None:
        if node.get("to", TensorProto.BOOL) != TensorProto.BOOL:
            raise UnreadableError("it compares values of activations", BY_VALUES)
        note_comparison(reader, node.outputs[0], compared)
        return
    if node.inputs[0] not in reader.values:  # CastLike: a constant gets the type of an activation
        reader.constants[node.outputs[0]] = reader.constants[node.inputs[0]].astype(np.float32)
        return
    kinds = [helper.tensor_dtype_to_np_dtype(node.get("to", 0))] if "to" in node.attributes else []
    if any(kind.kind != "f" or kind.itemsize < 4 for kind in kinds):
        raise UnreadableError(f"a cast to {kinds[0]} rounds activations", "cast to float32, or quantise with QuantizeLinear")
    reader.add(node, Identity(), node.inputs[:1])


def _read_shape(reader: "OnnxReader", node: OnnxNode) -> None:
    """Give a shape as a constant, of several batches where their size is a part of it."""
    span = slice(node.get("start", 0), node.get("end", None))
    reader.keep(node.outputs[0], [np.asarray(reader.sides_of(node.inputs[0], batch)[span], np.int64) for batch in BATCHES])


def _read_evaluated(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read BatchNormalization and Dropout, which training would change."""
    if node.get("training_mode", 0):
        raise UnreadableError("it is in training mode", "export in evaluation mode")
    operation, inputs = reader.make_operation(node)
    reader.add(node, operation, inputs[:1] if node.kind == "Dropout" else inputs)


def _mix_samples(shape: tuple[int, ...], numbers: list[int]) -> UnreadableError:
    return UnreadableError(
        f"samples of shape {shape} are reshaped to {numbers} and would mix, since the batch is reshaped too",
        "keep the batch as the first dimension",
    )


SPECIAL: Mapping[str, Callable[["OnnxReader", OnnxNode], None]] = {
    **CHOICES,
    **CLASSICAL,
    "BatchNormalization": _read_evaluated,
    "Cast": _read_cast,
    "CastLike": _read_cast,
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _read_blocks),
    "CumSum": _read_running_sum,
    "Dropout": _read_evaluated,
    "Einsum": read_einsum,
    "Expand": _read_expand,
    "Flatten": _read_flatten,
    "GatherND": _read_picks,
    "Pad": _read_pad,
    **dict.fromkeys(_REDUCTIONS, _read_axes),
    "Reshape": _read_reshape,
    "Resize": _read_resize,
    "Shape": _read_shape,
    "Slice": _read_slice,
    "Split": _read_split,
    "Squeeze": _read_axes,
    "Sum": _read_sum,
    "Tile": _read_tile,
    "Unsqueeze": _read_axes,
    **dict.fromkeys(
        ("Add", "Div", "Equal", "Max", "Min", "Mul", "PRelu", "Pow", "QLinearAdd", "QLinearMul", "Sub"), _read_spread
    ),
}

MOVED: Mapping[str, Callable[["OnnxReader", OnnxNode], None]] = {
    **dict.fromkeys(("Add", "Concat", "Div", "Max", "Min", "Mul", "Sub"), read_plain),
    "GatherND": _read_picks,
    "MatMul": read_plain,
    **dict.fromkeys(("Squeeze", "Unsqueeze", *_REDUCTIONS), _read_axes),
    "Shape": _read_shape,
    "Slice": _read_slice,
    "Split": _read_split,
}
"""What reads values whose batch is not the first axis."""

"""From an ONNX model to a layer graph."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from snnmap.core.errors import FrontendError, NetworkError
from snnmap.core.packages import import_package
from snnmap.frontends.onnx.batch import settle_batch
from snnmap.frontends.onnx.choices import read_branch
from snnmap.frontends.onnx.classical import list_scores
from snnmap.frontends.onnx.fixes import FIXES, LEAVE_OUT
from snnmap.frontends.onnx.inferred import InferredTypes, is_weight
from snnmap.frontends.onnx.joined import JOINED, refuse_joined
from snnmap.frontends.onnx.metadata import apply_quantisation, read_quantisation
from snnmap.frontends.onnx.node import OnnxNode
from snnmap.frontends.onnx.special import MOVED, SPECIAL, read_plain
from snnmap.frontends.onnx.windows import resolve_pads
from snnmap.graph import (
    BATCHES,
    OPERATIONS,
    GraphBuilder,
    LayerGraph,
    Operation,
    UnreadableError,
    follow_batch,
    refuse_moved,
)
from snnmap.graph.operation import Array
from snnmap.graph.operations.opaque import Opaque

__all__ = ["OnnxReader", "open_model", "read_layer_graph"]

LEAST_OPSET = 13
_LAST_ASYMMETRIC = 10
"""Operator set after which Resize tells its coordinates."""
_IGNORED = {"auto_pad", "momentum", "storage_order", "training_mode", "allowzero", "noop_with_empty_axes", "seed", "kernel_shape"}
"""Attributes that an operation's record need not have: they are resolved here, or change nothing in evaluation."""
InputShape: TypeAlias = Sequence[int] | Mapping[str, Sequence[int]] | None
_OF_SHAPES = {
    "And", "Ceil", "ConstantOfShape", "Equal", "Floor", "If", "Mod", "NonZero", "Not", "Or", "Range", "Round", "ScatterND", "Size"
}  # fmt: skip
"""Operators by which exporters compute shapes, and decide: behind what could not be read it is not known whether they do."""


def read_layer_graph(
    source: Any, input_shape: InputShape = None, *, quantisation: Any = None, opaque: bool = False
) -> LayerGraph:
    """Read an ONNX model as a layer graph; one of an operator set before 13 is brought to that in memory.

    Nodes keep their names, the path of the torch module that they were exported from (:attr:`snnmap.graph.Node.source`) and the
    name of their tensor. What depends on constants only is computed, but quantised weights, whose QuantizeLinear and
    DequantizeLinear stay. Shapes leave the batch out, whichever the model was exported with. The decisions of a classical model
    (skl2onnx) are left out beside its scores.

    Args:
        source: path of a file, or ``onnx.ModelProto``.
        input_shape: of one sample, without the batch, by name where there are several inputs; that of the graph where left out.
        quantisation: of a model of floats, as :func:`~snnmap.frontends.onnx.apply_quantisation` takes it, or the path of its
            JSON file; that of the model's metadata where left out.
        opaque: whether nodes that have no operation are :class:`Opaque` ones, which cannot be run, where onnx infers the shape
            of what they give.

    Returns:
        The graph, constants in their own types.

    Raises:
        FrontendError: onnx is missing, the file cannot be read, or nodes have no operation; it tells all of them, each with
            its name, its operator and what to do.
    """
    model, opset, framework = open_model(source)
    told = quantisation if isinstance(quantisation, Mapping) else read_quantisation(quantisation or model)
    if told is not None:
        model = apply_quantisation(model, told)
    if model.functions:
        model = import_package("onnx.inliner").inline_local_functions(model)
    return OnnxReader(model.graph, framework, opset, InferredTypes(model) if opaque else None).read(input_shape)


def open_model(source: Any) -> tuple[Any, int, str]:
    """Return an ``onnx.ModelProto`` from a path or itself, the operator set of it, and what errors call its framework.

    A model of an older operator set than the oldest that is read is brought to that one, by onnx's own converter.

    Raises:
        FrontendError: onnx is missing, the file cannot be read, or the operator set is too old for the converter.
    """
    onnx = import_package("onnx")
    model, where = source, "ModelProto"
    if isinstance(source, str | Path):
        where = str(source)
        if not Path(source).is_file():
            raise FrontendError("there is no such ONNX file", where=where, fix="give the path of a .onnx file")
        try:
            model = onnx.load(str(source))
        except Exception as error:  # onnx lets protobuf's errors through
            is_named = where.lower().endswith(".onnx")
            fix = (
                "export the model again"
                if is_named
                else "give a .onnx file; of torch's weights, the module with these loaded; of a pickled estimator, the estimator"
            )
            raise FrontendError.from_failure("the ONNX file cannot be read", error, where=where, fix=fix) from error
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    told = f"ONNX {onnx.__version__}, operator set {opset}"
    if 0 < opset < LEAST_OPSET:
        model, opset = _convert_old(model, opset, where), LEAST_OPSET
    return model, opset, told


def _convert_old(model: Any, opset: int, where: str) -> Any:
    converter = import_package("onnx.version_converter")
    newer = type(model)()
    newer.CopyFrom(model)
    newer.ir_version = max(newer.ir_version, 4)  # before, constants had to be inputs
    try:
        newer = converter.convert_version(newer, LEAST_OPSET)
    except Exception as error:  # whatever onnx's converter raises
        raise FrontendError.from_failure(
            f"onnx cannot bring the model to operator set {LEAST_OPSET}", error, where=where, fix="export it with a newer one"
        ) from error
    if opset <= _LAST_ASYMMETRIC:
        _keep_coordinates(newer)
    return newer


def _keep_coordinates(model: Any) -> None:
    """Tell the coordinates of resizing as they were before there was a choice, which the converter does not."""
    from onnx import helper

    for node in model.graph.node:
        if node.op_type == "Resize":
            told = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            node.attribute.extend(helper.make_attribute(name, value) for name, value in told.items())


class OnnxReader:
    """Follows an ONNX graph in its order, with a name in the layer graph for each tensor that depends on the input.

    Args:
        graph: ``onnx.GraphProto``.
        framework: what errors and the layer graph call it.
        opset: of ONNX's own operators.
        inferred: shapes of what nodes give that have no operation; None where these are refused.
    """

    def __init__(self, graph: Any, framework: str, opset: int, inferred: InferredTypes | None = None) -> None:
        from onnx import numpy_helper

        self.graph, self.opset, self.inferred = graph, opset, inferred
        self.constants = {entry.name: np.asarray(numpy_helper.to_array(entry)) for entry in graph.initializer}
        self.varying: dict[str, list[Array]] = {}
        """Those that depend on the size of the batch, for each of :data:`snnmap.graph.BATCHES`."""
        self.builder = GraphBuilder(graph.name or "onnx", framework)
        self.values: dict[str, str] = {}
        self.batch_axes: dict[str, int] = {}
        """At which axis the batch stands in a tensor, where it is not the first; in the layer graph it is."""
        self.joined: set[str] = set()
        """Tensors whose batch is one axis with all but the last, which in the layer graph are the sample's own."""
        self.comparisons: dict[str, OnnxNode] = {}
        """What compares activations, by the names of what it gives, which are no values of the layer graph."""
        self.quantisers: dict[str, OnnxNode] = {}
        """What quantises constants, or brings them back, by the names of its outputs."""
        self.unknown: set[str] = set()
        self.inputs: list[str] = []
        self.shapeless: list[FrontendError] = []
        self.unbatched: list[FrontendError] = []
        """What is to be told of inputs that have no batch, where the model cannot be read as one that has."""
        self.batch = -1

    def read(self, input_shape: InputShape) -> LayerGraph:
        """Read the graph; ``input_shape`` is as for :func:`read_layer_graph`."""
        given = [entry for entry in self.graph.input if entry.name not in self.constants]
        self.inputs = [entry.name for entry in given]
        shapes = (
            input_shape if isinstance(input_shape, Mapping) else {one.name: input_shape for one in given[:2] if len(given) == 1}
        )
        for entry in given:
            self._read_input(entry, shapes.get(entry.name), n_inputs=len(given))
        outputs = list_scores(self.graph)
        decisions = [entry.name for entry in self.graph.output if entry.name not in outputs]
        left_out = _find_needed(self.graph, decisions) - _find_needed(self.graph, outputs)
        for number, proto in enumerate(self.graph.node):
            if number not in left_out:
                self._read_node(OnnxNode(proto, number))
        self._require_readable()
        for name in outputs:
            if name not in self.values:
                raise FrontendError("the output does not depend on the input", where=f"output '{name}'", fix="export it again")
            if name in self.batch_axes or name in self.joined:
                error = refuse_joined() if name in self.joined else refuse_moved(self.batch_axes[name])
                raise FrontendError(
                    error.what, where=f"output '{name}'", measured=error.measured, limit=error.limit, fix=error.fix
                )
        return self.builder.build([self.values[name] for name in outputs])

    def keep(self, tensor: str, arrays: Sequence[Array]) -> None:
        """Note a constant, an array for each of :data:`snnmap.graph.BATCHES`: one for all where they are the same."""
        if all(array.shape == arrays[0].shape and np.array_equal(array, arrays[0]) for array in arrays):
            self.constants[tensor] = arrays[0]
        else:
            self.varying[tensor] = list(arrays)

    def read_nodes(self, graph: Any) -> None:
        """Read the nodes of a branch, ``onnx.GraphProto``, which may name what stands before it."""
        from onnx import numpy_helper

        self.constants |= {entry.name: np.asarray(numpy_helper.to_array(entry)) for entry in graph.initializer}
        for number, proto in enumerate(graph.node):
            self._read_node(OnnxNode(proto, number))

    def rename(self, tensor: str, name: str) -> None:
        """Give a tensor, whatever it is, another name."""
        tables: list[dict[str, Any]] = [self.values, self.constants, self.varying, self.batch_axes, self.quantisers]
        for known in tables:
            if tensor in known:
                known[name] = known[tensor]
        self.unknown |= {name} if tensor in self.unknown else set()

    def name_of(self, tensor: str) -> str:
        """Return the name that a tensor has in the layer graph; constants come to it when they are first named."""
        if tensor not in self.values:
            return self.builder.add_constant(tensor, self.constants[tensor])
        return self.values[tensor]

    def kind_of(self, tensor: str) -> str:
        """Return the name of the operation that gives a tensor; nothing for an input or a constant."""
        name = self.values.get(tensor)
        return next((node.kind for node in reversed(self.builder.nodes) if node.name == name), "")

    def shape_of(self, tensor: str) -> tuple[int, ...]:
        """Return the shape of a tensor's sample, or of a constant."""
        return self.builder.types[self.values[tensor]].shape if tensor in self.values else self.constants[tensor].shape

    def sides_of(self, tensor: str, batch: int = 0) -> tuple[int, ...]:
        """Return the sides of an activation for a size of the batch, in the order of the model."""
        shape, axis = self.shape_of(tensor), self.batch_axes.get(tensor, 0)
        return (*shape[:axis], batch, *shape[axis:])

    def add(self, node: OnnxNode, operation: Operation, inputs: Sequence[str], *, place: int | None = None) -> None:
        """Add the node that gives an output's tensor; ``place`` is its number where there are several."""
        tensor = node.outputs[place or 0]
        name = node.name if place is None else f"{node.name}.{place}"
        names = [self.name_of(one) for one in inputs]
        axes = [self.batch_axes.get(one, 0) for one in inputs]
        operation, axis = follow_batch(operation, [self.builder.types[one] for one in names], axes)
        told = "" if axis else tensor  # whose values stand in another order
        self.values[tensor] = self.builder.add(name, operation, names, source=node.source, tensor=told)
        self.place_batch(tensor, axis)

    def place_batch(self, tensor: str, axis: int) -> None:
        """Note at which axis the batch stands in a tensor."""
        self.batch_axes |= {tensor: axis} if axis else {}

    def constant(self, node: OnnxNode, place: int) -> Any:
        """Return an input that is a constant, or None where it is left out.

        Raises:
            UnreadableError: it depends on the model's input.
        """
        tensor = node.inputs[place] if place < len(node.inputs) else ""
        if tensor in self.quantisers:
            self._settle(tensor)
        if tensor and tensor not in self.constants:
            raise UnreadableError(f"its input {place}, '{tensor}', depends on the model's input", "export with constants folded")
        return self.constants[tensor] if tensor else None

    def make_operation(self, node: OnnxNode) -> tuple[Operation, list[str]]:
        """Return a node's operation and the inputs that are left when constant ones have become fields.

        Raises:
            UnreadableError: there is no such operation, or it lacks an attribute that the node has.
        """
        kind = OPERATIONS.get(node.kind)
        if kind is None or node.domain not in ("", "ai.onnx", kind.domain) or kind.domain not in ("", node.domain):
            if node.domain not in ("", "ai.onnx") and node.kind not in FIXES:
                what = f"the operator is none of ONNX's own, and no operation of this name in domain '{node.domain}'"
                raise UnreadableError(what, LEAVE_OUT)
            raise self._unknown(node)
        known = {field.name.replace("_", ""): field.name for field in fields(kind)}
        values = {}
        for name, value in node.attributes.items():
            field = known.get(name.lower().replace("_", ""))
            if field is not None:
                values[field] = value
            elif name == "block_size" and value:
                raise UnreadableError(f"quantisation by blocks of {value}", "quantise by layer or by channel")
            elif name not in _IGNORED:
                raise UnreadableError(f"attribute {name} is not known", LEAVE_OUT)
        for field, place in kind.constant_inputs.items():
            found = self.constant(node, place)
            if found is not None:
                values[field] = found.tolist() if found.ndim == 0 else tuple(found.reshape(-1).tolist())
        if "kernel_shape" in known.values() and "kernel_shape" not in values:
            values["kernel_shape"] = self.shape_of(node.inputs[3 if node.kind.startswith("QLinear") else 1])[2:]
        if node.kind == "ConvTranspose" and node.get("auto_pad", "NOTSET") != "NOTSET":
            raise UnreadableError(f"padding {node.get('auto_pad', '')} of a transposed convolution", "give pads as numbers")
        if "pads" in known.values() and "auto_pad" in node.attributes:
            values["pads"] = resolve_pads(node, self.shape_of(node.inputs[0])[1:], values)
        places = set(kind.constant_inputs.values())
        return kind(**values), [name for place, name in enumerate(node.inputs) if place not in places]

    def _read_input(self, entry: Any, given: Sequence[int] | None, *, n_inputs: int) -> None:
        sides = [dimension.dim_value for dimension in entry.type.tensor_type.shape.dim]
        shape = tuple(given) if given is not None else tuple(sides[1:])
        if not all(shape) or not (sides or shape):
            self.unknown.add(entry.name)
            where = f": {{'{entry.name}': (...)}}" if n_inputs > 1 else ""
            fix = f"give input_shape, without the batch{where}, or --shape"
            what = "the graph does not say the shape of its input"
            if entry.type.tensor_type.HasField("shape") and not sides:
                what, fix = (
                    "its input is one number for all samples",
                    "export the model with this number as a constant, or make it an initializer",
                )
            self.shapeless.append(FrontendError(what, where=f"input '{entry.name}'", measured=str(sides[1:]), fix=fix))
            self.builder.refuse(entry.name, "input", entry.name, UnreadableError(what, fix))
            return
        if given is not None and len(given) == len(sides):
            self.unbatched.append(_tell_unbatched(entry.name, shape, sides))
        self.batch = sides[0] if sides and sides[0] else -1
        self.values[entry.name] = self.builder.add_input(entry.name, shape, _type_of(entry))

    def _require_readable(self) -> None:
        """Refuse what could not be read, operators that no layer graph has first: what else is found may follow from them.

        An input alone is refused in its own words.
        """
        self.builder.problems.sort(key=lambda problem: not problem.error.is_unknown)
        if self.shapeless and len(self.builder.problems) == 1:
            raise self.shapeless[0]
        if self.unbatched and self.builder.problems:
            raise self.unbatched[0]
        self.builder.require_readable()

    def _read_node(self, node: OnnxNode) -> None:
        try:
            self._check_inputs(node)
            is_constant = not any(map(self._is_moving, node.inputs))
            if node.kind == "If":
                read_branch(self, node)
                return
            if is_constant and node.has_graphs:
                raise self._unknown(node)
            if is_constant and node.kind not in ("QuantizeLinear", "DequantizeLinear"):
                self._compute(node)
                return
            self._check_axes(node)
            settle_batch(self, node)
            if is_constant:
                self.quantisers |= dict.fromkeys(node.outputs, node)
            inputs = set(node.inputs)
            readers = MOVED if self.batch_axes.keys() & inputs else JOINED if self.joined & inputs else SPECIAL
            readers.get(node.kind, SPECIAL.get(node.kind, read_plain) if readers is JOINED else read_plain)(self, node)
        except UnreadableError as error:
            if not self._add_opaque(node):
                self._refuse(node, error)
        except NetworkError as error:
            self._refuse(node, UnreadableError.from_misfit(error))
        except (TypeError, ValueError, IndexError, KeyError) as error:
            what = f"its attributes and inputs do not fit: {error}"
            self._refuse(node, UnreadableError(what, "check the file with onnx.checker"))

    def _check_inputs(self, node: OnnxNode) -> None:
        """Refuse a node of no known operator, though what it depends on is not known, or that names what does not exist."""
        if self.unknown & set(node.inputs):
            is_of_shapes = node.kind in _OF_SHAPES and not set(self.inputs) & set(node.inputs)
            if node.kind not in OPERATIONS and node.kind not in SPECIAL and not is_of_shapes:
                raise self._unknown(node)
            raise UnreadableError("", "")
        missing = [name for name in node.inputs if name and not self._is_known(name)]
        if missing:
            raise UnreadableError(f"its input '{missing[0]}' is not known", "check the file with onnx.checker")

    def _check_axes(self, node: OnnxNode) -> None:
        """Refuse a node that does not take values whose batch is not the first axis, or is one axis with others."""
        inputs = set(node.inputs)
        if self.joined & inputs and node.kind not in (*JOINED, "Flatten", "Reshape"):
            raise refuse_joined()
        if not self.batch_axes.keys() & inputs:
            return
        if node.kind not in OPERATIONS and node.kind not in SPECIAL:
            raise self._unknown(node)
        if (node.kind in SPECIAL and node.kind not in MOVED) or self.varying.keys() & inputs:
            raise refuse_moved(max(self.batch_axes.get(name, 0) for name in inputs))

    def _add_opaque(self, node: OnnxNode) -> bool:
        """Add a node that has no operation as one of which only the shapes are known; say whether that can be."""
        names = [name for name in node.inputs if name]
        if self.inferred is None or not all(map(self._is_known, names)) or node.has_graphs:
            return False
        sides = {name: self.builder.types[self.values[name]].shape for name in self.inputs if name in self.values}
        found = [(place, self.inferred.find_type(tensor, sides)) for place, tensor in enumerate(node.outputs) if tensor]
        moving = [name for name in names if name in self.values]
        if any(kind is None for _, kind in found) or not moving:
            return False
        taken = [
            name
            for name in names
            if name in self.values or (name in self.constants and is_weight(node.kind, self.constants[name]))
        ]
        for place, kind in found:
            operation = Opaque(call=node.kind, shape=kind.shape, dtype=kind.dtype)  # type: ignore[union-attr]
            self.add(node, operation, moving if place else taken, place=place or None)
        return True

    def _unknown(self, node: OnnxNode) -> UnreadableError:
        return UnreadableError("no operation of this name", FIXES.get(node.kind, LEAVE_OUT), is_unknown=True)

    def _is_known(self, name: str) -> bool:
        return any(name in known for known in (self.values, self.constants, self.varying, self.comparisons))

    def _is_moving(self, name: str) -> bool:
        """Say whether a tensor differs from sample to sample."""
        return name in self.comparisons or (name in self.values and not self._is_weight(name))

    def _is_weight(self, name: str) -> bool:
        """Say whether a value is a quantised constant, or one that comes back."""
        return self.builder.types[self.values[name]].is_constant

    def _refuse(self, node: OnnxNode, error: UnreadableError) -> None:
        self.unknown |= set(node.outputs)
        if error.what:
            self.builder.refuse(node.name, node.kind, f"node '{node.name}' ({node.kind})", error)

    def _settle(self, name: str) -> None:
        """Compute a quantised constant, or one that comes back, by the operation that gives it."""
        if name not in self.constants:
            operation, inputs = self.make_operation(self.quantisers[name])
            for one in inputs:
                self._settle(one)
            self.constants[name] = operation.run([self.constants[one] for one in inputs])

    def _compute(self, node: OnnxNode) -> None:
        """Compute a node of constants by onnx's own reference evaluator, for several sizes of the batch where these count."""
        names = [name for name in node.inputs if name]
        for name in names:
            if name not in self.varying:
                self._settle(name)
        if not any(name in self.varying for name in names):
            found = self._evaluate(node, {name: self.constants[name] for name in names})
            self.constants |= dict(zip(node.outputs, found, strict=True))
            return
        of_batches = [
            self._evaluate(
                node, {name: self.varying[name][place] if name in self.varying else self.constants[name] for name in names}
            )
            for place in range(len(BATCHES))
        ]
        for tensor, *arrays in zip(node.outputs, *of_batches, strict=True):
            self.keep(tensor, arrays)

    def _evaluate(self, node: OnnxNode, given: Mapping[str, Array]) -> list[Array]:
        from onnx import TensorProto, helper
        from onnx.reference import ReferenceEvaluator

        if node.kind == "ConstantOfShape":
            return [_repeat(node, given[node.inputs[0]])]
        if node.domain not in ("", "ai.onnx"):  # of which onnx has no reference
            operation, names = self.make_operation(node)
            return [operation.run([given[name] for name in names])]
        inputs = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in given]
        outputs = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in node.outputs]
        graph = helper.make_graph([node.proto], "constant", inputs, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        try:
            found = [np.asarray(array) for array in ReferenceEvaluator(model).run(None, dict(given))]
        except Exception as error:  # whatever the operator raises on such constants
            raise UnreadableError(f"its constants do not fit each other: {error}", "check the file with onnx.checker") from error
        for array in found:
            array.setflags(write=False)  # so that the graph takes it as it is
        return found


def _tell_unbatched(name: str, shape: Sequence[int], sides: Sequence[int]) -> FrontendError:
    return FrontendError(
        "a sample has as many axes as the model's input, so that none is left for the batch",
        where=f"input '{name}'",
        measured=f"a sample {tuple(shape)}, the input {tuple(sides)}",
        limit="the input (batch, ...), a sample the axes behind",
        fix=f"export the model with a batch of one, such as torch.zeros{(1, *shape)}; where its first axis is the batch, give "
        "samples without it",
    )


def _find_needed(graph: Any, outputs: Sequence[str]) -> set[int]:
    """Return the places of the nodes on which outputs depend."""
    names, needed = set(outputs), set()
    for place, node in reversed(list(enumerate(graph.node))):
        if names & set(node.output):
            needed.add(place)
            names |= set(node.input)
    return needed


def _repeat(node: OnnxNode, shape: Any) -> Any:
    """Return one value in a shape, which takes the memory of one."""
    from onnx import numpy_helper

    given = node.get("value", None)
    value = np.float32(0) if given is None else numpy_helper.to_array(given)
    single = np.array(value).reshape(-1)[:1].copy()
    single.setflags(write=False)
    return np.broadcast_to(single, tuple(shape.tolist())) if shape.size else single.reshape(())


def _type_of(entry: Any) -> str:
    from onnx import helper

    dtype = helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
    return "float32" if dtype.kind == "f" else str(dtype)

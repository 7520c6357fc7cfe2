"""One call of a torch module or function, as its reader sees it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snnmap.frontends.torch.shapes import replace_batch
from snnmap.frontends.torch.weight_hooks import read_parameter
from snnmap.graph import Operation, UnreadableError, follow_batch
from snnmap.graph.fixes import ATTENTION, BY_VALUES, CURVED, DECISIONS, OWN_OPERATION, OWN_STATISTICS
from snnmap.graph.operation import Array

if TYPE_CHECKING:
    from torch import fx

    from snnmap.frontends.torch.read import TorchReader

__all__ = [
    "FIX",
    "FIXES",
    "Call",
    "Moved",
    "Value",
    "call_node",
    "find_values",
    "first_value",
    "map_values",
    "name_arguments",
    "to_doubles",
]

FIX = f"write it with layers and functions that have an operation, or {OWN_OPERATION}"

_LEVELS = "use snnmap.nn.QuantisedReLU, which quantises activations"
_STEPS = (
    "write RNN(nonlinearity='relu') as a loop of Linear layers and relu over the steps; gates of GRU and LSTM multiply"
    " activations: train neurons with recurrent weights instead"
)
FIXES = {
    **dict.fromkeys(("CELU", "GELU", "Mish", "SELU", "Softplus", "Softsign", "celu", "gelu", "mish", "selu", "softplus"), CURVED),
    **dict.fromkeys(("GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "LayerNorm", "RMSNorm"), OWN_STATISTICS),
    **dict.fromkeys(("group_norm", "instance_norm", "layer_norm", "normalize", "rms_norm", "std", "var"), OWN_STATISTICS),
    **dict.fromkeys(("argmax", "argmin", "argsort", "sort", "topk"), DECISIONS),
    **dict.fromkeys(("MultiheadAttention", "scaled_dot_product_attention"), ATTENTION),
    **dict.fromkeys(("eq", "ge", "gt", "le", "lt", "ne"), BY_VALUES),
    **dict.fromkeys(("ceil", "fake_quantize_per_channel_affine", "fake_quantize_per_tensor_affine", "floor", "round"), _LEVELS),
    **dict.fromkeys(("GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell"), _STEPS),
}
"""What to do about functions and layers that have no operation."""


@dataclass(frozen=True, slots=True)
class Value:
    """An activation: its name in the layer graph and the shape of a sample."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """An activation whose batch is not the first axis: that with the batch first, the other axes in their order; and the axis."""

    value: Value
    batch_axis: int


class Call:
    """One call of a module or function, with which its reader adds nodes."""

    def __init__(self, reader: "TorchReader", node: "fx.Node", name: str, source: str, operator: str) -> None:
        self.reader, self.node, self.name, self.source, self.operator = reader, node, name, source, operator

    def add(self, operation: Operation, inputs: Sequence[Any], suffix: str = "") -> Value:
        """Add a node; inputs are activations, and constants as ``(name, array)`` or arrays and numbers."""
        builder = self.reader.builder
        wanted = f"{self.name}.{suffix}" if suffix else self.name
        names = [self._name_of(one, f"{wanted}.{place}") for place, one in enumerate(inputs)]
        name = builder.add(wanted, operation, names, source=self.source, tensor=self.node.name)
        return Value(name, builder.types[name].shape)

    def follow(self, operation: Operation, inputs: Sequence["Value | Moved"], suffix: str = "") -> "Value | Moved":
        """Add a node of activations, of which the batch may be any axis, and behind which it may be another."""
        types = [self.reader.builder.types[(one.value if isinstance(one, Moved) else one).name] for one in inputs]
        axes = [one.batch_axis if isinstance(one, Moved) else 0 for one in inputs]
        followed, axis = follow_batch(operation, types, axes)
        found = self.add(followed, [one.value if isinstance(one, Moved) else one for one in inputs], suffix)
        return Moved(found, axis) if axis else found

    def parameter(self, module: Any, name: str) -> tuple[str, Array]:
        """Return a parameter or buffer of a module with its path, as an input of :meth:`add`."""
        return f"{self.source}.{name}" if self.source else name, self.reader.to_array(read_parameter(module, name))

    def weight(self, module: Any) -> tuple[str, Array]:
        """Return the weights that a layer multiplies by, as :meth:`parameter`: a masked layer's are not its parameter."""
        from snnmap.nn.delta.masked import MaskedSynapses

        found = module.effective_weight() if isinstance(module, MaskedSynapses) else read_parameter(module, "weight")
        return f"{self.source}.weight", self.reader.to_array(found)

    def run(self, arguments: Any, keywords: Any, batch: int | None = None) -> Any:
        """Run the call itself on tensors of some samples in place of activations, to see what becomes of the shape.

        Args:
            arguments: of the call.
            keywords: of the call.
            batch: how many samples; as many as the reader runs calls on where left out.

        Raises:
            UnreadableError: it fails.
        """
        import torch

        size = self.reader.batch if batch is None else batch
        given, named = (map_values(part, lambda value: torch.zeros(size, *value.shape)) for part in (arguments, keywords))
        return self.run_on(given, named, size)

    def run_on(self, given: Any, named: Any, batch: int) -> Any:
        """Run the call itself on arguments that are tensors, the size of the batch in its place.

        Raises:
            UnreadableError: it fails.
        """
        import torch

        try:
            with torch.no_grad():
                return call_node(self.node, replace_batch(given, batch), replace_batch(named, batch))
        except Exception as error:  # whatever the user's call raises
            fix = "give the shape of the samples that the model was trained with"
            raise UnreadableError(f"it does not run on one sample's shape: {error}", fix) from error

    def _name_of(self, one: Any, default: str) -> str:
        if isinstance(one, Value):
            return one.name
        name, array = one if isinstance(one, tuple) else (self.reader.paths.get(id(one), default), self.reader.to_array(one))
        return self.reader.builder.add_constant(name, array)


def first_value(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Value:
    """Return the first argument, which is to be an activation.

    Raises:
        UnreadableError: it is something else.
    """
    found = arguments[0] if arguments else keywords.get("input", keywords.get("x"))
    if not isinstance(found, Value):
        raise UnreadableError("it takes no activation", FIX)
    return found


def name_arguments(arguments: Any, keywords: Any, *names: str) -> dict[str, Any]:
    """Return the arguments of a call by name, those without one named in their order."""
    return {**dict(zip(names, arguments, strict=False)), **keywords}


def call_node(node: "fx.Node", arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Call the function or method of a node."""
    if node.op == "call_method":
        return getattr(arguments[0], str(node.target))(*arguments[1:], **keywords)
    function: Any = node.target
    return function(*arguments, **keywords)


def map_values(arguments: Any, change: Callable[[Value], Any]) -> Any:
    """Return arguments, nested as they may be, with something in place of each activation."""
    if isinstance(arguments, Value):
        return change(arguments)
    if isinstance(arguments, dict):
        return {key: map_values(part, change) for key, part in arguments.items()}
    if not isinstance(arguments, tuple | list):
        return arguments
    parts = [map_values(part, change) for part in arguments]
    return type(arguments)(*parts) if hasattr(arguments, "_fields") else type(arguments)(parts)  # of a tuple with names


def find_values(arguments: Any) -> list[Value]:
    """Return the activations among arguments, nested as they may be, in their order."""
    found: list[Value] = []
    map_values(arguments, found.append)
    return found


def to_doubles(arguments: Any) -> Any:
    """Return arguments with tensors of floating-point numbers in float64."""
    import torch

    if isinstance(arguments, torch.Tensor):
        return arguments.detach().cpu().double() if arguments.is_floating_point() else arguments.detach().cpu()
    if isinstance(arguments, dict):
        return {key: to_doubles(part) for key, part in arguments.items()}
    return type(arguments)(to_doubles(part) for part in arguments) if isinstance(arguments, tuple | list) else arguments

"""Reading torch modules whose calls need no operation: of those that have none, the shapes of what they give are known."""

from copy import deepcopy
from typing import Any

from snnmap.frontends.torch.call import Call, find_values, map_values
from snnmap.frontends.torch.read import UNKNOWN, Reader, TorchReader
from snnmap.graph import UnreadableError
from snnmap.graph.operations.opaque import Opaque

__all__ = ["OpaqueReader"]


class OpaqueReader(TorchReader):
    """Reads each call that has no operation as an :class:`Opaque` one, with the parameters of its module."""

    probes = False

    def _read_call(self, call: Call, read: Reader | None, arguments: Any, keywords: Any) -> Any:
        n_before = len(self.builder.nodes)
        try:
            return super()._read_call(call, read, arguments, keywords)
        except UnreadableError as error:
            self.builder.forget(n_before)
            return self._add_opaque(call, arguments, keywords, error)

    def _pass_unknown(self, call: Call, read: Reader | None, arguments: Any) -> Any:
        """Take what is known of a tuple of which not everything is."""
        if call.operator == "getitem" and isinstance(arguments[0], tuple | list):
            return arguments[0][arguments[1]]
        return super()._pass_unknown(call, read, arguments)

    def _add_opaque(self, call: Call, arguments: Any, keywords: Any, error: UnreadableError) -> Any:
        """Add what a call gives, each tensor of a tuple by itself; the first one has the parameters."""
        values = find_values((arguments, keywords))
        if not values:
            raise error
        module = self.modules[str(call.node.target)] if call.node.op == "call_module" else None
        found = call.run(arguments, keywords) if module is None else self._run_module(module, arguments, keywords)
        inputs: list[Any] = [*values, *self._list_parameters(call, module)]
        n_added = 0

        def add(part: Any) -> Any:
            nonlocal n_added
            if isinstance(part, tuple | list):
                return tuple(map(add, part))
            if not self._is_sample(part):
                return UNKNOWN
            n_added += 1
            operation = Opaque(call=call.operator, shape=tuple(part.shape[1:]), dtype=_name_dtype(part))
            return call.add(operation, inputs if n_added == 1 else values, "" if n_added == 1 else str(n_added - 1))

        given = add(found)
        if not n_added:
            raise error
        return given

    def _run_module(self, module: Any, arguments: Any, keywords: Any) -> Any:
        """Run a copy of a module in evaluation on zeros."""
        import torch

        copied = deepcopy(module).eval().cpu().float()
        given, named = (map_values(part, lambda one: torch.zeros(self.batch, *one.shape)) for part in (arguments, keywords))
        try:
            with torch.no_grad():
                return copied(*given, **named)
        except Exception as error:  # whatever the module raises
            fix = "give the shape of the samples that the model was trained with"
            raise UnreadableError(f"it does not run on one sample's shape: {error}", fix) from error

    def _list_parameters(self, call: Call, module: Any) -> list[tuple[str, Any]]:
        """Return what a module has, or a function takes, to multiply and add, as inputs of a node."""
        source = f"{call.source}." if call.source else ""
        named = () if module is None else [(f"{source}{name}", parameter) for name, parameter in module.named_parameters()]
        taken = [self.values[one] for one in call.node.all_input_nodes if one.op == "get_attr"]
        named = [*named, *((self.paths[id(one)], one) for one in taken if id(one) in self.paths)]
        return [(name, self.to_array(parameter)) for name, parameter in named]

    def _is_sample(self, part: Any) -> bool:
        import torch

        return isinstance(part, torch.Tensor) and part.ndim > 0 and part.shape[0] == self.batch and part.numel() > 0


def _name_dtype(tensor: Any) -> str:
    return "float32" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")

"""Where tensors are in the activation memory: each as long as it is needed, the others around it."""

from snnmap.crossbar.lower import LayerProgram

__all__ = ["place_tensors"]


def place_tensors(program: LayerProgram) -> tuple[list[int], int]:
    """Return the address of each tensor, and how many bytes are in use at most.

    A tensor has its bytes from the layer that writes it to the last that reads it; inputs from the start, outputs to the end.
    """
    spans = _list_spans(program)
    addresses: dict[int, int] = {}
    for root in sorted(spans, key=lambda one: (spans[one][0], one)):
        taken = sorted(
            (addresses[other], addresses[other] + program.tensors[other].size)
            for other in addresses
            if spans[other][0] <= spans[root][1] and spans[root][0] <= spans[other][1]
        )
        addresses[root] = _find_gap(taken, program.tensors[root].size)
    high_water = max(addresses[root] + program.tensors[root].size for root in addresses)
    return [addresses[tensor.storage] for tensor in program.tensors], high_water


def _list_spans(program: LayerProgram) -> dict[int, tuple[int, int]]:
    """Return the first and last layer that need the bytes of each tensor that has its own."""
    spans = {program.tensors[number].storage: (-1, -1) for number in program.inputs}
    for number, layer in enumerate(program.layers):
        spans[program.tensors[layer.target].storage] = (number, number)
        for source in layer.sources:
            root = program.tensors[source].storage
            spans[root] = (spans[root][0], number)
    for output in program.outputs:
        root = program.tensors[output].storage
        spans[root] = (spans[root][0], len(program.layers))
    return spans


def _find_gap(taken: list[tuple[int, int]], size: int) -> int:
    """Return the lowest start between bytes that do not overlap: what is needed when a tensor is written, is so at one time."""
    start = 0
    for first, stop in taken:
        if first - start >= size:
            return start
        start = stop
    return start

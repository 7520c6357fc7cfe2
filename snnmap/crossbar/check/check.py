"""An image held against the layers that it is to compute, instruction by instruction, without the mapper or the scheduler.

What a program does is followed in symbols: which weights lie where, what is multiplied with what, which sums meet. Each output
of each layer must come from every weight of its own exactly once, and every parameter must be the layer's.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from snnmap.crossbar.check.expected import list_tensors
from snnmap.crossbar.check.instructions import FOLLOW
from snnmap.crossbar.check.ledger import Fault, Ledger, Stop
from snnmap.crossbar.check.sums import CoreState, Fields, Product
from snnmap.crossbar.container import Image
from snnmap.crossbar.lower import LayerProgram

__all__ = ["find_faults"]


def find_faults(image: Image, program: LayerProgram) -> tuple[Fault, ...]:
    """Return what an image does otherwise than its layers; where sums meet otherwise, the first such place.

    Args:
        image: as decoded from bytes.
        program: layers of the model.
    """
    checker = _Checker(image=image, program=program)
    try:
        checker.check_tensors()
        checker.follow()
        checker.require_complete()
    except Stop:
        pass
    return tuple(checker.faults)


@dataclass(kw_only=True)
class _Checker(Ledger):
    """Follows all cores beside each other."""

    cores: list[CoreState] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        pairs = zip(self.image.programs, self.image.weights, strict=True)
        self.cores = [CoreState(program=program, weights=weights) for program, weights in pairs]

    def check_tensors(self) -> None:
        """Hold tensors against those of the layers, and their addresses against how long they are needed."""
        expected = list_tensors(self.program)
        if self.image.name != self.program.name:
            self.refuse("CIM404", "the name is not the model's", "name", measured=self.image.name, limit=self.program.name)
        if len(expected) != len(self.image.tensors):
            self.refuse("CIM404", "other tensors than the model has", "tensors", measured=str(len(self.image.tensors)), stop=True)
        for number, (found, wanted) in enumerate(zip(self.image.tensors, expected, strict=True)):
            if found != wanted:
                self.refuse("CIM404", "the tensor is not the model's", f"tensor {number}", measured=str(found), limit=str(wanted))

    def follow(self) -> None:
        """Follow all cores, from barrier to barrier."""
        n_barriers = 0
        while any(state.at < len(state.program) for state in self.cores):
            pending = [self._advance(core, state) for core, state in enumerate(self.cores)]
            kinds = {kind for kind in pending if kind}
            if kinds == {"barrier"}:
                self._pass_barrier(n_barriers)
                n_barriers += 1
            elif kinds - {"end"} and not self._transfer():
                self.refuse("CIM405", "cores wait for each other", "transfers", measured=str(Counter(pending)), stop=True)
        if n_barriers != len(self.program.layers):
            self.refuse("CIM405", "other barriers than one a layer", "barriers", measured=str(n_barriers))

    def require_complete(self) -> None:
        """Check that all of every tensor is written, and that nothing is left over in any memory."""
        for number, layer in self.layers.items():
            counts = self.written.get(number)
            if counts is None or (counts != 1).any():
                self.refuse("CIM401", "values of a layer are not written exactly once", f"layer '{layer.name}'", stop=True)
        for core, state in enumerate(self.cores):
            if state.products:
                self.refuse("CIM405", "sums are left over", f"core {core}", measured=str(len(state.products)))
            if state.n_read != len(state.weights):
                measured, limit = str(state.n_read), f"{len(state.weights)} bytes"
                self.refuse("CIM401", "weights are not stored", f"core {core}", measured=measured, limit=limit)
        end = 0
        for first, size in sorted(self.constants.items()):
            if first != end:
                self.refuse("CIM403", "constants leave a hole or overlap", "constants", measured=str(first), limit=str(end))
            end = first + size
        if end != len(self.image.constants):
            self.refuse(
                "CIM403", "constants are not in use", "constants", measured=str(len(self.image.constants)), limit=str(end)
            )

    def _advance(self, core: int, state: CoreState) -> str:
        """Follow a core to its next barrier, transfer or end, and say which; nothing where it has ended."""
        while state.at < len(state.program):
            kind, fields = state.program[state.at].kind.name, state.program[state.at].as_dict()
            if kind in ("barrier", "send", "receive"):
                return kind
            where = f"core {core}, instruction {state.at} ({kind})"
            state.at += 1
            if kind == "end":
                if state.at < len(state.program):
                    self.refuse("CIM405", "instructions follow the end", where, stop=True)
                return kind
            FOLLOW[kind](self, state, fields, where)
        return "end" if state.at else ""

    def _pass_barrier(self, number: int) -> None:
        for core, state in enumerate(self.cores):
            found = state.program[state.at]["number"]
            if found != number:
                self.refuse(
                    "CIM405", "a barrier of another number", f"core {core}", measured=str(found), limit=str(number), stop=True
                )
            state.at += 1

    def _transfer(self) -> bool:
        """Follow all transfers whose receivers wait for them."""
        moved = False
        for core, state in enumerate(self.cores):
            if state.at >= len(state.program) or state.program[state.at].kind.name != "send":
                continue
            sent = state.program[state.at].as_dict()
            receiver = self.cores[sent["core"]] if sent["core"] < len(self.cores) else state
            if receiver.at >= len(receiver.program) or receiver.program[receiver.at].kind.name != "receive":
                continue
            taken = receiver.program[receiver.at].as_dict()
            if taken["core"] != core:
                continue
            self._move(core, state, receiver, sent, taken)
            moved = True
        return moved

    def _move(self, core: int, state: CoreState, receiver: CoreState, sent: Fields, taken: Fields) -> None:
        where = f"core {core}, instruction {state.at} (send)"
        products = state.move_products(sent)
        windows = {one.windows[1] for one in products}
        fits = all(one.pitch == sent["pitch"] and _ends(one) <= sent["filters"] for one in products)
        same = (sent["filters"], sent["windows"]) == (taken["filters"], taken["windows"])
        same = same and state.n_cleared == sent["filters"] * sent["windows"]
        if not products or not fits or not same or windows != {sent["windows"]} or sent["pitch"] != sent["filters"]:
            self.refuse(
                "CIM405", "a transfer of other sums than were added", where, measured=str(sent), limit=str(taken), stop=True
            )
        first, pitch = taken["accumulator"], taken["pitch"]
        receiver.products += [_place(one, one.accumulator + first, pitch) for one in products]
        state.at, receiver.at = state.at + 1, receiver.at + 1


def _ends(product: Product) -> int:
    return product.accumulator + int(product.weights.shape[1])


def _place(product: Product, accumulator: int, pitch: int) -> Product:
    return replace(product, accumulator=accumulator, pitch=pitch)

"""A chip behind a serial line, as ``lif_serial.v`` puts it: loaded, run and read by a host."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from snnmap.core import IntArray
from snnmap.core.errors import InputError
from snnmap.lif.program import Image, unpack
from snnmap.lif.rtl.verilated import Steps, join_steps, require_loadable

__all__ = ["Exchange", "SerialChip", "exchange_over"]

Exchange: TypeAlias = Callable[[bytes, int], bytes]
"""Send bytes, and return as many as are asked for."""
_WRITE, _CLEAR, _COUNT, _STEP, _READ = range(1, 6)
_SYNAPSES = 4
_EARLY = 0xFFFFFFFF


class SerialChip:
    """A core on an FPGA, or simulated; its states stay from run to run.

    Args:
        image: that is loaded, of the chip that the core was written for.
        exchange: the line, such as :func:`exchange_over` makes of one.

    Raises:
        InputError: the chip does not answer as the core does.
    """

    def __init__(self, image: Image, exchange: Exchange) -> None:
        self.program, self._exchange = unpack(image), exchange
        for block in image.memories:
            for address, word in enumerate(block.words.tolist()):
                place = bytes([_WRITE, _SYNAPSES * block.kind + block.synapse])
                self._exchange(place + _encode(address, 3) + _encode(word & 0xFFFFFFFF, 4), 0)
        self.clear()

    def clear(self) -> None:
        """Put all states back to rest.

        Raises:
            InputError: the chip does not answer, or something else was sent to it meanwhile.
        """
        self._wait(_CLEAR)

    def run(self, raster: IntArray) -> Steps:
        """Run steps.

        Args:
            raster: ``(n_steps, n_inputs)`` counts, 0..255; the core clamps them to what a channel carries.

        Raises:
            InputError: the raster has other channels, or a count that the load port does not take; the chip does not answer, or
                something else was sent to it while it ran.
        """
        require_loadable(raster, self.program)
        n_slots, n_synapses = self.program.hidden.size + self.program.outputs.size, self.program.chip.hidden.synapses
        cycles, states = [], np.zeros((len(raster), n_slots, 2 + n_synapses), np.int32)
        for step, counts in enumerate(raster.tolist()):
            for channel, count in enumerate(counts):
                self._exchange(bytes([_COUNT]) + _encode(channel, 3) + bytes([count]), 0)
            cycles.append(self._wait(_STEP))
            for slot in range(n_slots):
                answer = self._ask(bytes([_READ]) + _encode(slot, 3), 5 + 4 * n_synapses)
                states[step, slot, 0], states[step, slot, 1:] = answer[0], np.frombuffer(answer[1:], "<i4")
        return join_steps(self.program.chip, np.array(cycles), states)

    def _wait(self, command: int) -> int:
        """Return the cycles that a command takes."""
        cycles = int.from_bytes(self._ask(bytes([command]), 4), "little")
        if cycles == _EARLY:
            raise InputError(
                "a byte was sent to the chip while it ran, and it did not hear it",
                where=f"command {command}",
                fix="let one host at a time use the line, and wait for run() and clear() to return",
            )
        return cycles

    def _ask(self, command: bytes, n: int) -> bytes:
        answer = self._exchange(command, n)
        if len(answer) != n:
            raise InputError(
                "the chip does not answer",
                where=f"command {command[0]}",
                measured=f"{len(answer)} bytes",
                limit=str(n),
                fix="check the line, its speed (BIT of board.v is clock cycles of a bit), and the chip of the board",
            )
        return answer


def exchange_over(line: Any) -> Exchange:
    """Return the exchange over a line of pyserial, or of whatever has its ``write`` and ``read``."""

    def exchange(given: bytes, n: int) -> bytes:
        line.write(given)
        return bytes(line.read(n)) if n else b""

    return exchange


def _encode(number: int, n_bytes: int) -> bytes:
    return number.to_bytes(n_bytes, "little")

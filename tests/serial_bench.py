"""What cocotb runs in the simulator: a host that loads an image over the serial line, feeds counts and reads every state."""

import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles, FallingEdge, Timer

from snnmap.lif.bitstream import decode
from snnmap.lif.rtl.serial import SerialChip

BIT, NS = 4, 10
"""Clock cycles of a bit, and nanoseconds of a cycle."""


async def send(dut: Any, byte: int) -> None:
    for bit in (0, *((byte >> place) & 1 for place in range(8)), 1):
        dut.rx.value = bit
        await ClockCycles(dut.clk, BIT)


async def receive(dut: Any) -> int:
    await FallingEdge(dut.tx)
    await Timer(NS * BIT // 2, "ns")
    found = []
    for _ in range(9):
        await Timer(NS * BIT, "ns")
        found.append(int(dut.tx.value))
    assert found[8] == 1
    return sum(bit << place for place, bit in enumerate(found[:8]))


@cocotb.test()
async def loads_and_runs_an_image(dut: Any) -> None:
    dut.rx.value = 1
    Clock(dut.clk, NS, "ns").start()
    await ClockCycles(dut.clk, 20)

    @resume
    async def exchange(given: bytes, n: int) -> bytes:
        for byte in given[:-1]:
            await send(dut, byte)
        last = cocotb.start_soon(send(dut, given[-1]))
        answer = bytes([await receive(dut) for _ in range(n)])
        await last
        return answer

    def talk() -> Any:
        assert exchange(b"\x77", 1) == b"\xff"
        image = decode(Path(os.environ["IMAGE"]).read_bytes())
        chip = SerialChip(image, exchange)
        raster = np.load(os.environ["RASTER"])
        chip.run(raster[:2])
        chip.clear()
        for channel in range(chip.program.n_inputs):
            exchange(bytes([3, channel, 0, 0, 255]), 0)
        assert exchange(bytes([4, 5]), 4) == b"\xff" * 4  # a read while the core runs
        chip.clear()
        return chip.run(raster)

    steps = await bridge(talk)()
    np.savez(os.environ["FOUND"], **steps._asdict())

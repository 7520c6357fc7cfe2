"""The digital state machine: what cores compute without their crossbars."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from snnmap.core.errors import FormatError
from snnmap.crossbar.executor.windows import count_inside, count_places, view_windows
from snnmap.crossbar.isa import to_float

if TYPE_CHECKING:
    from snnmap.crossbar.executor.machine import Core, Machine

__all__ = ["DIGITAL_ACTIONS", "scale_sums"]

Fields = dict[str, int]


def scale_sums(machine: "Machine", number: int, sums: Any, factor: Any, where: str) -> Any:
    """Return ``clip(rint(float32(sums) * factor) + zero)`` as levels."""
    zero = np.float32(machine.memory.tensor(number, where).zero)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.clip(np.rint(sums.astype(np.float32) * factor) + zero, 0, 255).astype(np.uint8)


def _maximum(machine: "Machine", core: "Core", fields: Fields, where: str) -> None:
    setting = core.setting
    if not setting:
        raise FormatError("there is no input", where=where, fix="build the file anew")
    channels = range(fields["channel"], fields["channel"] + fields["channels"])
    seen = view_windows(machine.memory, setting, channels, range(setting["windows_height"]), where, fill=0)
    found = seen[:, :, 0, 0].copy()
    for place in range(1, count_places(setting)):
        np.maximum(found, seen[:, :, place // setting["kernel_width"], place % setting["kernel_width"]], out=found)
    machine.memory.write_channels(fields["tensor"], channels.start, 0, found.reshape(*found.shape[:2], -1), where)
    machine.written.add(fields["tensor"])


def _mean(machine: "Machine", core: "Core", fields: Fields, where: str) -> None:
    source = machine.memory.tensor(fields["source"], where)
    count, places = fields["channels"], source.n_places
    values = machine.memory.read(fields["source"], fields["channel"] * places, count * places, where)
    sums = values.reshape(-1, count, places).sum(axis=2, dtype=np.int32) - source.zero * places
    levels = scale_sums(machine, fields["tensor"], sums, to_float(fields["factor"]), where)
    machine.memory.write_channels(fields["tensor"], fields["channel"], 0, levels[:, :, np.newaxis], where)
    machine.written.add(fields["tensor"])


def _add(machine: "Machine", core: "Core", fields: Fields, where: str) -> None:
    first, count = fields["first"], fields["values"]
    one, other = (machine.memory.read(fields[name], first, count, where) for name in ("source", "other"))
    inner = _fused(other, fields["factor_b"], to_float(fields["shift"]))
    with np.errstate(over="ignore", invalid="ignore"):
        levels = np.clip(np.rint(_fused(one, fields["factor_a"], inner)), 0, 255).astype(np.uint8)
    machine.memory.write(fields["tensor"], first, levels, where)
    machine.written.add(fields["tensor"])


def _look_up(machine: "Machine", core: "Core", fields: Fields, where: str) -> None:
    table = np.frombuffer(machine.image.constants[fields["constants"] : fields["constants"] + 256], np.uint8)
    if table.size < 256:
        raise FormatError("constants beyond the memory", where=where, limit=f"{len(machine.image.constants)} bytes")
    values = machine.memory.read(fields["source"], fields["first"], fields["values"], where)
    machine.memory.write(fields["tensor"], fields["written"], table[values], where)
    machine.written.add(fields["tensor"])


def _fused(values: Any, factor: int, shift: Any) -> Any:
    """Return ``values * factor + shift``, rounded to float32 once."""
    with np.errstate(over="ignore", invalid="ignore"):
        return (values.astype(np.float64) * np.float64(to_float(factor)) + shift).astype(np.float32)


def _average(machine: "Machine", core: "Core", fields: Fields, where: str) -> None:
    setting = core.setting
    if not setting:
        raise FormatError("there is no input", where=where, fix="build the file anew")
    source, target = (machine.memory.tensor(number, where) for number in (setting["tensor"], fields["tensor"]))
    channels = range(fields["channel"], fields["channel"] + fields["channels"])
    seen = view_windows(machine.memory, setting, channels, range(setting["windows_height"]), where)
    units = (np.arange(256) - source.zero).astype(np.float32) * np.float32(source.scale)
    sums = np.zeros((*seen.shape[:2], *seen.shape[4:]), np.float32)
    for place in range(count_places(setting)):
        sums += units[seen[:, :, place // setting["kernel_width"], place % setting["kernel_width"]]]
    numbers = count_inside(setting, source) if fields["divisor"] == 0 else np.float32(fields["divisor"])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        shifted = sums / numbers / np.float32(target.scale) + np.float32(target.zero - fields["offset"])
    levels = _round(shifted, fields["offset"])
    machine.memory.write_channels(fields["tensor"], channels.start, 0, levels.reshape(*levels.shape[:2], -1), where)
    machine.written.add(fields["tensor"])


def _pair(machine: "Machine", core: "Core", fields: Fields, where: str) -> None:
    if fields["function"] >= len(_FUNCTIONS) or not (fields["spread_source"] and fields["spread_other"]):
        raise FormatError("a pair of no function or spread", where=where, measured=str(fields), fix="build the file anew")
    values = np.arange(fields["first"], fields["first"] + fields["values"])
    tensors = [machine.memory.tensor(fields[name], where) for name in ("source", "other", "tensor")]
    levels = [
        machine.memory.read(fields[name], 0, tensor.size, where)[:, values // fields[f"spread_{name}"] % tensor.size]
        for name, tensor in zip(("source", "other"), tensors, strict=False)
    ]
    integers = [one.astype(np.int32) - fields["offset"] for one in levels]
    scales = [np.float32(tensor.scale) for tensor in tensors]
    zeros = [np.float32(tensor.zero - fields["offset"]) for tensor in tensors]
    with np.errstate(all="ignore"):
        found = _FUNCTIONS[fields["function"]](integers, scales, zeros)
        found = np.where(np.isnan(found), -np.inf, found)
    machine.memory.write(fields["tensor"], fields["first"], _round(found, fields["offset"]), where)
    machine.written.add(fields["tensor"])


def _round(values: Any, offset: int) -> Any:
    return np.clip(np.rint(values) + offset, 0, 255).astype(np.uint8)


def _sum_pair(integers: list[Any], scales: list[Any], zeros: list[Any]) -> Any:
    ratios = scales[0] / scales[2], scales[1] / scales[2]
    shift = zeros[2] - (ratios[0] * zeros[0] + ratios[1] * zeros[1])
    inner = (integers[1] * np.float64(ratios[1]) + shift).astype(np.float32)
    return (integers[0] * np.float64(ratios[0]) + inner).astype(np.float32)


def _multiply_pair(integers: list[Any], scales: list[Any], zeros: list[Any]) -> Any:
    product = (integers[0] - int(zeros[0])) * (integers[1] - int(zeros[1]))
    return product.astype(np.float32) * (scales[0] * scales[1] / scales[2]) + zeros[2]


def _of_units(function: Any) -> Callable[[list[Any], list[Any], list[Any]], Any]:
    """Return a function of two values in the tensors' units, with the zero behind the rounding."""

    def compute(integers: list[Any], scales: list[Any], zeros: list[Any]) -> Any:
        one, other = (
            (part - int(zero)).astype(np.float32) * scale
            for part, scale, zero in zip(integers, scales[:2], zeros[:2], strict=True)
        )
        return np.rint(function(one, other) / scales[2]) + zeros[2]

    return compute


_FUNCTIONS = (_sum_pair, _multiply_pair, *map(_of_units, (np.add, np.subtract, np.divide, np.maximum, np.minimum)))

DIGITAL_ACTIONS: Mapping[str, Callable[["Machine", "Core", Fields, str], None]] = {
    "add": _add,
    "average": _average,
    "maximum": _maximum,
    "mean": _mean,
    "pair": _pair,
    "table": _look_up,
}

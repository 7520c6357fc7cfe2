"""An image in words: what it is, and which neuron of the model is where."""

import re
from collections.abc import Iterator

from snnmap.chip import MemoryKind
from snnmap.core.errors import InputError
from snnmap.core.near import suggest
from snnmap.core.nouns import count_nouns
from snnmap.lif.bitstream import digest_image
from snnmap.lif.program import Image, Manifest, Place, Program, unpack

__all__ = ["describe_image", "describe_manifest", "describe_ports", "find_neuron", "list_places", "name_slot"]

_ROWS = ("input", "hidden", "output")
_ASKED = re.compile(
    rf"(?:(?P<row>{'|'.join(_ROWS)}):)?(?P<slot>-?\d{{1,10}})"
    r"|(?P<name>.+?)(?:\[(?P<neuron>\d{1,10})\])?(?: relay (?P<hop>\d{1,5}))?"
)
_MOST_INPUTS = 40


def describe_image(image: Image) -> list[str]:
    """Return lines that say what an image is: digests, and what :func:`describe_manifest` tells."""
    chip = image.chip
    own = [f"image {digest_image(image)}", f"chip {chip.plain_name} {chip.digest.hex()}"]
    inputs = f"{image.sizes[0]} input channels, at most {chip.inputs.max_count} spikes each in a step"
    return [*own, inputs, *describe_manifest(image.manifest)]


def describe_manifest(manifest: Manifest | None) -> list[str]:
    """Return lines that say what an image says of itself: model, tool, readouts, waivers."""
    if manifest is None:
        return ["no manifest: the image does not say of which model it is, nor how its outputs are read"]
    lines = [f"model {manifest.model} {manifest.model_digest}", f"built by {manifest.tool} for {manifest.chip}"]
    lines += ["memories were edited after the build: they are not the model's any more"] if manifest.edited else []
    lines += [f"waived {waived.rule} at {waived.place}: {waived.reason}" for waived in manifest.waivers]
    steps = " and ".join(str(len(golden.inputs)) for golden in manifest.golden)
    golden = count_nouns(len(manifest.golden), "golden sample") + (f", of {steps} steps" if steps else "")
    return [*lines, golden, *describe_ports(manifest)]


def describe_ports(manifest: Manifest) -> list[str]:
    """Return lines that say which channels the inputs take, how outputs are read, and for how long silence is run behind."""
    lines = [f"input '{place.source}': channels {_list_spans(place)}" for place in manifest.places if place.row == "input"]
    for port in manifest.readouts:
        classes = f", class by the highest {port.decision}" if port.size > 1 else ""
        lag = f"{count_nouns(max(port.lags.tolist(), default=0), 'step')} behind the inputs"
        lines.append(f"output '{port.port}': {count_nouns(port.size, 'value')}, {port.readout}{classes}, {lag}")
    return [*lines, f"run {manifest.settle_steps} silent steps behind those of the inputs, however many these are"]


def list_places(image: Image) -> tuple[Place, ...]:
    """Return where the model's neurons are; of an image without a manifest, each row of the chip as a whole."""
    manifest = image.manifest
    if manifest is not None:
        return manifest.places
    rows = zip(_ROWS, image.sizes, strict=True)
    return tuple(Place(row=row, source=row, module="", hop=0, lag_steps=0, runs=((0, 0, size),)) for row, size in rows if size)


def name_slot(places: tuple[Place, ...], row: str, slot: int) -> str:
    """Return the model's name of a slot: source and neuron, and which relay of it."""
    for place in places:
        neuron = place.find_neuron(slot) if place.row == row else None
        if neuron is not None:
            return f"{place.source}[{neuron}]" + (f" relay {place.hop}" if place.hop else "")
    return f"{row} slot {slot}"


def find_neuron(image: Image, asked: str) -> list[str]:
    """Return lines that say what is in a slot, or where a neuron of the model is, with its codes and inputs.

    Args:
        image: to look in.
        asked: a hidden slot (``230``), ``input:3`` or ``output:2``; or a population, port or module with the neuron in it
            (``4.body.1[6]``), or without, and which relay of it (``4.body.1[6] relay 1``).

    Raises:
        InputError: the image has no such slot or neuron.
    """
    places, match = list_places(image), _ASKED.fullmatch(asked.strip())
    if match is None:
        raise InputError("this names no neuron", where=asked, fix="give a slot such as 230, or a neuron such as NAME[6]")
    if match["slot"] is not None:
        return _look_up_slot(image, places, match["row"] or "hidden", int(match["slot"]))
    named = [place for place in places if match["name"] in (place.source, place.module)]
    if not named:
        known = sorted({name for place in places for name in (place.source, place.module) if name})
        fix, limit = suggest(match["name"], known, "give one of these"), ", ".join(known)
        raise InputError("the image has no such population or module", where=asked, limit=limit, fix=fix)
    if match["hop"] is not None:
        named = _choose_relays(named, int(match["hop"]), asked)
    if match["neuron"] is None:
        return [_describe_place(place) for place in named]
    slots = [(place.row, place.find_slot(int(match["neuron"]))) for place in named]
    found = [(row, slot) for row, slot in slots if slot is not None]
    if not found:
        raise InputError("the population has no such neuron", where=asked, limit=f"{named[0].size} neurons", fix="count from 0")
    return [line for row, slot in found for line in _look_up_slot(image, places, row, slot)]


def _choose_relays(named: list[Place], hop: int, asked: str) -> list[Place]:
    relays = [place for place in named if place.hop == hop]
    if not relays:
        hops = ", ".join(str(place.hop) for place in named if place.hop) or "none"
        raise InputError("there is no such relay", where=asked, limit=f"relays: {hops}", fix="leave the relay out")
    return relays


def _look_up_slot(image: Image, places: tuple[Place, ...], row: str, slot: int) -> list[str]:
    size = image.sizes[_ROWS.index(row)]
    if not 0 <= slot < size:
        fix = f"give 0..{size - 1}" if size else "the image uses none"
        raise InputError(f"the image has no such {row} slot", where=f"{row}:{slot}", limit=f"{size} slots", fix=fix)
    return list(_describe_slot(unpack(image), places, row, slot))


def _describe_place(place: Place) -> str:
    relay = f", relay {place.hop}" if place.hop else ""
    module = f", module {place.module}" if place.module not in ("", place.source) else ""
    size = count_nouns(place.size, "neuron")
    return f"{place.source}{relay}: {place.row} {_list_spans(place)}; {size}, {_tell_lag(place)}{module}"


def _tell_lag(place: Place) -> str:
    return f"lag {count_nouns(place.lag_steps, 'step')}"


def _list_spans(place: Place) -> str:
    return ", ".join(f"{first}..{first + count - 1}" for first, _, count in place.runs)


def _describe_slot(program: Program, places: tuple[Place, ...], row: str, slot: int) -> Iterator[str]:
    place = next((p for p in places if p.row == row and p.find_neuron(slot) is not None), None)
    told = "" if place is None else f", {_tell_lag(place)}" + (f", module {place.module}" if place.module else "")
    yield f"{row} {slot} is {name_slot(places, row, slot)}{told}"
    if row == "input":
        return
    codes, alias = (program.hidden, int(program.alias[slot])) if row == "hidden" else (program.outputs, -1)
    synapse, membrane = program.chip.family.decay_names
    decays = ",".join(map(str, codes.dash_syn[:, slot].tolist()))
    yield f"  {synapse}={decays} {membrane}={codes.dash_mem[slot]} threshold={codes.threshold[slot]} bias={codes.bias[slot]}"
    if alias >= 0:
        yield f"  alias hidden {alias}, {name_slot(places, 'hidden', alias)}"
    inputs = list(_list_inputs(program, places, row, slot))
    yield f"  {len(inputs)} inputs:"
    yield from inputs[:_MOST_INPUTS]
    if len(inputs) > _MOST_INPUTS:
        yield f"    and {len(inputs) - _MOST_INPUTS} more: snnmap disasm lists all"


def _list_inputs(program: Program, places: tuple[Place, ...], row: str, slot: int) -> Iterator[str]:
    for kind in (MemoryKind.INPUT, MemoryKind.RECURRENT) if row == "hidden" else (MemoryKind.OUTPUT,):
        matrices, shift = program.memory(kind)
        source_row = "input" if kind is MemoryKind.INPUT else "hidden"
        for synapse, matrix in enumerate(matrices):
            chosen = matrix.indices == slot
            for source, weight in zip(matrix.rows[chosen].tolist(), matrix.data[chosen].tolist(), strict=True):
                name = name_slot(places, source_row, source)
                yield f"    {name} ({source_row} {source}), synapse {synapse}: {weight} << {shift} = {weight << shift}"

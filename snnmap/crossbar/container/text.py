"""The text twin of a file: for reading, reviewing and writing by hand."""

from collections.abc import Iterator

import numpy as np

from snnmap.core.errors import FormatError
from snnmap.crossbar.container.image import Image, TensorEntry
from snnmap.crossbar.isa import Instruction, format_instruction, parse_instruction
from snnmap.crossbar.record import Architecture, find_architecture

__all__ = ["assemble", "disassemble"]

_HEAD = "snnmap-crossbar 1"
_BYTES_A_LINE = 64
_NUMBERS = ("address", "channels", "height", "width", "zero", "role", "storage")


def disassemble(image: Image) -> str:
    """Write an image as text: tensors, instructions of each core, constants and weights in hexadecimal.

    :func:`assemble` reads it back to the same image.
    """
    lines = [_HEAD, f"architecture {image.architecture.digest.hex()}", f"name {image.name!r}", ""]
    lines += [_format_tensor(tensor) for tensor in image.tensors]
    lines += ["", "constants", *_format_bytes(image.constants)]
    for core, (program, weights) in enumerate(zip(image.programs, image.weights, strict=True)):
        lines += ["", f"core {core}", *map(format_instruction, program), "bytes", *_format_bytes(weights)]
    return "\n".join(lines) + "\n"


def assemble(text: str, *, architecture: Architecture | None = None) -> Image:
    """Read the text form; empty lines and ``#`` comments are passed over.

    Args:
        text: as :func:`disassemble` writes it.
        architecture: that it is for; by default the built-in one of the digest in the text.

    Raises:
        FormatError: a line is malformed or misplaced.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#"]
    reader = _Reader(lines)
    reader.expect(_HEAD)
    digest = reader.word("architecture")
    chosen = architecture or (find_architecture(bytes.fromhex(digest)) if len(digest) == 64 else None)
    if chosen is None or chosen.digest.hex() != digest:
        raise FormatError(
            "the text is for another architecture",
            where="line 2",
            measured=digest[:16],
            limit="a built-in one" if chosen is None else f"{chosen.digest.hex()[:16]} ({chosen.name})",
            fix="give the TOML file of the architecture that it was made for: --chip mine.toml, in Python architecture=",
        )
    name = _read_name(reader.word("name"))
    tensors = tuple(_parse_tensor(line, where) for where, line in reader.take_while("tensor"))
    reader.expect("constants")
    constants = reader.bytes()
    programs: list[tuple[Instruction, ...]] = []
    weights = []
    for core in range(chosen.cores):
        reader.expect(f"core {core}")
        programs.append(tuple(parse_instruction(line, where=where) for where, line in reader.take_until("bytes")))
        reader.expect("bytes")
        weights.append(reader.bytes())
    reader.require_end()
    return Image(
        name=name, architecture=chosen, tensors=tensors, constants=constants, weights=tuple(weights), programs=tuple(programs)
    )


class _Reader:
    """Lines that are not empty, with their numbers."""

    def __init__(self, lines: list[tuple[int, str]]) -> None:
        self.lines, self.at = lines, 0

    @property
    def line(self) -> str:
        return self.lines[self.at][1] if self.at < len(self.lines) else ""

    @property
    def where(self) -> str:
        return f"line {self.lines[self.at][0]}" if self.at < len(self.lines) else "the end"

    def expect(self, wanted: str) -> None:
        if self.line != wanted:
            raise FormatError("another line is expected", where=self.where, measured=self.line[:60], limit=wanted, fix="write it")
        self.at += 1

    def word(self, name: str) -> str:
        first, _, rest = self.line.partition(" ")
        if first != name or not rest:
            raise FormatError(
                "another line is expected", where=self.where, measured=self.line[:60], limit=f"{name} ...", fix="write it"
            )
        self.at += 1
        return rest

    def take_while(self, first: str) -> Iterator[tuple[str, str]]:
        while self.line.startswith(first + " "):
            yield self.where, self.line
            self.at += 1

    def take_until(self, last: str) -> Iterator[tuple[str, str]]:
        while self.line and self.line != last:
            yield self.where, self.line
            self.at += 1

    def bytes(self) -> bytes:
        parts = []
        while self.line.startswith("="):
            try:
                parts.append(bytes.fromhex(self.line[1:]))
            except ValueError as error:
                raise FormatError(
                    "bytes are not hexadecimal", where=self.where, measured=self.line[:40], fix="write pairs"
                ) from error
            self.at += 1
        return b"".join(parts)

    def require_end(self) -> None:
        if self.line:
            raise FormatError("lines follow the last core", where=self.where, measured=self.line[:60], fix="remove them")


def _format_bytes(data: bytes) -> list[str]:
    return ["=" + data[at : at + _BYTES_A_LINE].hex() for at in range(0, len(data), _BYTES_A_LINE)]


def _format_tensor(tensor: TensorEntry) -> str:
    numbers = " ".join(f"{name}={getattr(tensor, name)}" for name in _NUMBERS)
    return f"tensor {numbers} scale={tensor.scale.hex()} name={tensor.name!r}"


def _parse_tensor(line: str, where: str) -> TensorEntry:
    head, _, name = line.partition(" name=")
    words = dict(word.partition("=")[::2] for word in head.split()[1:])
    try:
        scale = float(np.float32(float.fromhex(words.pop("scale"))))
        numbers = {key: int(value) for key, value in words.items()}
        return TensorEntry(name=_read_name(name), scale=scale, **numbers)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError("a tensor's line is malformed", where=where, measured=line[:60], fix="see docs/crossbar.md") from error


def _read_name(text: str) -> str:
    from ast import literal_eval

    try:
        return str(literal_eval(text))
    except (ValueError, SyntaxError) as error:
        raise FormatError("a name is no quoted text", measured=text[:40], fix="write it in quotes") from error

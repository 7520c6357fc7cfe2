"""The text forms of what the stages hand on: a line a neuron or a row of weights; each reads back to what was written."""

from snnmap.lif.program.text.image import format_image, parse_image
from snnmap.lif.program.text.mapped import format_mapped, parse_mapped
from snnmap.lif.program.text.program import format_program, parse_program
from snnmap.lif.program.text.quantised import format_quantised, parse_quantised

__all__ = [
    "format_image",
    "format_mapped",
    "format_program",
    "format_quantised",
    "parse_image",
    "parse_mapped",
    "parse_program",
    "parse_quantised",
]

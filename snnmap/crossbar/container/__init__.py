"""The image as bytes; bitstreams/CROSSBAR.md is the specification."""

from snnmap.crossbar.container.decode import SectionEntry, decode_image, read_directory
from snnmap.crossbar.container.encode import encode_image
from snnmap.crossbar.container.image import Image, TensorEntry
from snnmap.crossbar.container.text import assemble, disassemble

__all__ = ["Image", "SectionEntry", "TensorEntry", "assemble", "decode_image", "disassemble", "encode_image", "read_directory"]

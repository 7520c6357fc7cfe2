"""The image as bytes, as text and as memory files; bitstreams/FORMAT.md is the specification."""

from snnmap.lif.bitstream.decode import BlockEntry, Header, decode, peek_manifest, read_header
from snnmap.lif.bitstream.encode import digest_image, encode
from snnmap.lif.bitstream.layout import MAGIC, TEXT_MAGIC
from snnmap.lif.bitstream.readmemh import export_readmemh
from snnmap.lif.bitstream.readout import export_readout
from snnmap.lif.bitstream.text import assemble, disassemble
from snnmap.lif.bitstream.xylo import export_specification, export_xylo_ram

__all__ = [
    # bytes
    "MAGIC",
    "TEXT_MAGIC",
    "BlockEntry",
    "Header",
    "decode",
    "digest_image",
    "encode",
    "peek_manifest",
    "read_header",
    # text and memory files
    "assemble",
    "disassemble",
    "export_readmemh",
    "export_readout",
    "export_specification",
    "export_xylo_ram",
]

"""Memory files for RTL test benches (``$readmemh``, IEEE 1364-2005, 17.2.9)."""

from snnmap.lif.program import Image

__all__ = ["export_readmemh"]


def export_readmemh(image: Image) -> dict[str, bytes]:
    """Return one file a memory, by name: a comment with the width, then one hexadecimal word a line."""
    files = {}
    for block in image.memories:
        digits = (block.word_bits + 3) // 4
        lines = [f"// {block.kind.name.lower()} {block.synapse}: {block.words.size} words of {block.word_bits} bits"]
        lines += [f"{word:0{digits}x}" for word in block.words.tolist()]
        files[f"{block.kind.name.lower()}_{block.synapse}.mem"] = ("\n".join(lines) + "\n").encode()
    return files

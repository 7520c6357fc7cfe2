"""ANNs as LIF networks."""

from snnmap.convert.ann import Ann, run_ann
from snnmap.convert.convert import Conversion, ConvertOptions, LayerError, convert_ann, split_ports
from snnmap.convert.read import read_ann

__all__ = [
    # converting
    "Conversion",
    "ConvertOptions",
    "LayerError",
    "convert_ann",
    "split_ports",
    # the ANN in between
    "Ann",
    "read_ann",
    "run_ann",
]

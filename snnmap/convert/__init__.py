"""ANNs as LIF networks."""

from snnmap.convert.ann import Ann, run_ann
from snnmap.convert.calibrate import Compensation, LayerError
from snnmap.convert.convert import Conversion, convert_ann
from snnmap.convert.encode import encode_values, split_ports
from snnmap.convert.measure import (
    CodingRow,
    LeakRow,
    Score,
    StepRow,
    measure_codings,
    measure_leak,
    score_conversion,
    sweep_steps,
)
from snnmap.convert.options import Coding, ConvertOptions
from snnmap.convert.read import read_ann

__all__ = [
    # converting
    "Compensation",
    "Conversion",
    "ConvertOptions",
    "LayerError",
    "convert_ann",
    # feeding
    "Coding",
    "encode_values",
    "split_ports",
    # what it costs and loses
    "CodingRow",
    "LeakRow",
    "Score",
    "StepRow",
    "measure_codings",
    "measure_leak",
    "score_conversion",
    "sweep_steps",
    # the ANN in between
    "Ann",
    "read_ann",
    "run_ann",
]

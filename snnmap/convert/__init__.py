"""ANNs as LIF networks."""

from snnmap.convert.ann import Ann, run_ann
from snnmap.convert.calibrate import Compensation, LayerError
from snnmap.convert.choose import Choice
from snnmap.convert.convert import Conversion, convert_ann
from snnmap.convert.encode import encode_values, split_ports
from snnmap.convert.held_changes import HeldRow, measure_held_changes
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
from snnmap.convert.nengo_neurons import NENGO_NEURONS, NengoNeurons, explain_neurons
from snnmap.convert.nengo_read import read_nengo
from snnmap.convert.nengo_run import NengoRun, run_nengo
from snnmap.convert.options import Coding, ConvertOptions, Signed
from snnmap.convert.prune import Pruning
from snnmap.convert.read import read_ann, read_onnx

__all__ = [
    # converting
    "Choice",
    "Compensation",
    "Conversion",
    "ConvertOptions",
    "Signed",
    "LayerError",
    "Pruning",
    "convert_ann",
    # feeding
    "Coding",
    "encode_values",
    "split_ports",
    # what it costs and loses
    "CodingRow",
    "HeldRow",
    "LeakRow",
    "Score",
    "StepRow",
    "measure_codings",
    "measure_held_changes",
    "measure_leak",
    "score_conversion",
    "sweep_steps",
    # nengo's rate neurons and spiking wrappers
    "NENGO_NEURONS",
    "NengoNeurons",
    "NengoRun",
    "explain_neurons",
    "read_nengo",
    "run_nengo",
    # the ANN in between
    "Ann",
    "read_ann",
    "read_onnx",
    "run_ann",
]

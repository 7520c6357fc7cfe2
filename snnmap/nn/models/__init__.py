"""Networks of the literature, written so that delta layers go after each of their activations; and layers of LIF neurons."""

from snnmap.nn.models.layered import make_layered
from snnmap.nn.models.resnet import Bottleneck, ResNet
from snnmap.nn.models.two_stream import TwoStream, make_two_stream_resnet50, stack_differences

__all__ = [
    # spike counts
    "make_layered",
    # frames
    "Bottleneck",
    "ResNet",
    # clips
    "TwoStream",
    "make_two_stream_resnet50",
    "stack_differences",
]

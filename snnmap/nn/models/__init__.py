"""Networks of the literature, written so that delta layers go after each of their activations."""

from snnmap.nn.models.resnet import Bottleneck, ResNet
from snnmap.nn.models.two_stream import TwoStream, make_two_stream_resnet50, stack_differences

__all__ = [
    # frames
    "Bottleneck",
    "ResNet",
    # clips
    "TwoStream",
    "make_two_stream_resnet50",
    "stack_differences",
]

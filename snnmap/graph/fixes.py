"""What users are told to do about operations that no layer graph or no neuron has, whichever framework they come from."""

from collections.abc import Mapping

__all__ = ["ATTENTION", "BY_KIND", "BY_VALUES", "CURVED", "DECISIONS", "FEATURES", "OWN_OPERATION", "OWN_STATISTICS"]

BY_VALUES = (
    "write relu(x) for x * (x > 0), maximum or minimum for a choice of the greater or smaller value; other choices by values are "
    "none of a layer, and jump where neurons do not"
)
CURVED = "train with ReLUs in its place, which LIF neurons compute"
OWN_STATISTICS = (
    "train with BatchNorm in its place: neurons' weights are fixed, and this divides each sample by what it is itself"
)
DECISIONS = "give back what it decides on, and decide behind the chip"
FEATURES = (
    "compute it before the network where it makes features, such as a spectrogram's: cut the model (onnx.utils.extract_model)"
)
ATTENTION = "neurons' weights are fixed, and attention multiplies activations: train without it"
OWN_OPERATION = "write an operation for it in snnmap/graph/operations"
"""What can be done about any part that has no operation; where nothing else can, a fix ends with it."""

_ONE_HOT = (
    "where it makes one-hot vectors of integers, give the network these: cut the model behind it (onnx.utils.extract_model)"
)
BY_KIND: Mapping[str, str] = {"Equal": f"{_ONE_HOT}; {BY_VALUES}", "Log": FEATURES, "Where": BY_VALUES}
"""What can be done about an operation of a layer graph that neurons do not have, where it is more than to do without."""

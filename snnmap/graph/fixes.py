"""What users are told to do about operations that no layer graph has, whichever framework they come from."""

__all__ = ["ATTENTION", "BY_VALUES", "CURVED", "DECISIONS", "OWN_OPERATION", "OWN_STATISTICS"]

BY_VALUES = (
    "write relu(x) for x * (x > 0), maximum or minimum for a choice of the greater or smaller value; other choices by values are "
    "none of a layer, and jump where neurons do not"
)
CURVED = "train with ReLUs in its place, which LIF neurons compute"
OWN_STATISTICS = (
    "train with BatchNorm in its place: neurons' weights are fixed, and this divides each sample by what it is itself"
)
DECISIONS = "give back what it decides on, and decide behind the chip"
ATTENTION = "neurons' weights are fixed, and attention multiplies activations: train without it"
OWN_OPERATION = "write an operation for it in snnmap/graph/operations"
"""What can be done about any part that has no operation; where nothing else can, a fix ends with it."""

"""What users are told to do about operators of ONNX that no layer graph has."""

from collections.abc import Mapping

from snnmap.graph.fixes import ATTENTION, BY_VALUES, CURVED, DECISIONS, FEATURES, OWN_OPERATION, OWN_STATISTICS

__all__ = ["FIXES", "LEAVE_OUT"]

LEAVE_OUT = f"export without it, or {OWN_OPERATION}"
_BRANCH = "export the branch that is taken, with constants folded, or the body without its loop"
_RECURRENT = "unroll it over its steps, or cut the model before it"
_LEVELS = "quantise activations by QuantizeLinear and DequantizeLinear, whose levels are spike counts"
_SEQUENCE = "write torch.cat(parts, dim=1) for hstack, and return a tensor or a tuple, no list"
_TREES = "trees are no layers of neurons: train a network, such as scikit-learn's MLPClassifier or MLPRegressor"
_DYNAMIC = "quantise statically, with samples: snnmap.frontends.onnx.quantise_model of the model of floats"
FIXES: Mapping[str, str] = {
    **dict.fromkeys(("If", "Loop", "Scan"), _BRANCH),
    **dict.fromkeys(("DynamicQuantizeLSTM", "GRU", "LSTM", "RNN"), _RECURRENT),
    **dict.fromkeys(("Celu", "Gelu", "Mish", "Selu", "Softsign", "Swish"), CURVED),
    **dict.fromkeys(("Erf", "Erfc"), f"it is part of a GELU: {CURVED}"),
    **dict.fromkeys(("GroupNormalization", "InstanceNormalization", "LayerNormalization", "LpNormalization"), OWN_STATISTICS),
    **dict.fromkeys(("MeanVarianceNormalization", "RMSNormalization", "ReduceL2", "ReduceSumSquare"), OWN_STATISTICS),
    **dict.fromkeys(("ArgMax", "ArgMin", "TopK"), DECISIONS),
    **dict.fromkeys(("And", "IsInf", "IsNaN", "Not", "Or", "Sign", "Xor"), BY_VALUES),
    **dict.fromkeys(("Ceil", "Floor", "Round"), _LEVELS),
    **dict.fromkeys(("Cos", "Sin"), FEATURES),
    **dict.fromkeys(("SequenceAt", "SequenceConstruct", "SequenceMap", "ConcatFromSequence"), _SEQUENCE),
    "Attention": ATTENTION,
    **dict.fromkeys(("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"), _TREES),
    **dict.fromkeys(("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"), _DYNAMIC),
}

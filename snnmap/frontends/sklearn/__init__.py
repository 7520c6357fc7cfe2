"""scikit-learn's linear models, perceptrons, scalers, selections of features and pipelines of these as layer graphs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.graph import GraphBuilder, LayerGraph, Operation, run_graph
from snnmap.graph.operations.activations import Clip, Relu, Sigmoid, Softmax, Tanh
from snnmap.graph.operations.arithmetic import Add, Div, Mul, Sub
from snnmap.graph.operations.gemm import Gemm

__all__ = ["FIX", "load"]

FIX = "fit the perceptron with activation='relu', or 'identity', in its hidden layers"
"""What to do about functions between layers that have no counterpart."""

_TOLERANCE = 1e-6
_FUNCTIONS: Mapping[str, Operation | None] = {
    "identity": None, "logistic": Sigmoid(), "relu": Relu(), "softmax": Softmax(axis=1), "tanh": Tanh()
}  # fmt: skip


def load(estimator: Any) -> LayerGraph:
    """Read a fitted estimator as a layer graph, and compare a run of it with the estimator's own.

    The output of a regressor is what ``predict`` gives. That of a perceptron for classes is what ``predict_proba`` gives, that of
    a linear classifier its ``decision_function``, of two classes 0 and this score: the greatest is what ``predict`` gives.

    Args:
        estimator: a linear model, a multi-layer perceptron, or a ``Pipeline`` that ends in one, behind scalers, PCA and
            selections of features; or a search, such as ``GridSearchCV``, whose best one is read.

    Raises:
        FrontendError: a step is not known, is not fitted, or computes otherwise than what was read of it.
    """
    import sklearn

    steps = list(_list_steps(estimator))
    first = next((step for step in steps if hasattr(step, "n_features_in_")), None)
    if first is None:
        raise FrontendError("the estimator is not fitted", where=type(estimator).__name__, fix="fit it first: fit(x, y)")
    builder = GraphBuilder(type(estimator).__name__, f"scikit-learn {sklearn.__version__}")
    reader = _Reader(builder, builder.add_input("input", (int(first.n_features_in_),)))
    for number, step in enumerate(steps):
        reader.read(step, is_last=number == len(steps) - 1)
    graph = builder.build([reader.value])
    _confirm(graph, estimator, int(first.n_features_in_))
    return graph


def _list_steps(estimator: Any) -> Iterator[Any]:
    """Yield the steps of pipelines within each other, and of the best of a search."""
    from sklearn.pipeline import Pipeline

    estimator = getattr(estimator, "best_estimator_", estimator)
    if not isinstance(estimator, Pipeline):
        yield estimator
        return
    for _, step in estimator.steps:
        if step is not None and not (isinstance(step, str) and step == "passthrough"):
            yield from _list_steps(step)


class _Reader:
    """Adds what each step computes behind the value of the step before."""

    def __init__(self, builder: GraphBuilder, value: str) -> None:
        self.builder, self.value = builder, value

    def read(self, step: Any, *, is_last: bool) -> None:
        """Add a step.

        Raises:
            FrontendError: it is not known, or not fitted.
        """
        if hasattr(step, "coefs_") and is_last:
            self._read_perceptron(step)
        elif hasattr(step, "coef_") and hasattr(step, "intercept_") and is_last:
            self._read_linear(step)
        else:
            self._read_transform(step)

    def _read_perceptron(self, step: Any) -> None:
        for number, (weight, bias) in enumerate(zip(step.coefs_, step.intercepts_, strict=True)):
            is_last, name = number == step.n_layers_ - 2, f"layer{number}"
            function = step.out_activation_ if is_last else step.activation
            if is_last and function == "logistic" and weight.shape[1] == 1:  # of two classes, whose softmax it is
                weight, bias, function = _pair(weight), _pair(bias), "softmax"
            self._add(name, Gemm(), {"weight": weight, "bias": bias})
            found = _FUNCTIONS[function]
            if found is not None:
                self._add(f"{name}.{function}", found, {})

    def _read_linear(self, step: Any) -> None:
        weight = np.atleast_2d(np.asarray(step.coef_, np.float64)).T
        bias = np.broadcast_to(np.asarray(step.intercept_, np.float64).reshape(-1), weight.shape[1:])
        if hasattr(step, "classes_") and weight.shape[1] == 1:
            weight, bias = _pair(weight), _pair(bias)
        self._add("linear", Gemm(), {"weight": weight, "bias": np.array(bias)})

    def _read_transform(self, step: Any) -> None:
        kind = type(step).__name__
        if hasattr(step, "get_support"):
            self._add(f"{kind}.features", Gemm(), {"weight": np.eye(step.n_features_in_)[:, step.get_support()]})
            return
        if kind not in _TRANSFORMS:
            raise FrontendError(
                "the estimator has no layers",
                where=f"{type(step).__module__}.{kind}",
                limit=f"a linear model or a multi-layer perceptron, behind {', '.join(_TRANSFORMS)}, selections of features",
                fix="fit one of these; trees, kernels and neighbours have no layers",
            )
        for name, operation, constants in _TRANSFORMS[kind](step):
            self._add(f"{kind}.{name}", operation, constants)

    def _add(self, name: str, operation: Operation, constants: Mapping[str, FloatArray]) -> None:
        inputs = [self.builder.add_constant(f"{name}.{key}", np.asarray(array)) for key, array in constants.items()]
        self.value = self.builder.add(name, operation, [self.value, *inputs], source=name)


Step = tuple[str, Operation, dict[str, FloatArray]]


def _pair(values: FloatArray) -> FloatArray:
    """Return what gives two classes 0 and the score that one column gives."""
    return np.concatenate([np.zeros_like(values), values], axis=-1)


def _read_scaler(step: Any) -> Iterator[Step]:
    """Read a scaler that takes a centre away, if it has one, and divides by a scale, if it has one."""
    centre = getattr(step, "mean_", None) if hasattr(step, "mean_") else getattr(step, "center_", None)
    if centre is not None and getattr(step, "with_mean", True):
        yield "centre", Sub(), {"value": centre}
    if step.scale_ is not None:
        yield "scale", Div(), {"value": step.scale_}


def _read_range(step: Any) -> Iterator[Step]:
    yield "scale", Mul(), {"value": step.scale_}
    yield "least", Add(), {"value": step.min_}
    if step.clip:
        low, high = step.feature_range
        yield "clip", Clip(min=float(low), max=float(high)), {}


def _read_components(step: Any) -> Iterator[Step]:
    yield "centre", Sub(), {"value": step.mean_}
    spread = np.sqrt(step.explained_variance_) if step.whiten else np.ones(len(step.components_))
    yield "components", Gemm(), {"weight": step.components_.T / spread}


_TRANSFORMS: Mapping[str, Callable[[Any], Iterator[Step]]] = {
    "StandardScaler": _read_scaler,
    "RobustScaler": _read_scaler,
    "MaxAbsScaler": _read_scaler,
    "MinMaxScaler": _read_range,
    "PCA": _read_components,
}


def _confirm(graph: LayerGraph, estimator: Any, n_features: int) -> None:
    """Run what was read beside the estimator.

    Raises:
        FrontendError: they give different values.
    """
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.uniform(0.0, 1.0, (8, n_features)), rng.normal(0.0, 3.0, (8, n_features))])
    found = run_graph(graph, values)[graph.outputs[0]]
    last = list(_list_steps(estimator))[-1]
    method = "predict" if not hasattr(last, "classes_") else "predict_proba" if hasattr(last, "coefs_") else "decision_function"
    wanted = np.asarray(getattr(estimator, method)(values), np.float64)
    wanted = wanted.reshape(len(values), -1)
    wanted = _pair(wanted) if wanted.shape[1] == 1 and found.shape[1] == 2 else wanted
    size = float(np.abs(wanted).max(initial=0.0)) or 1.0
    if wanted.shape != found.shape or np.abs(wanted - found).max() > _TOLERANCE * size:
        raise FrontendError(
            f"what was read is not what {method} of the estimator gives",
            where=f"{type(last).__module__}.{type(last).__name__}",
            measured=f"outputs {found.shape[1]}" if wanted.shape != found.shape else f"{np.abs(wanted - found).max():.2g}",
            limit=f"outputs {wanted.shape[1]}" if wanted.shape != found.shape else f"{_TOLERANCE * size:.2g}",
            fix="fit a linear model or a multi-layer perceptron whose scores are products with coef_ and intercept_",
        )

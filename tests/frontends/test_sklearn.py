"""scikit-learn's estimators, directly and as skl2onnx 1.20 wrote them: scores as their own, decisions the same."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, PoissonRegressor, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

import snnmap
from snnmap.convert import convert_ann
from snnmap.core.errors import FrontendError, InputError
from snnmap.frontends.onnx import read_layer_graph
from snnmap.frontends.sklearn import load
from snnmap.graph import measure_difference, run_graph
from snnmap.loading import load_layers, open_model

RNG = np.random.default_rng(0)
X = RNG.uniform(0.0, 1.0, (200, 6))
THREE, TWO = X[:, :3].argmax(axis=1), (X[:, 0] > X[:, 1]).astype(int)
WANTED = {"values": X[:, 0] - 2 * X[:, 1], "pairs": X[:, :2] @ [[1.0, 2.0], [0.5, -1.0]], "three": THREE, "two": TWO}
FILES = sorted(Path(__file__).with_name("onnx").joinpath("skl2onnx").glob("*.onnx"))

ESTIMATORS: dict[str, tuple[Any, str]] = {
    "perceptron": (MLPClassifier((8,), max_iter=50, random_state=0), "three"),
    "perceptron, two classes": (MLPClassifier((8, 4), max_iter=50, random_state=0), "two"),
    "perceptron, tanh": (MLPClassifier((8,), activation="tanh", max_iter=50, random_state=0), "three"),
    "perceptron, regression": (MLPRegressor(hidden_layer_sizes=(8,), max_iter=50, random_state=0), "pairs"),
    "logistic": (LogisticRegression(), "three"),
    "logistic, two classes": (LogisticRegression(), "two"),
    "linear": (LinearRegression(), "values"),
    "linear, no intercept": (LinearRegression(fit_intercept=False), "pairs"),
    "ridge": (Ridge(), "pairs"),
    "stochastic": (SGDClassifier(random_state=0), "three"),
    "support vectors": (LinearSVC(), "two"),
    "old perceptron": (Perceptron(), "three"),
    "scaled": (make_pipeline(StandardScaler(), "passthrough", MLPClassifier((8,), max_iter=50, random_state=0)), "three"),
    "range and components": (make_pipeline(MinMaxScaler(clip=True), PCA(4, whiten=True), LogisticRegression()), "two"),
    "nested": (make_pipeline(make_pipeline(RobustScaler(), MaxAbsScaler()), Ridge()), "values"),
    "no centre": (make_pipeline(StandardScaler(with_mean=False), Ridge()), "values"),
}


@cache
def fit(name: str) -> Any:
    estimator, wanted = ESTIMATORS[name]
    return estimator.fit(X, WANTED[wanted])


@pytest.mark.filterwarnings("ignore:.*converged")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_scores_and_decisions(name: str) -> None:
    estimator = fit(name)
    graph = load(estimator)
    scores = run_graph(graph, X)[graph.outputs[0]]
    if hasattr(estimator, "classes_"):
        assert (estimator.classes_[scores.argmax(axis=1)] == estimator.predict(X)).all()
    else:
        assert measure_difference(scores, estimator.predict(X).reshape(len(X), -1)) <= 1e-12


@pytest.mark.filterwarnings("ignore:.*converged")
def test_an_estimator_is_a_model_wherever_one_is_taken() -> None:
    estimator = fit("perceptron")
    assert convert_ann(estimator, X).expected.shape == (200, 3)
    assert open_model(estimator, calibration=X).conversion is not None
    assert load_layers(estimator).outputs == load(estimator).outputs
    with pytest.raises(FrontendError, match=r"(?s)is an ANN.*calibration="):
        snnmap.load(estimator)


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (LogisticRegression(), "(?s)not fitted.*LogisticRegression"),
        (DecisionTreeClassifier().fit(X, TWO), "(?s)no layers.*DecisionTreeClassifier.*trees, kernels and neighbours"),
        (SVC(kernel="linear").fit(X, THREE), "(?s)not what decision_function.*SVC"),
        (PoissonRegressor().fit(X, 1.0 + X[:, 0]), "(?s)not what predict.*PoissonRegressor"),
    ],
)
def test_refusals(estimator: Any, said: str) -> None:
    with pytest.raises(FrontendError, match=said):
        load(estimator)


@pytest.mark.filterwarnings("ignore:.*converged")
def test_a_function_without_counterpart_is_refused_in_the_words_of_the_estimator() -> None:
    with pytest.raises(FrontendError, match=r"(?s)Tanh has no LIF counterpart.*activation='relu'"):
        convert_ann(fit("perceptron, tanh"), X)


@pytest.mark.filterwarnings("ignore:.*converged")
def test_a_selection_of_features_and_the_best_of_a_search() -> None:
    steps = make_pipeline(SelectKBest(k=4), LogisticRegression())
    search = GridSearchCV(steps, {"logisticregression__C": [0.1, 1.0]}, cv=2).fit(X, THREE)
    graph = load(search)
    assert (search.classes_[run_graph(graph, X)[graph.outputs[0]].argmax(axis=1)] == search.predict(X)).all()


def test_a_regressor_has_values_and_no_classes() -> None:
    estimator = Ridge().fit(X, X[:, 0])
    conversion = convert_ann(estimator, X)
    potentials = snnmap.compile_model(conversion, "generic-4096").run(conversion.encode(X))["output"]
    assert measure_difference(conversion.read_logits(potentials)[:, 0], estimator.predict(X)) < 0.1
    with pytest.raises(InputError, match=r"one output decides nothing[^|]*conversion.read_logits"):
        conversion.read(potentials)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_of_skl2onnx(path: Path) -> None:
    graph, session = read_layer_graph(path), onnxruntime.InferenceSession(str(path))
    values = RNG.uniform(0.0, 1.0, (20, 6)).astype(np.float32)
    *_, wanted = session.run(None, {session.get_inputs()[0].name: values})
    rows = [list(row.values()) for row in wanted] if isinstance(wanted, list) else wanted  # by the names of classes
    assert len(graph.outputs) == 1
    assert measure_difference(run_graph(graph, values)[graph.outputs[0]], np.asarray(rows)) <= 1e-5
    if path.stem != "perceptron-two-classes":  # whose sigmoid is not last
        assert convert_ann(path, values).expected.shape == np.shape(rows)

"""nengo-dl's converters and simulators against its own runs, on the digits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_nengo
from snnmap.frontends.nengo import encode_inputs
from snnmap.frontends.nengo import load as load_nengo
from snnmap.frontends.nengo_dl import import_nengo_dl, load
from snnmap.network import Network, simulate_network

pytestmark = pytest.mark.filterwarnings("ignore")  # of TensorFlow and nengo-dl, in their own code
PIXEL = 1 / 16
NEGATIVE = ("negative currents",)


@dataclass(frozen=True)
class Digits:
    model: Any
    images: np.ndarray
    labels: np.ndarray


@pytest.fixture(scope="module")
def nengo_dl() -> Any:
    return import_nengo_dl()


@pytest.fixture(scope="module")
def digits(nengo_dl: Any) -> Digits:
    import tensorflow as tf
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    images, labels = data.data * PIXEL, data.target
    train, test, train_labels, test_labels = train_test_split(images, labels, test_size=0.3, random_state=0, stratify=labels)
    tf.keras.utils.set_random_seed(0)
    layers = [tf.keras.layers.Dense(n, activation="relu") for n in (128, 64)]
    model = tf.keras.Sequential([tf.keras.Input((64,)), *layers, tf.keras.layers.Dense(10)])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=tf.keras.optimizers.Adam(3e-3), loss=loss, metrics=["accuracy"])
    model.fit(train, train_labels, epochs=30, batch_size=64, verbose=0)
    return Digits(model, test, test_labels)


def convert(nengo_dl: Any, model: Any, neuron_type: Any, **options: Any) -> Any:
    import tensorflow as tf

    return nengo_dl.Converter(model, swap_activations={tf.keras.activations.relu: neuron_type}, **options)


def run_network(network: Network, values: np.ndarray) -> np.ndarray:
    """Give the readout in the last step."""
    counts = encode_inputs(network, values, input_scale=PIXEL)
    (readout,) = network.output_populations
    return simulate_network(network, counts, states_of=[readout]).potentials[readout][:, -1]


def run_both(nengo_dl: Any, converter: Any, images: np.ndarray, n_steps: int, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Give what nengo-dl's simulator and our network give out in the last step."""
    values = np.repeat(images[:, np.newaxis], n_steps, axis=1)
    node, probe = *converter.inputs.dict.values(), *converter.outputs.dict.values()
    with nengo_dl.Simulator(converter.net, minibatch_size=60, progress_bar=False) as simulator:
        theirs = simulator.predict({node: values}, verbose=0)[probe][:, -1]
        network = load(simulator, input_scale=PIXEL, **options)
    return theirs, run_network(network, values)


@pytest.mark.parametrize("n_steps", [30, 60])
def test_rectified_digits_are_decided_alike(nengo_dl: Any, digits: Digits, n_steps: int) -> None:
    spiking = import_nengo().SpikingRectifiedLinear()
    converter = convert(nengo_dl, digits.model, spiking, scale_firing_rates=1000, synapse=0.005)
    theirs, ours = run_both(nengo_dl, converter, digits.images, n_steps, allow_approximate=NEGATIVE)
    agreement = np.mean(theirs.argmax(axis=1) == ours.argmax(axis=1))
    accuracy = np.mean(ours.argmax(axis=1) == digits.labels)
    print(f"{n_steps} steps: agreement {agreement:.4f}, accuracy {accuracy:.4f}")
    assert agreement >= 0.99
    assert accuracy >= 0.95


@pytest.mark.parametrize("synapse", [None, 0.005])
def test_lif_digits_are_the_same(nengo_dl: Any, digits: Digits, synapse: float | None) -> None:
    lif = import_nengo().LIF(tau_ref=0, min_voltage=-np.inf, amplitude=0.02)
    converter = convert(nengo_dl, digits.model, lif, scale_firing_rates=100, synapse=synapse)
    theirs, ours = run_both(nengo_dl, converter, digits.images, 40)
    differing = np.abs(theirs - ours).max(axis=1) > 1e-4 * np.abs(theirs).max()  # nengo-dl computes in float32
    assert np.abs(theirs).max() > 0.5
    assert differing.mean() <= 0.01
    assert np.mean(theirs.argmax(axis=1) == ours.argmax(axis=1)) >= 0.99


def test_a_converter_is_loaded_without_a_simulator(nengo_dl: Any, digits: Digits) -> None:
    spiking = import_nengo().SpikingRectifiedLinear()
    converter = convert(nengo_dl, digits.model, spiking, scale_firing_rates=1000, synapse=0.005)
    values = np.repeat(digits.images[:, np.newaxis], 30, axis=1)
    with pytest.raises(FrontendError, match="initial voltages are drawn at random"):
        load(converter)
    network = load(converter, input_scale=PIXEL, initial_voltage="zero", allow_approximate=NEGATIVE)
    assert [port.size for port in network.inputs] == [64]
    assert [population.size for population in network.populations] == [128, 64, 10]
    assert np.mean(run_network(network, values).argmax(axis=1) == digits.labels) >= 0.95
    assert network.provenance["framework"].startswith("nengo-dl 3.6.0, nengo 4")
    assert "neurons; a spike takes" in network.provenance["approximations"]


def test_signed_weights_are_refused_unless_allowed(nengo_dl: Any, digits: Digits) -> None:
    converter = convert(nengo_dl, digits.model, import_nengo().SpikingRectifiedLinear(), scale_firing_rates=1000)
    with pytest.raises(FrontendError) as caught:
        load(converter, initial_voltage="zero")
    assert "nengo forgets a step's negative current" in str(caught.value)
    assert "allow_approximate=('negative currents',)" in caught.value.fix


def test_a_trained_simulator_gives_what_it_learnt(nengo_dl: Any) -> None:
    """The network as nengo runs it has other spikes before; freeze_params would write into the user's network."""
    import tensorflow as tf

    nengo = import_nengo()
    rng = np.random.default_rng(0)
    with nengo.Network(seed=0) as network:
        source = nengo.Node(np.zeros(3))
        lif = nengo.LIF(tau_ref=0, min_voltage=-np.inf, tau_rc=0.01)
        ensemble = nengo.Ensemble(20, 2, neuron_type=lif)
        nengo.Connection(source, ensemble, transform=rng.normal(size=(2, 3)), synapse=0.005)
        nengo.Connection(ensemble, ensemble, synapse=0.02)
        seen = nengo.Probe(ensemble, synapse=0.01)
        spikes = nengo.Probe(ensemble.neurons)
    before = load_nengo(network, inputs=[source])
    values = rng.poisson(0.5, (4, 40, 3))
    with nengo_dl.Simulator(network, minibatch_size=4, progress_bar=False) as simulator:
        simulator.compile(optimizer=tf.optimizers.Adam(1e-5), loss={seen: tf.losses.mse})
        simulator.fit({source: values}, {seen: np.ones((4, 40, 2))}, epochs=3, verbose=0)
        loaded = load(simulator)
        simulator.reset(include_trainable=False)
        theirs = simulator.predict({source: values}, verbose=0)
    assert not np.array_equal(loaded.projections[0].weights.data, before.projections[0].weights.data)
    again = load_nengo(network, inputs=[source])
    assert all(np.array_equal(a.weights.data, b.weights.data) for a, b in zip(again.projections, before.projections, strict=True))
    readout = loaded.outputs[0].populations[0]
    run = simulate_network(loaded, encode_inputs(loaded, values), counts_of=[loaded.populations[0].name], states_of=[readout])
    assert np.array_equal(run.counts[loaded.populations[0].name], np.rint(theirs[spikes] * 0.001))
    assert np.allclose(run.potentials[readout], theirs[seen], atol=1e-4)
    with pytest.raises(FrontendError, match="simulator is closed"):
        load(simulator)


def test_layers_without_neurons_are_refused(nengo_dl: Any) -> None:
    import tensorflow as tf

    source = tf.keras.Input((4,))
    model = tf.keras.Model(source, tf.keras.layers.LayerNormalization(name="normal")(source))
    with pytest.raises(FrontendError, match="TensorNodes"):
        load(nengo_dl.Converter(model))


def test_other_sources_are_refused(nengo_dl: Any) -> None:
    with pytest.raises(FrontendError, match=r"nengo_dl\.Converter"):
        load(import_nengo().Network())


def test_keras_3_stays_what_it_was(nengo_dl: Any) -> None:
    import keras
    import tensorflow as tf

    assert keras.__version__.startswith("3.")
    assert tf.keras.Model.__module__.startswith("tf_keras")


@pytest.mark.parametrize("channels", ["channels_last", "channels_first"])
def test_a_convolution_with_biases_is_the_same_from_converter_and_simulator(nengo_dl: Any, channels: str) -> None:
    """nengo-dl spreads one bias a channel by a sparse transform, of which its simulator gives the values alone."""
    import tensorflow as tf

    shape = (6, 6, 2) if channels == "channels_last" else (2, 6, 6)
    spread = tf.keras.initializers.RandomUniform(-0.4, 0.6, seed=0)
    convolution = tf.keras.layers.Conv2D(3, 3, activation="relu", data_format=channels, bias_initializer=spread)
    dense = tf.keras.layers.Dense(4, bias_initializer=spread)
    model = tf.keras.Sequential([tf.keras.layers.Input(shape), convolution, tf.keras.layers.Flatten(), dense])
    lif = import_nengo().LIF(tau_ref=0, min_voltage=-np.inf, amplitude=0.02)
    converter = convert(nengo_dl, model, lif, scale_firing_rates=100, synapse=None)
    images = np.random.default_rng(0).integers(0, 17, (60, 72)) * PIXEL
    theirs, ours = run_both(nengo_dl, converter, images, 30)
    differing = np.abs(theirs - ours).max(axis=1) > 1e-4 * np.abs(theirs).max()
    assert np.abs(theirs).max() > 0.5
    assert differing.mean() <= 0.02


def test_values_of_any_sparse_transform_find_their_place(nengo_dl: Any) -> None:
    from scipy.sparse import coo_matrix

    nengo = import_nengo()
    places = np.array([[4, 0], [0, 2], [3, 1], [0, 2], [2, 2]])
    values = np.array([0.5, -0.25, 2.0, 0.125, 1.0])
    given = coo_matrix((values, places.T), shape=(5, 3))
    for transform in (nengo.Sparse((5, 3), indices=places, init=values), nengo.Sparse((5, 3), init=given)):
        with nengo.Network(seed=0) as net:
            source = nengo.Node(np.zeros(3), label="input")
            kind = nengo.LIF(tau_ref=0, min_voltage=-np.inf)
            ensemble = nengo.Ensemble(5, 1, neuron_type=kind, gain=np.ones(5), bias=np.zeros(5))
            nengo.Connection(source, ensemble.neurons, transform=transform, synapse=None)
            nengo.Probe(ensemble.neurons)
        with nengo_dl.Simulator(net, progress_bar=False) as simulator:
            found = load(simulator, initial_voltage="zero")
        (projection,) = (q for q in found.projections if q.pre == "input")
        matrix = projection.weights.to_dense()
        assert np.allclose(matrix / matrix[0, 4] * 0.5, given.toarray().T, rtol=1e-6)

"""Random networks that can be folded: deep, recurrent, residual, with skips, several ports and feedback."""

import numpy as np

from snnmap.core import CsrMatrix
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, SpikeSum


def random_weights(rng: np.random.Generator, n_pre: int, n_post: int, *, gain: float = 1.0, density: float = 0.8) -> CsrMatrix:
    """Draw weights of which about ``density`` are not zero."""
    dense = rng.normal(0.3, 1.0, (n_pre, n_post)) * gain * (rng.random((n_pre, n_post)) < density)
    return CsrMatrix.from_dense(dense)


def random_population(rng: np.random.Generator, name: str, size: int, *, n_synapses: int = 1, max_count: int = 31) -> Population:
    """Draw a population whose decays the chips can code exactly."""
    codable = 1.0 - 2.0 ** -np.arange(1, 5)
    return Population.create(
        name,
        size,
        alpha=rng.choice(codable, (n_synapses, size)),
        beta=rng.choice([0.0, *codable], size),
        threshold=rng.uniform(0.8, 4.0, size),
        max_count=max_count,
        source=f"model.{name}",
    )


def random_network(seed: int, *, biases: bool = True, n_synapses: int = 2) -> Network:
    """Draw a network of 3 to 6 hidden populations with every kind of connection that folds."""
    rng = np.random.default_rng(seed)
    inputs = tuple(InputPort(name=f"in{k}", size=int(rng.integers(1, 5))) for k in range(rng.integers(1, 3)))
    size = int(rng.integers(3, 8))
    hidden = [
        random_population(rng, f"h{k}", size, n_synapses=int(rng.integers(1, n_synapses + 1))) for k in range(rng.integers(3, 7))
    ]
    if biases and rng.random() < 0.5:
        hidden[0] = Population.create(
            "h0", size, alpha=0.5, beta=0.75, threshold=2.0, bias=rng.uniform(-0.3, 0.6, size), source="model.h0"
        )
    outputs = [random_population(rng, f"o{k}", int(rng.integers(1, 4)), max_count=1) for k in range(rng.integers(1, 3))]
    sums: list[SpikeSum] = []
    projections: list[Projection] = []

    def connect(pre: str, n_pre: int, post: Population, delay_steps: int = 0, gain: float = 1.0) -> None:
        name = f"{pre}->{post.name}#{len(projections)}"
        weights = random_weights(rng, n_pre, post.size, gain=gain)
        synapse = int(rng.integers(post.n_synapses))
        projections.append(
            Projection(
                name=name,
                pre=pre,
                post=post.name,
                weights=weights,
                synapse=synapse,
                delay_steps=delay_steps,
                source=f"model.{name}",
            )
        )

    for port in inputs:
        connect(port.name, port.size, hidden[0])
    for k, population in enumerate(hidden[1:], start=1):
        previous = hidden[k - 1].name
        if k >= 2 and rng.random() < 0.6:
            sums.append(SpikeSum(name=f"sum{k}", terms=(previous, hidden[int(rng.integers(0, k - 1))].name)))
            previous = sums[-1].name
        connect(previous, size, population)
        if rng.random() < 0.4:
            connect(previous, size, population, gain=0.3)
        if rng.random() < 0.4:
            connect(inputs[0].name, inputs[0].size, population, delay_steps=int(rng.integers(0, 3)))
    for k, population in enumerate(hidden):
        if rng.random() < 0.5:
            connect(population.name, size, population, delay_steps=int(rng.integers(1, 3)), gain=0.3)
        if k >= 1 and rng.random() < 0.4:
            connect(population.name, size, hidden[k - 1], delay_steps=int(rng.integers(2, 4)), gain=0.3)
    last = hidden[-1].name
    for output in outputs:
        connect(last if rng.random() < 0.7 else hidden[int(rng.integers(len(hidden)))].name, size, output)
    ports = (
        (OutputPort(name="out", populations=tuple(output.name for output in outputs)),)
        if rng.random() < 0.5
        else tuple(OutputPort(name=f"out_{output.name}", populations=(output.name,)) for output in outputs)
    )
    return Network(
        name=f"random-{seed}",
        inputs=inputs,
        populations=(*hidden, *outputs),
        projections=tuple(projections),
        outputs=ports,
        sums=tuple(sums),
        dt_s=1e-3,
        provenance={"framework": "test"},
    )

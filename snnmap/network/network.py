"""A discrete-time LIF network: populations, projections, spike sums and ports (docs/architecture.md)."""

from collections.abc import Callable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from snnmap.chip import Readout
from snnmap.core.cached import Cached, cached
from snnmap.core.csr import CsrMatrix
from snnmap.core.errors import NetworkError
from snnmap.core.record import FloatArray, IntArray, freeze_float, freeze_int, freeze_mapping, record, replace_array

__all__ = [
    "MADE_BESIDE",
    "MOVED_POOLS",
    "N_MOVED_POOLS",
    "OTHERWISE",
    "PRESENTATION",
    "InputPort",
    "Network",
    "OutputPort",
    "Population",
    "Projection",
    "Reset",
    "SpikeSum",
]

Reset = Literal["subtract", "value"]
MADE_BESIDE = "fix of populations beside a module's"
"""Key of the provenance for what to do where a chip cannot take populations that a frontend made beside those of modules."""
MOVED_POOLS = "max pools"
"""Key of the provenance for pools that were put behind neurons at the user's word: which, and what changed."""
N_MOVED_POOLS = "number of max pools"
"""Key of the provenance for how many these are."""
OTHERWISE = "read otherwise beyond a further threshold"
"""Key of the provenance for a choice of the user's by which neurons beyond two thresholds do something else than the model's.

Behind a colon stand the populations, by name, separated by commas; all where nothing does.
"""
PRESENTATION = "presentation"
"""Key of the provenance for the steps that a value is presented for, of the network of an ANN that was converted."""


@record
class Population:
    """LIF neurons that share a model; every parameter is an array of the population's size.

    Step ``t``, for synapse ``s`` with input ``x_s[t]`` (sum of incoming counts times weights)::

        i_s[t] = alpha_s * i_s[t-1] + x_s[t]
        u[t]   = beta * v[t-1] + sum_s i_s[t] + bias
        n[t]   = 0 where u < threshold, else min(floor(u / threshold), max_count)
        v[t]   = u - n * threshold                        (reset "subtract")
               = v_reset where n > 0, else u              (reset "value")

    The synapse decays before its input arrives. A model that decays afterwards (as the Xylo chips do) is the same
    network with its weights multiplied by alpha; frontends convert it. An infinite threshold is a neuron that never
    fires, as leaky-integrator readouts are.

    Attributes:
        name: unique in the network.
        size: number of neurons.
        alpha: ``(n_synapses, size) float64``, synaptic decay factor a step, 0 for a synapse without memory.
        beta: ``(size,) float64``, membrane decay factor a step.
        threshold: ``(size,) float64``.
        bias: ``(size,) float64``, added to the membrane in each step.
        reset: what a spike does to the membrane.
        v_reset: ``(size,) float64``, used by reset "value".
        max_count: ``(size,) int64``, the most spikes a neuron sends in one step.
        source: path of the module in the user's model.

    Raises:
        NetworkError: when a parameter does not fit the size.
    """

    name: str
    size: int
    alpha: FloatArray
    beta: FloatArray
    threshold: FloatArray
    bias: FloatArray
    reset: Reset
    v_reset: FloatArray
    max_count: IntArray
    source: str

    def __post_init__(self) -> None:
        n_synapses = np.asarray(self.alpha).shape[0] if np.ndim(self.alpha) == 2 else 1
        self._freeze("alpha", freeze_float, (n_synapses, self.size))
        for name in ("beta", "threshold", "bias", "v_reset"):
            self._freeze(name, freeze_float, (self.size,))
        self._freeze("max_count", freeze_int, (self.size,))

    @classmethod
    def create(
        cls,
        name: str,
        size: int,
        *,
        alpha: npt.ArrayLike = 0.0,
        beta: npt.ArrayLike = 0.0,
        threshold: npt.ArrayLike = 1.0,
        bias: npt.ArrayLike = 0.0,
        reset: Reset = "subtract",
        v_reset: npt.ArrayLike = 0.0,
        max_count: npt.ArrayLike = 31,
        source: str = "",
    ) -> Self:
        """Build a population from scalars or arrays; ``alpha=0.5`` is one synapse, ``alpha=[[0.5], [0.9]]`` is two.

        Raises:
            NetworkError: when a parameter does not fit the size.

        Example:
            >>> Population.create("h", 3, alpha=[[0.5], [0.75]], beta=0.875).alpha.shape
            (2, 3)
        """
        return cls(
            name=name,
            size=size,
            alpha=np.asarray(alpha, np.float64),
            beta=np.asarray(beta, np.float64),
            threshold=np.asarray(threshold, np.float64),
            bias=np.asarray(bias, np.float64),
            reset=reset,
            v_reset=np.asarray(v_reset, np.float64),
            max_count=np.asarray(max_count),
            source=source,
        )

    def _freeze(self, name: str, freeze: Callable[..., object], shape: tuple[int, ...]) -> None:
        value = getattr(self, name)
        try:
            replace_array(self, name, freeze(value, shape))
        except ValueError as error:
            raise NetworkError(
                f"parameter '{name}' does not fit the population",
                where=f"population '{self.name}'",
                measured=f"shape {np.shape(value)} of {np.asarray(value).dtype}",
                limit=f"shape {shape}",
                fix="give a scalar or one value a neuron",
            ) from error

    @property
    def n_synapses(self) -> int:
        """Number of synapses (currents) a neuron."""
        return int(self.alpha.shape[0])


@record
class Projection:
    """Weights from an input port, a population or a spike sum to one synapse of a population.

    Attributes:
        name: unique in the network; projections between the same pair add.
        pre: name of the source.
        post: name of the target population.
        weights: ``(n_pre, n_post)`` sparse float64.
        synapse: which synapse of the target.
        delay_steps: 0 delivers in the step of the spike.
        source: path of the module in the user's model.
    """

    name: str
    pre: str
    post: str
    weights: CsrMatrix
    synapse: int = 0
    delay_steps: int = 0
    source: str = ""


@record
class SpikeSum:
    """The neuron-by-neuron sum of the spike counts of several sources of one size (a residual addition).

    Attributes:
        name: unique among all sources.
        terms: names of input ports, populations or other sums.
        source: path of the module in the user's model.
    """

    name: str
    terms: tuple[str, ...]
    source: str = ""


@record
class InputPort:
    """Spike counts from outside, ``size`` channels.

    Raises:
        NetworkError: a negative size.
    """

    name: str
    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise NetworkError(
                "a port has a negative number of channels",
                where=f"input port '{self.name}'",
                measured=str(self.size),
                limit="0",
                fix="give the number of channels",
            )


@record
class OutputPort:
    """What is read: the neurons of these populations, one after the other.

    Attributes:
        name: unique among output ports.
        populations: read in this order.
        readout: spike counts, membrane potentials or synaptic currents.
    """

    name: str
    populations: tuple[str, ...]
    readout: Readout = "spikes"


@record
class Network(Cached):
    """A discrete-time LIF network, the meaning of every model.

    Values are not judged here: a network with a NaN weight can be built, so that the design rules can say where.

    Attributes:
        name: of the model.
        inputs: input ports, in the order of the chip's channels.
        populations: neurons.
        projections: weights.
        outputs: output ports.
        sums: spike sums.
        dt_s: length of a step in seconds, for reports; 0 where the model has none.
        provenance: framework, version, dt, integrator, reset and other choices of the frontend.
        integers: whether weights (over alpha), thresholds and biases are a chip's own integers, to be kept as they are.

    Raises:
        NetworkError: when two parts share a name.

    Example:
        >>> from snnmap.core import CsrMatrix
        >>> weights = CsrMatrix.from_dense([[1.0, 0.0], [0.0, 1.0]])
        >>> network = Network(
        ...     name="copy",
        ...     inputs=(InputPort(name="in", size=2),),
        ...     populations=(
        ...         Population.create("h", 2, alpha=0.5, beta=0.75),
        ...         Population.create("out", 2, alpha=0.5, beta=0.75, max_count=1),
        ...     ),
        ...     projections=(
        ...         Projection(name="first", pre="in", post="h", weights=weights),
        ...         Projection(name="second", pre="h", post="out", weights=weights),
        ...     ),
        ...     outputs=(OutputPort(name="y", populations=("out",)),),
        ... )
        >>> network.source_sizes["h"]
        2
    """

    name: str
    inputs: tuple[InputPort, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    outputs: tuple[OutputPort, ...]
    sums: tuple[SpikeSum, ...] = ()
    dt_s: float = 0.0
    provenance: Mapping[str, str] = field(default_factory=dict)
    integers: bool = False

    def __post_init__(self) -> None:
        replace_array(self, "provenance", freeze_mapping(self.provenance))
        sources = [*(p.name for p in self.inputs), *(p.name for p in self.populations), *(s.name for s in self.sums)]
        for kind, names in (
            ("source", sources),
            ("projection", [p.name for p in self.projections]),
            ("output port", [o.name for o in self.outputs]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise NetworkError(
                    f"two {kind}s are called '{twice[0]}'", where=f"network '{self.name}'", fix="give each its own name"
                )

    def _repr_html_(self) -> str:
        from snnmap.network.summary import show_network

        return show_network(self)

    def population(self, name: str) -> Population:
        """Return the population of this name.

        Raises:
            KeyError: when there is none.
        """
        return _by_name(self)[name]

    @property
    @cached
    def source_sizes(self) -> Mapping[str, int]:
        """Size of each input port, population and (where its terms are known) spike sum, by name."""
        sizes = {port.name: port.size for port in self.inputs} | {p.name: p.size for p in self.populations}
        pending = list(self.sums)
        while pending:
            known = [s for s in pending if any(term in sizes for term in s.terms)]
            if not known:
                break
            for addition in known:
                sizes[addition.name] = next(sizes[term] for term in addition.terms if term in sizes)
            pending = [s for s in pending if s not in known]
        return MappingProxyType(sizes)

    @property
    @cached
    def output_populations(self) -> tuple[str, ...]:
        """Names of the populations that ports read, each once, in port order: the chip's output neurons."""
        return tuple(dict.fromkeys(name for port in self.outputs for name in port.populations))


@cached
def _by_name(network: Network) -> Mapping[str, Population]:
    return {population.name: population for population in network.populations}

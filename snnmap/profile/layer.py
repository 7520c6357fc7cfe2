"""What a profile tells of one layer."""

from dataclasses import dataclass

from snnmap.graph.operation import Shape

__all__ = ["Bandwidth", "LayerProfile", "Sparsity", "Volume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """How much data a sample is, at one place.

    Attributes:
        elements: values.
        bits: of them all.
        per_input_elements: elements, relative to those of the network's input.
        per_input_bits: bits, relative to those of the network's input.
    """

    elements: int
    bits: int
    per_input_elements: float
    per_input_bits: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """Bytes a second, a byte being 8 bits.

    Attributes:
        read: of activations that the layer takes.
        written: of activations that it gives.
        weights: of its weights, if they are read once a sample.
    """

    read: float
    written: float
    weights: float

    @property
    def activations(self) -> float:
        """Of what the layer takes and gives, weights apart."""
        return self.read + self.written


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparsity:
    """What need not be computed, measured on data.

    Attributes:
        zero_activations: share of the values that the layer takes that are 0.
        zero_weights: share of its weights that are 0; None where it has none.
        unchanged: share of the values that it takes that are what they were in the sample before; None of one sample.
        active_macs: multiply-accumulates a sample whose value and weight are both not 0; padding is 0.
        changed_macs: multiply-accumulates a sample of values that changed with weights that are not 0; None of one sample.
    """

    zero_activations: float
    zero_weights: float | None
    unchanged: float | None
    active_macs: float
    changed_macs: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerProfile:
    """One layer: an operation, and the normalisations, sums and activations behind it that need no memory between.

    Attributes:
        number: from 1, of the layers that multiply and accumulate; None of the others.
        name: of its first node.
        source: path of the module in the author's model, where it is known.
        kinds: of its operations.
        input_shape: of one sample of its first input.
        output_shape: of one sample.
        kernel: sides; () without one.
        strides: steps between windows; () without a kernel.
        n_weights: that it multiplies by.
        n_biases: that it adds, as the author wrote them.
        n_norms: scales, shifts and statistics of normalisations, and other constants a channel, as the author wrote them.
        n_folded_parameters: weights, biases and what is left when normalisations are folded into them where that can be.
        shares_with: name of the first layer that has the same weights; they count once in the whole.
        macs: multiply-accumulates a sample, those with padding too.
        other_ops: operations a sample beside them.
        is_opaque: whether one of its operations is known by its shapes only: its multiply-accumulates are not counted.
        input: what it reads, skip connections too.
        output: what it writes.
        weight: weights without biases and normalisations.
        bandwidth: at the rate of the profile.
        intensity: multiply-accumulates a byte of input, output and weights.
        live: activations that are in memory while it is computed: its input, its output, and what later layers need.
        line_buffer_pixels: places that a sliding window needs of its input: ``(k - 1) W + k``.
        line_buffer_bits: of these places in all channels.
        reduction: how many times shorter the sides of its output are than those of the network's input.
        is_reduction: whether strides leave fewer places of its input, or one of all.
        is_tap: whether it is the last layer before a reduction, at a quarter of the input's sides or less.
        sparsity: where data were given.
    """

    number: int | None
    name: str
    source: str
    kinds: tuple[str, ...]
    input_shape: Shape
    output_shape: Shape
    kernel: Shape
    strides: Shape
    n_weights: int
    n_biases: int
    n_norms: int
    n_folded_parameters: int
    shares_with: str
    macs: int
    other_ops: int
    is_opaque: bool
    input: Volume
    output: Volume
    weight: Volume
    bandwidth: Bandwidth
    intensity: float
    live: Volume
    line_buffer_pixels: int
    line_buffer_bits: int
    reduction: float
    is_reduction: bool
    is_tap: bool
    sparsity: Sparsity | None = None

    @property
    def n_parameters(self) -> int:
        """Weights, biases and normalisations, as the author wrote them."""
        return self.n_weights + self.n_biases + self.n_norms

    @property
    def marks(self) -> str:
        """``/2`` of a reduction by strides, ``/all`` of one of all places, ``tap`` of the last layer before one."""
        stride = max(self.strides, default=1)
        reduction = (f"/{stride}" if stride > 1 else "/all") if self.is_reduction else ""
        return " ".join(filter(None, (reduction, "tap" if self.is_tap else "")))

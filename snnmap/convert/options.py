"""Choices of a conversion."""

import math
from dataclasses import dataclass
from typing import Literal

from snnmap.core.errors import InputError

__all__ = ["Balanced", "Coding", "ConvertOptions", "Overshoot", "Pools", "Signed"]

Coding = Literal["count", "direct", "rate", "latency"]
Signed = Literal["refuse", "pairs"]
Overshoot = Literal["auto", "allow", "hold"]
Balanced = Literal["auto", "layer", "channel"]
Pools = Literal["auto", "weights", "neurons"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """Choices of a conversion.

    Spikes cannot be taken back. Where a neuron has fired too early, a chip of signed spikes sends a negative one (Wang et al.
    2022, signed neuron with memory); this chip's counts are not negative. It can wait: with ``overshoot="hold"`` each layer
    starts below zero by a charge that calibration data show to be enough, and gets it back once all of its input has arrived.
    It then fires exactly as often as its total input says, whatever the order in which that came, and costs ``hold_steps`` for
    each level of the network and an input channel for each level and one more. The held charge must fit the state: where it
    exceeds 16 thresholds (:class:`Compensation` says), compile with a ``depth`` of at least as much.

    Shallow networks lose next to nothing by early spikes, deep ones everything. ``overshoot="auto"`` measures: it allows them
    where the network's outputs on calibration data then err by no more than ``error_limit``, else holds them, and where that
    does not suffice also balances each channel by itself. It keeps what errs least; :attr:`Conversion.choices` says what was
    tried, what it erred and what it costs.

    Attributes:
        n_steps: T, steps in which an input is presented.
        settle_steps: silent steps after it, in which currents and late spikes arrive; 0 takes 4 and one a ReLU layer, as many
            times more as synapses of ``dash_syn`` are slower than those of 1, or what ``hold`` needs.
        balance_by: ``layer``, whose largest activations stand for ``max_rate``, or ``channel``, each scaled to its own largest
            first: the same function, of use where channels differ much, for more spikes. ``auto`` is ``layer``, or with
            ``overshoot="auto"`` what errs less.
        balance: which activation stands for ``max_rate``, where the model's activation has no step of its own: the
            ``percentile``, or the one of least squared error if counts were rounded and ended there (Li et al. 2021).
        percentile: of a layer's activations that stands for its largest rate; 100 is the maximum (Diehl et al. 2015), less is
            robust to outliers (Rueckauer et al. 2017, section 3.2.1).
        max_rate: spikes a step that stand for that activation; T steps are ``max_rate * T`` levels, of which the literature's
            one spike a step has T.
        input_min: input value that stands for no spikes; what it differs from 0 goes into the biases, exactly.
        input_max: input value that stands for ``input_rate`` spikes a step.
        clip_inputs: move values beyond these two to them; otherwise they are refused.
        input_rate: the chip's most counts a step and channel.
        coding: of the inputs, see :func:`encode_values`.
        seed: of the draws of coding ``rate``.
        dash_syn: bit shift of the synapses.
        dash_mem: bit shift of the membranes; the largest that a chip codes leaks least. None is a neuron without leak, which
            is a reference and no chip.
        compensate_leak: add ``threshold * 2**-dash_mem / 2`` in each step, whose fixed point is half a threshold, the mean of
            a potential that is reset by subtraction: to first order the leak's mean.
        start: ``half`` adds half a threshold over the presentation, so that counts are rounded and not floored (Deng & Gu 2021);
            an activation with a step is rounded as the model does.
        calibrate: shift each layer's charge by the mean error that calibration data show (Deng & Gu 2021; Li et al. 2021).
        overshoot: ``allow`` spikes that later input would have kept away, ``hold`` them back, or ``auto``: what calibration data
            show to be needed.
        error_limit: of the network's outputs on calibration data, relative to their spread over the samples; beyond it ``auto``
            looks for another way, and every conversion warns.
        hold_steps: steps from the end of the presentation to the first level's release, and from each level's to the next; 0
            takes 8, and more for slower synapses likewise.
        hold_margin: held charge over that which calibration data need.
        signed: ``refuse`` quantised activations with negative levels, which a spike count cannot be, or give them ``pairs`` of
            neurons, one for each sign.
        pools: whose values are never negative, such as those behind a ReLU: ``weights`` multiplies them out into the layer
            behind, whose fan-in grows by the places of a window (of a maximum three-fold for four places); ``neurons`` gives
            each value a neuron of its own, exactly, for a step of latency and, of an average, one more rounding; ``auto``
            takes neurons where the one chip that the network is for cannot store the weights.
        prune: drop the weights that contribute least, until each neuron has no more than the one chip that the network is for
            stores; :attr:`Conversion.pruning` says what that costs.

    Raises:
        InputError: a value outside its range.
    """

    n_steps: int = 8
    settle_steps: int = 0
    balance_by: Balanced = "auto"
    balance: Literal["percentile", "mse"] = "percentile"
    percentile: float = 99.9
    max_rate: float = 8.0
    input_min: float = 0.0
    input_max: float = 1.0
    clip_inputs: bool = False
    input_rate: int = 15
    coding: Coding = "count"
    seed: int = 0
    dash_syn: int = 1
    dash_mem: int | None = 15
    compensate_leak: bool = True
    start: Literal["half", "zero"] = "half"
    calibrate: bool = True
    overshoot: Overshoot = "auto"
    error_limit: float = 0.1
    hold_steps: int = 0
    hold_margin: float = 1.25
    signed: Signed = "refuse"
    pools: Pools = "auto"
    prune: bool = False

    def __post_init__(self) -> None:
        for name in ("n_steps", "settle_steps", "input_rate", "dash_syn", "hold_steps", "seed"):
            self._require(name, isinstance(getattr(self, name), int), "a whole number")
        self._require("n_steps", self.n_steps >= 1, ">= 1")
        self._require("seed", self.seed >= 0, ">= 0")
        self._require("settle_steps", self.settle_steps >= 0, ">= 0")
        self._require("balance", self.balance in ("percentile", "mse"), "percentile or mse")
        self._require("percentile", 0.0 < self.percentile <= 100.0, "0 < percentile <= 100")
        self._require("max_rate", 0.0 < self.max_rate <= 31.0, "0 < max_rate <= 31, the most spikes a step")
        self._require("input_min", isinstance(self.input_min, int | float), "one number for all channels")
        self._require("input_max", isinstance(self.input_max, int | float), "one number for all channels")
        self._require("input_max", self.input_max > self.input_min, f"> input_min = {self.input_min:g}")
        self._require("input_rate", 1 <= self.input_rate <= 15, "1 to 15, the chip's counts")
        self._require("coding", self.coding in ("count", "direct", "rate", "latency"), "count, direct, rate or latency")
        self._require("dash_syn", 1 <= self.dash_syn <= 15, "1 to 15; a current of dash 0 is gone before it is used")
        self._require("dash_mem", self.dash_mem is None or 1 <= self.dash_mem <= 15, "1 to 15, or None")
        self._require("start", self.start in ("half", "zero"), "half or zero")
        self._require("overshoot", self.overshoot in ("auto", "allow", "hold"), "auto, allow or hold")
        self._require("balance_by", self.balance_by in ("auto", "layer", "channel"), "auto, layer or channel")
        self._require("error_limit", isinstance(self.error_limit, int | float) and self.error_limit > 0.0, "> 0")
        self._require("hold_steps", self.hold_steps >= 0, ">= 0")
        self._require("signed", self.signed in ("refuse", "pairs"), "refuse or pairs")
        self._require("pools", self.pools in ("auto", "weights", "neurons"), "auto, weights or neurons")
        self._require("hold_margin", self.hold_margin >= 1.0, ">= 1")

    @property
    def gain(self) -> float:
        """Share of a spike's charge that its current carries in its first step: what makes its sum over all steps 1."""
        return 2.0**-self.dash_syn

    @property
    def slowness(self) -> float:
        """How many times longer a current lasts than with ``dash_syn`` 1, by half-lives."""
        return math.log(0.5) / math.log1p(-self.gain)

    @property
    def leak(self) -> float:
        """Share of its potential that a membrane loses a step."""
        return 0.0 if self.dash_mem is None else 2.0**-self.dash_mem

    @property
    def clock_count(self) -> int:
        """Spikes of the clock over the presentation."""
        return self.n_steps * self.input_rate

    def _require(self, name: str, holds: bool, limit: str) -> None:
        InputError.require_option(self, name, holds, limit, of="the conversion")

"""The bit-accurate LIF that Intel published (lava-nc 0.10.0, BSD-3) as a judge, as far as it runs here.

Its wheel is made for Python 3.10 and imports much that a neuron does not need, so its one file of models is loaded with
stand-ins for those imports. ``python tests/lava_judge.py PATH`` writes the table ``tests/chip/lava_states.json``, which the tests
read where it is not installed; PATH is ``lava/proc/lif/models.py`` of the unpacked wheel.
"""

import hashlib
import importlib.util
import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from snnmap.chip import load_chip
from snnmap.core import CsrMatrix
from snnmap.lif.program import NeuronCodes, Program

TABLE = Path(__file__).parent / "chip" / "lava_states.json"
SEEDS = (1, 2, 3, 4)
N_INPUTS, N_HIDDEN, N_SAMPLES, N_STEPS = 40, 200, 2, 700


def find_models() -> Path | None:
    """Give the judge's file where the package is installed."""
    try:
        found = importlib.util.find_spec("lava")
    except ValueError:  # stand-ins are in its place
        return None
    folders = list(found.submodule_search_locations or ()) if found else []
    paths = [Path(folder) / "proc" / "lif" / "models.py" for folder in folders]
    return next((path for path in paths if path.exists()), None)


def load_models(path: Path) -> Any:
    """Load the judge's file, with stand-ins while it is read."""

    class Anything:
        VEC_DENSE = None

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

        def run_spk(self) -> None: ...

    def decorate(*args: Any, **kwargs: Any) -> Any:
        return lambda given: given

    names = {
        "lava.magma.core.model.py.neuron": ("LearningNeuronModelFloat", "LearningNeuronModelFixed"),
        "lava.magma.core.sync.protocols.loihi_protocol": ("LoihiProtocol",),
        "lava.magma.core.model.py.ports": ("PyInPort", "PyOutPort"),
        "lava.magma.core.model.py.type": ("LavaPyType",),
        "lava.magma.core.resources": ("CPU",),
        "lava.magma.core.model.py.model": ("PyLoihiProcessModel",),
        "lava.proc.lif.process": ("LIF", "LIFReset", "TernaryLIF", "LearningLIF", "LIFRefractory"),
    }
    held = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "lava"}
    for name, classes in names.items():
        _stand_in(name, {given: type(given, (Anything,), {}) for given in classes})
    _stand_in("lava.magma.core.decorator", dict.fromkeys(("implements", "requires", "tag"), decorate))
    try:
        spec = importlib.util.spec_from_file_location("lava_lif_models", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "lava"]:
            del sys.modules[name]
        sys.modules.update(held)
    return module


def _stand_in(name: str, content: dict[str, Any]) -> None:
    parts = name.split(".")
    for n in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:n]), types.ModuleType(".".join(parts[:n])))
    vars(sys.modules[name]).update(content)


def draw(seed: int, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
    """Draw integers ``low .. high - 1`` that every version of every library draws alike (SplitMix64 of a counter)."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = (np.arange(count, dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return low + (z % np.uint64(high - low)).astype(np.int64).reshape(shape)


def draw_case(seed: int) -> tuple[Program, np.ndarray, dict[str, np.ndarray]]:
    """Give a program with one hidden population of the whole range of codes, its input, and the judge's parameters."""
    n, chip, number = N_HIDDEN, load_chip("generic-1024-factor"), iter(range(100 * seed, 100 * seed + 99))

    def weights(n_pre: int, n_post: int, share: int) -> CsrMatrix:
        kept = draw(next(number), (n_pre, n_post), 0, 100) < share
        return CsrMatrix.from_dense(draw(next(number), (n_pre, n_post), -128, 128) * kept)

    mantissa, exponent = draw(next(number), (n,), -4096, 4096), draw(next(number), (n,), 0, 8)
    lava = {
        "du": draw(next(number), (n,), 0, 4096) * draw(next(number), (n,), 0, 2),  # half of them the slowest
        "dv": draw(next(number), (n,), 0, 4096) >> draw(next(number), (n,), 0, 12),
        "bias_mant": mantissa * (draw(next(number), (n,), 0, 2)),
        "bias_exp": exponent,
        "vth": draw(next(number), (n,), 0, 1 << 17) >> draw(next(number), (n,), 0, 6),
    }
    hidden = NeuronCodes(
        dash_syn=lava["du"][np.newaxis], dash_mem=lava["dv"], threshold=lava["vth"] << 6, bias=lava["bias_mant"] << exponent
    )
    silent = NeuronCodes(
        dash_syn=np.zeros((1, 1), int), dash_mem=np.zeros(1, int), threshold=np.ones(1, int), bias=np.zeros(1, int)
    )
    program = Program(
        chip=chip, input_weights=(weights(N_INPUTS, n, 40),), recurrent_weights=(weights(n, n, 10),),
        output_weights=(CsrMatrix.from_dense(np.zeros((n, 1), np.int64)),), input_shift=int(draw(next(number), (1,), 0, 3)[0]),
        recurrent_shift=int(draw(next(number), (1,), 0, 4)[0]), output_shift=0, hidden=hidden, outputs=silent,
        alias=np.full(n, -1),
    )  # fmt: skip
    shape = (N_SAMPLES, N_STEPS, N_INPUTS)
    raster = draw(next(number), shape, 0, 16) * (draw(next(number), shape, 0, 4) == 0)
    return replace(program), raster, lava


def run_judge(models: Any, program: Program, raster: np.ndarray, lava: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Give currents, potentials and spikes of the judge, ``(n_samples, n_steps, n)`` each."""
    neurons, n_samples, n = models.PyLifModelBitAcc({}), raster.shape[0], program.hidden.size
    for name, values in lava.items():
        setattr(neurons, name, np.tile(values, n_samples).astype(np.int32))
    neurons.u, neurons.v = np.zeros(n_samples * n, np.int32), np.zeros(n_samples * n, np.int32)
    neurons.a_in, neurons.s_out = types.SimpleNamespace(), types.SimpleNamespace(send=lambda _: None)
    into = program.input_weights[0].to_dense() << program.input_shift
    between = program.recurrent_weights[0].to_dense() << program.recurrent_shift
    before = np.zeros((n_samples, n), np.int64)
    found: tuple[list[np.ndarray], ...] = ([], [], [])
    for step in range(raster.shape[1]):
        arriving = (raster[:, step] @ into + before @ between).astype(np.int32)
        neurons.a_in.recv = lambda arriving=arriving: arriving.reshape(-1)
        neurons.run_spk()
        before = neurons.s_out_buff.reshape(n_samples, n).astype(np.int64)
        for kept, values in zip(found, (neurons.u, neurons.v, before), strict=True):
            kept.append(np.array(values, np.int64).reshape(n_samples, n))
    return tuple(np.stack(kept, axis=1) for kept in found)


def digest_states(states: tuple[np.ndarray, ...]) -> list[str]:
    """Give a digest of currents, potentials and spikes each."""
    return [hashlib.sha256(np.ascontiguousarray(values, "<i4").tobytes()).hexdigest() for values in states]


def main() -> None:
    """Write the table."""
    models = load_models(Path(sys.argv[1]))
    cases = {str(seed): digest_states(run_judge(models, *draw_case(seed))) for seed in SEEDS}
    made = {"judge": "lava-nc 0.10.0, lava/proc/lif/models.py, PyLifModelBitAcc", "made_by": "python tests/lava_judge.py PATH"}
    what = "SHA-256 of currents, potentials, spikes as 32-bit little-endian words, (samples, steps, neurons)"
    TABLE.write_text(json.dumps(made | {"digests": what, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()

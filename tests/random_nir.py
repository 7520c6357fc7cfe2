"""Random NIR graphs: every node type, branches, loops, nested graphs, several ports, odd dtypes and shapes."""

from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
import torch
from nir_equations import SECONDS

from snnmap.frontends.nir import NirOptions

Shape = tuple[int, ...]

FIRING = ("IF", "LIF", "CubaLIF", "Threshold")
READ = ("I", "LI", "CubaLI")
DT_S = 2.0**-10


@dataclass
class Drawn:
    """A random graph.

    Attributes:
        flat: without nested graphs.
        nested: the same, some of its nodes in graphs within graphs.
        paths: of every node of ``flat`` in ``nested``.
        shapes: of what each node of ``flat`` sends.
        options: to read it with.
        rasters: spike counts by Input.
    """

    flat: Any
    nested: Any
    paths: dict[str, str]
    shapes: dict[str, Shape]
    options: NirOptions
    rasters: dict[str, np.ndarray]


def draw_options(rng: np.random.Generator) -> NirOptions:
    reset = str(rng.choice(["value", "zero", "subtract"]))
    late = int(reset == "subtract" and rng.random() < 0.3)
    return NirOptions(
        dt_s=DT_S,
        time_unit=str(rng.choice(["s", "ms", "us", "step"])),
        integrator=str(rng.choice(["euler", "zoh", "exp_euler", "exp_jump"])),
        if_gain=str(rng.choice(["dt", "step"])),
        reset=reset,
        reset_delay_steps=late,
        fires=str(rng.choice(["above", "reached"])),
        max_count=int(rng.choice([1, 1, 3, 31])),
        input_latency_steps=int(rng.choice([0, 0, 0, 1, 2])),
        layer_latency_steps=int(rng.choice([0, 0, 0, 1])),
        spike_scale=float(rng.choice([1.0, 1.0, 0.5, 1 / DT_S])),
        initial_potential=str(rng.choice(["zero", "zero", "leak", "reset"])),
    )


@dataclass
class Generator:
    rng: np.random.Generator
    options: NirOptions
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    potential: set[str] = field(default_factory=set)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def add(self, kind: str, node: Any, shape: Shape, *pres: str) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes[name], self.shapes[name] = node, shape
        self.edges += [(pre, name) for pre in pres]
        return name

    # numbers as people and exporters write them

    def batched(self, values: Any) -> Any:
        return np.asarray(values)[(np.newaxis,) * int(self.rng.integers(1, 3))] if self.chance(0.15) else np.asarray(values)

    def dressed(self, values: Any) -> Any:
        """Give values another dtype, order or holder without changing them."""
        array = np.asarray(values)
        if self.chance(0.1):
            return torch.tensor(array)
        if self.chance(0.1) and (array == np.rint(array)).all() and np.isfinite(array).all():
            return array.astype(np.int64)
        for dtype in (np.float16, np.float32):
            if self.chance(0.3) and np.array_equal(array.astype(dtype), array):
                return array.astype(dtype)
        return np.array(array, order="F") if self.chance(0.2) else array

    def grid(self, low: float, high: float, shape: Shape, step: float = 1 / 8) -> np.ndarray:
        return np.rint(self.rng.uniform(low, high, shape) / step) * step

    def weights(self, shape: Shape, n_in: int) -> np.ndarray:
        drawn = self.rng.normal(0.25, 1.0, shape) * (2.0 / np.sqrt(n_in))
        drawn = drawn * (self.rng.random(shape) < 0.8) / self.options.spike_scale
        return self.dressed(np.rint(drawn * 8) / 8 if self.chance(0.4) else drawn)

    # nodes

    def add_linear(self, pre: str) -> str:
        (n_in,) = without_batch(self.shapes[pre])
        n_out = int(self.rng.integers(1, 7))
        weight = self.weights((n_out, n_in), n_in)
        if self.chance(0.5):
            return self.add("Linear", nir.Linear(weight), (n_out,), pre)
        return self.add("Affine", nir.Affine(weight, self.bias(n_out)), (n_out,), pre)

    def bias(self, size: int) -> Any:
        return self.dressed(self.grid(-0.5, 1.0, (size,)) * self.rng.choice([0.0, 1.0]))

    def add_convolution(self, pre: str) -> str | None:
        shape = self.shapes[pre]
        n = len(shape) - 1
        groups = int(self.rng.choice([g for g in range(1, shape[0] + 1) if shape[0] % g == 0]))
        per_group, n_out = shape[0] // groups, groups * int(self.rng.integers(1, 3))
        kernel = tuple(int(k) for k in self.rng.integers(1, 4, n))
        stride, dilation = self.rng.integers(1, 3, n), self.rng.integers(1, 3, n)
        padding: Any = self.rng.integers(0, 3, n)
        if self.chance(0.3):
            padding, stride = ("same", np.ones(n, int)) if self.chance(0.5) else ("valid", stride)
        out = [
            slide(side, k, int(s), int(d), padding if isinstance(padding, str) else int(padding[axis]))
            for axis, (side, k, s, d) in enumerate(zip(shape[1:], kernel, stride, dilation, strict=True))
        ]
        if min(out) < 1:
            return None
        weight = self.weights((n_out, per_group, *kernel), per_group * int(np.prod(kernel)))
        declared = (shape[1:] if n == 2 else shape[1]) if self.chance(0.5) else None
        make, kind = (nir.Conv1d, "Conv1d") if n == 1 else (nir.Conv2d, "Conv2d")
        node = make(
            None, weight, self.sides(stride), padding if isinstance(padding, str) else self.sides(padding), self.sides(dilation),
            groups if self.chance(0.5) else np.int64(groups), self.bias(n_out),
        )  # fmt: skip
        node.input_shape = declared  # nir itself refuses some that are right
        return self.add(kind, node, (n_out, *out), pre)

    def sides(self, values: np.ndarray) -> Any:
        """Write sides as an integer where they are the same, a tuple or an array."""
        if (values == values[0]).all() and self.chance(0.5):
            return int(values[0]) if self.chance(0.5) else np.int64(values[0])
        return tuple(int(value) for value in values) if self.chance(0.5) else np.array(values)

    def add_pool(self, pre: str) -> str | None:
        shape = self.shapes[pre]
        kernel, stride, padding = (self.rng.integers(low, high, 2) for low, high in ((1, 4), (1, 4), (0, 2)))
        out = [slide(side, int(k), int(s), 1, int(p)) for side, k, s, p in zip(shape[1:], kernel, stride, padding, strict=True)]
        if min(out) < 1:
            return None
        make, kind = (nir.SumPool2d, "SumPool2d") if self.chance(0.5) else (nir.AvgPool2d, "AvgPool2d")
        return self.add(kind, make(self.sides(kernel), self.sides(stride), self.sides(padding)), (shape[0], *out), pre)

    def add_flatten(self, pre: str) -> str:
        shape = self.shapes[pre]
        start = int(self.rng.integers(0, len(shape)))
        end = int(self.rng.integers(start, len(shape)))
        new = (*shape[:start], int(np.prod(shape[start : end + 1])), *shape[end + 1 :])
        batch = (1,) * int(self.rng.integers(0, 3))
        declared = np.array(batch + shape)
        node = nir.Flatten(declared, start + len(batch), end - len(shape) if self.chance(0.5) else end + len(batch))
        return self.add("Flatten", node, new, pre)

    def per_value(self, values: np.ndarray) -> Any:
        return np.asarray(values.flat[0]) if self.chance(0.2) else self.dressed(self.batched(values))

    def add_scale(self, pre: str) -> str:
        shape = self.shapes[pre]
        return self.add("Scale", nir.Scale(self.per_value(self.grid(-0.5, 2.0, shape))), shape, pre)

    def add_delay(self, pre: str, most: int = 3, least: int = 0) -> str:
        steps = self.rng.integers(least, most + 1, self.shapes[pre]).astype(float)
        delay = steps if self.options.time_unit == "step" else steps * DT_S / SECONDS[str(self.options.time_unit)]
        return self.add("Delay", nir.Delay(self.per_value(delay)), self.shapes[pre], pre)

    def add_neurons(self, pre: str, kinds: tuple[str, ...] = FIRING) -> str:
        kind = str(self.rng.choice(kinds))
        shape = self.shapes[pre]
        fields = list(getattr(nir, kind).__dataclass_fields__)
        options = self.options
        unit = 1.0 if options.time_unit == "step" else DT_S / SECONDS[str(options.time_unit)]
        positive = {"tau", "tau_mem", "tau_syn", "v_threshold", "threshold"}
        drawn = {
            "tau": self.tau(shape) * unit, "tau_mem": self.tau(shape) * unit, "tau_syn": self.tau(shape) * unit,
            "r": self.grid(0.25, 2.0, shape), "w_in": self.grid(0.5, 2.0, shape),
            "v_leak": self.grid(-0.4, 0.4, shape) * self.rng.choice([0.0, 1.0]),
            "v_threshold": self.thresholds(shape), "threshold": self.thresholds(shape),
            "v_reset": self.grid(-0.4, 0.4, shape) * self.rng.choice([0.0, 1.0]),
        }  # fmt: skip
        if options.reset != "value":
            drawn["v_reset"] = np.zeros(shape)
        if kind in READ and options.initial_potential != "zero":
            drawn["v_leak"] = np.zeros(shape)
        if kind in ("I", "IF") and options.if_gain == "dt":
            drawn["r"] = drawn["r"] / unit
        given = {name: drawn[name] for name in fields if name in drawn}
        assert all((given[name] > 0).all() for name in positive & set(given))
        if self.chance(0.2):
            given.pop("v_reset", None)
        if self.chance(0.15):
            given = {name: np.asarray(values.flat[0]) for name, values in given.items()}
        elif self.chance(0.15):
            batch = (np.newaxis,) * int(self.rng.integers(1, 3))
            given = {name: values[batch] for name, values in given.items()}
        node = getattr(nir, kind)(**given)
        for name in given:
            setattr(node, name, self.dressed(getattr(node, name)))
        name = self.add(kind, node, shape, pre)
        self.potential |= {name} if kind in READ else set()
        return name

    def tau(self, shape: Shape) -> np.ndarray:
        """Return time constants in steps: 1, powers of two or any."""
        kind = self.rng.integers(4)
        if kind == 0:
            return np.ones(shape)
        return 2.0 ** self.rng.integers(0, 5, shape) if kind == 1 else self.rng.uniform(1.0, 20.0, shape)

    def thresholds(self, shape: Shape) -> np.ndarray:
        drawn = self.grid(0.25, 1.5, shape) if self.chance(0.5) else self.rng.uniform(0.2, 1.5, shape)
        return np.where(self.rng.random(shape) < 0.02, np.inf, drawn)

    # graphs

    def grow(self) -> None:
        """Add one node behind a random one that sends spikes or weighted spikes."""
        pre = str(self.rng.choice([name for name in self.nodes if name not in self.potential]))
        shape = self.shapes[pre]
        makers = [self.add_scale, self.add_delay, self.add_flatten, self.add_neurons, self.add_neurons, self.add_neurons]
        makers += [self.add_linear] * 4 if len(without_batch(shape)) == 1 else []
        makers += [self.add_convolution] * 3 if len(shape) in (2, 3) else []
        makers += [self.add_pool] * 2 if len(shape) == 3 else []
        maker: Any = makers[int(self.rng.integers(len(makers)))]
        name = maker(pre)
        if name is not None and self.chance(0.25):
            others = [o for o in self.nodes if o not in self.potential | {pre, name} and self.shapes[o] == shape]
            others = [o for o in others if list(self.nodes).index(o) < list(self.nodes).index(name)]
            if others:
                self.edges.append((str(self.rng.choice(others)), name))

    def add_back(self) -> None:
        """Lead the spikes of neurons back to themselves or to earlier ones."""
        firing = [name for name, node in self.nodes.items() if type(node).__name__ in FIRING]
        if not firing:
            return
        later = str(self.rng.choice(firing))
        post = str(self.rng.choice(firing[: firing.index(later) + 1])) if self.chance(0.6) else later
        end = later
        if len(self.shapes[end]) > 1:
            end = self.add("Flatten", nir.Flatten(None, 0, -1), (int(np.prod(self.shapes[end])),), end)
        if self.chance(0.4):
            end = self.add_delay(end, 2, int(self.chance(0.8)))
        n_post = int(np.prod(self.shapes[post]))
        if len(without_batch(self.shapes[post])) == 1 and self.chance(0.8):
            weight = self.weights((n_post, self.shapes[end][0]), self.shapes[end][0])
            end = self.add("Linear", nir.Linear(weight), (n_post,), end)
        elif self.shapes[end] != self.shapes[post] or end == later:
            return
        if (end, post) not in self.edges:
            self.edges.append((end, post))

    def finish(self) -> None:
        """Read the ends, and some others; drop linear nodes that nobody reads."""
        for name in list(self.nodes):
            if self.chance(0.2) and name not in self.potential and len(self.nodes) < 40:
                self.add_neurons(name, READ)
        ends = [name for name in self.nodes if all(pre != name for pre, _ in self.edges)] or [list(self.nodes)[-1]]
        others = [name for name in self.nodes if self.chance(0.1) and not name.startswith("input")]
        for name in dict.fromkeys([*ends, *others]):
            shape = self.shapes[name]
            self.add("Output", nir.Output(np.array((1,) * int(self.rng.integers(0, 2)) + shape)), shape, name)


def slide(side: int, kernel: int, stride: int, dilation: int, padding: int | str) -> int:
    if padding == "same":
        return side
    both = 0 if padding == "valid" else 2 * int(padding)
    return (side + both - dilation * (kernel - 1) - 1) // stride + 1


def without_batch(shape: Shape) -> Shape:
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape


def draw_shape(rng: np.random.Generator) -> Shape:
    sides = int(rng.choice([1, 1, 2, 3]))
    return tuple(int(side) for side in rng.integers(1, 5 if sides == 3 else 6, sides))


def draw_graph(seed: int, n_steps: int = 24) -> Drawn:
    """Draw a graph, options and inputs."""
    rng = np.random.default_rng(seed)
    made = Generator(rng, draw_options(rng))
    for _ in range(int(rng.integers(1, 4))):
        shape = draw_shape(rng)
        made.add("Input", nir.Input(np.array((1,) * int(rng.integers(0, 2)) + shape)), shape)
    for _ in range(int(rng.integers(2, 14))):
        made.grow()
    for _ in range(int(rng.integers(0, 3))):
        made.add_back()
    made.finish()
    flat = nir.NIRGraph(made.nodes, made.edges, type_check=False)
    rasters = {
        name: rng.poisson(0.7, (2, n_steps, int(np.prod(made.shapes[name])))) for name in made.nodes if name.startswith("input")
    }
    nested, paths = nest(flat, made.shapes, rng)
    return Drawn(flat, nested, paths, made.shapes, made.options, rasters)


def nest(flat: Any, shapes: dict[str, Shape], rng: np.random.Generator) -> tuple[Any, dict[str, str]]:
    """Put some nodes into a graph of their own, with an Input and an Output for every node whose signal crosses."""
    nodes, edges = dict(flat.nodes), list(flat.edges)
    paths = {name: name for name in nodes}
    for number in range(int(rng.integers(0, 3))):
        group = f"g{number}"
        free = [name for name, node in nodes.items() if type(node).__name__ not in ("Input", "Output", "NIRGraph")]
        chosen = {name for name in free if rng.random() < 0.4}
        if not chosen:
            continue
        reached = {post for _, post in edges} | {pre for pre, _ in edges}
        if any("." in name for name in reached) and number:
            break
        inner = {name: nodes.pop(name) for name in chosen}
        inside = [edge for edge in edges if set(edge) <= chosen]
        outside = [edge for edge in edges if not set(edge) & chosen]
        crossing = [edge for edge in edges if 0 < len(set(edge) & chosen) < 2 and edge not in inside]
        for pre, post in crossing:
            port, made = (f"in {pre}", nir.Input) if post in chosen else (f"out {pre}", nir.Output)
            inner[port] = made(np.array(shapes[pre]))
            within, without = ((port, post), (pre, f"{group}.{port}"))
            if post not in chosen:
                within, without = (pre, port), (f"{group}.{port}", post)
            inside += [within] if within not in inside else []
            outside += [without] if without not in outside else []
        nodes[group] = nir.NIRGraph(inner, inside, type_check=False)
        edges = outside
        paths |= {name: f"{group}.{name}" for name in chosen}
    return nir.NIRGraph(nodes, edges, type_check=False), paths

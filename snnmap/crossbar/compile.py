"""The whole way: a quantised layer graph to bytes, held against the model before they are given out."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core import Report
from snnmap.core.errors import DesignRuleError
from snnmap.core.fsio import write_files
from snnmap.core.record import record
from snnmap.crossbar.container import Image, decode_image, encode_image
from snnmap.crossbar.drc import check_image, check_layers, check_mapped, check_model, check_program
from snnmap.crossbar.executor import Numerics, run_image
from snnmap.crossbar.lower import LayerProgram, lower_graph
from snnmap.crossbar.mapping import Mapped, MappingOptions, place_layers
from snnmap.crossbar.record import Architecture, load_architecture
from snnmap.crossbar.report import format_summary, list_report_files
from snnmap.crossbar.schedule import schedule
from snnmap.graph import LayerGraph, run_graph

__all__ = ["Built", "check_graph", "compile_graph", "find_differences"]


@record
class Built:
    """What a build made.

    Attributes:
        mapped: layers on elements.
        image: that was encoded.
        data: the file's bytes.
        report: of all rules.
    """

    mapped: Mapped
    image: Image
    data: bytes
    report: Report

    @property
    def program(self) -> LayerProgram:
        """The layers."""
        return self.mapped.program

    def run(self, inputs: npt.ArrayLike, *, keep: str = "outputs", numerics: Numerics | None = None) -> dict[str, Any]:
        """Run the bytes on a batch, as :func:`~snnmap.crossbar.executor.run_image`."""
        image = decode_image(self.data, architecture=self.mapped.architecture)
        return run_image(image, inputs, keep=keep, numerics=numerics)

    @property
    def summary(self) -> str:
        """Utilisation, computation cycles beside their bound, latency, energy, traffic, memories: in lines for people."""
        return format_summary(self.mapped, self.image)

    def write(self, folder: str | Path) -> None:
        """Write the file, ``report.json`` and ``report.html``, all or none.

        Raises:
            OSError: the folder cannot be written.
        """
        files = list_report_files(self.mapped, self.image, self.report)
        write_files(Path(folder), {f"{self.file_stem}.bin": self.data, **files})

    @property
    def file_stem(self) -> str:
        """The model's name, as files are called."""
        return re.sub(r"[^\w.-]+", "_", self.image.name) or "model"


def compile_graph(
    graph: LayerGraph,
    architecture: str | Architecture,
    *,
    options: MappingOptions | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> Built:
    """Compile a quantised layer graph.

    The bytes are decoded again and held against the layers (rules CIM401 to CIM405) before they are given out.

    Args:
        graph: with activations in uint8.
        architecture: its name, the path of its TOML file, or itself.
        options: of the mapper.
        on_stage: is told each stage.

    Raises:
        DesignRuleError: the model breaks rules; it tells all of a stage.
    """
    built, report = _compile(graph, architecture, options, on_stage or (lambda _: None))
    if built is None:
        raise DesignRuleError(report.errors, report.warnings)
    return built


def check_graph(graph: LayerGraph, architecture: str | Architecture, *, options: MappingOptions | None = None) -> Report:
    """Run all rules, as :func:`compile_graph` does, up to the stage whose errors leave nothing to go on with.

    Args:
        graph: to check.
        architecture: as for :func:`compile_graph`.
        options: likewise.
    """
    return _compile(graph, architecture, options, lambda _: None)[1]


def _compile(
    graph: LayerGraph, architecture: str | Architecture, options: MappingOptions | None, tell: Callable[[str], None]
) -> tuple[Built | None, Report]:
    """Return what was built, or None where a stage found errors, and what the rules found."""
    target = load_architecture(architecture) if isinstance(architecture, str) else architecture
    tell("lowering to integers")
    lowered = lower_graph(graph, target)
    report = check_model(lowered, target)
    if lowered.program is None or not report.is_clean:
        return None, report
    report = report.merge(check_layers(lowered.program, target))
    if not report.is_clean:
        return None, report
    tell("placing weights")
    mapped = place_layers(lowered.program, target, options)
    report = report.merge(check_mapped(mapped))
    if not report.is_clean:
        return None, report
    tell("writing instructions")
    image = schedule(mapped)
    data = encode_image(image)
    tell("holding the bytes against the layers")
    report = report.merge(check_image(image)).merge(check_program(decode_image(data, architecture=target), lowered.program))
    return (Built(mapped=mapped, image=image, data=data, report=report) if report.is_clean else None), report


def find_differences(built: Built, inputs: npt.ArrayLike) -> dict[str, int]:
    """Run the bytes and the layer graph side by side, and count values that differ, by tensor.

    Args:
        built: whose bytes run freely: no layer is fed from the graph's run.
        inputs: ``(n_samples, *shape)``.
    """
    wanted = run_graph(built.program.graph, inputs, dtype=np.float32)
    found = built.run(inputs, keep="all")
    return {name: int(np.count_nonzero(levels.reshape(wanted[name].shape) != wanted[name])) for name, levels in found.items()}

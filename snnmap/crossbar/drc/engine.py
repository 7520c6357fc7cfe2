"""The engine: a run executes all rules of a stage and reports everything."""

from dataclasses import dataclass
from typing import TypeVar

from snnmap.core import Report
from snnmap.core.rules import RuleSet, Subject, run_rules
from snnmap.crossbar.check import Fault, find_faults
from snnmap.crossbar.container import Image
from snnmap.crossbar.lower import LayerProgram, Lowered
from snnmap.crossbar.mapping import Mapped
from snnmap.crossbar.record import Architecture

__all__ = [
    "Held",
    "OnArchitecture",
    "RULES",
    "check_image",
    "check_layers",
    "check_mapped",
    "check_model",
    "check_program",
]

_SubjectT = TypeVar("_SubjectT")
_CRASH_ID = "CIM001"
RULES = RuleSet("CIM")
"""All rules of this back end, by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnArchitecture(Subject[_SubjectT]):
    """What a rule looks at, and the architecture it is held against."""

    architecture: Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An image held against its layers.

    Attributes:
        image: as decoded.
        faults: what it does otherwise.
    """

    image: Image
    faults: tuple[Fault, ...]


def check_model(lowered: Lowered, architecture: Architecture) -> Report:
    """Run the rules that judge what a model's nodes are on an accelerator."""
    return _run(Lowered, OnArchitecture(of=lowered, architecture=architecture))


def check_layers(program: LayerProgram, architecture: Architecture) -> Report:
    """Run the rules that judge layers before they are placed."""
    return _run(LayerProgram, OnArchitecture(of=program, architecture=architecture))


def check_mapped(mapped: Mapped) -> Report:
    """Run the rules that judge placed weights."""
    return _run(Mapped, OnArchitecture(of=mapped, architecture=mapped.architecture))


def check_image(image: Image) -> Report:
    """Run the rules that judge what all memories are loaded with."""
    return _run(Image, OnArchitecture(of=image, architecture=image.architecture))


def check_program(image: Image, program: LayerProgram) -> Report:
    """Run the rules that hold an image against its layers; they know nothing of the mapper."""
    held = Held(image=image, faults=find_faults(image, program))
    return _run(Held, OnArchitecture(of=held, architecture=image.architecture))


def _run(subject_type: type, subject: OnArchitecture[_SubjectT]) -> Report:
    return run_rules([entry for entry in RULES.values() if entry.subject is subject_type], subject, crash_id=_CRASH_ID)

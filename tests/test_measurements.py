"""Tables of measured figures: which rows a command line measures, and that none is lost by writing a part."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

NAMES = ("exact", "ResNet-8", "ResNet-20")


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("measurements")


def test_words_choose_rows_in_the_order_of_the_table(measurements: ModuleType) -> None:
    assert measurements.choose_rows([], NAMES) == measurements.choose_rows(["--write"], NAMES) == list(NAMES)
    assert measurements.choose_rows(["resnet-20", "exact"], NAMES) == ["exact", "ResNet-20"]


@pytest.mark.parametrize(
    ("words", "message"), [(["exakt"], "no row is called 'exakt'"), (["exact", "--write"], "--write writes the whole table")]
)
def test_what_would_lose_rows_is_refused(measurements: ModuleType, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        measurements.choose_rows(words, NAMES)

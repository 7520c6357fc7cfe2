"""The page about layer graphs runs as shown and shows what it gives."""

import re
from pathlib import Path
from typing import Any

from snnmap.graph import LayerGraph, format_graph

PAGE = (Path(__file__).parents[2] / "docs" / "graph.md").read_text()


def test_the_page_shows_what_it_gives() -> None:
    (code,), (text,) = (re.findall(rf"```{kind}\n(.*?)```", PAGE, flags=re.DOTALL) for kind in ("python", "text"))
    names: dict[str, Any] = {}
    exec(code, names)
    assert isinstance(names["fused"], LayerGraph)
    assert re.sub(r"torch \S+'", "torch'", format_graph(names["fused"])) == text

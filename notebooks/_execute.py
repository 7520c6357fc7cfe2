"""Run the notebooks' sources and write the .ipynb files beside them: ``python notebooks/_execute.py [NAME ...]``.

The sources are jupytext percent scripts and are what is edited. What changes from run to run for no reason, such as times and
random cell ids, is left out.
"""

import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def find_sources() -> list[Path]:
    """Give the sources of all notebooks."""
    return sorted(path for path in FOLDER.glob("*.py") if not path.name.startswith("_"))


def read_source(path: Path) -> nbformat.NotebookNode:
    """Read a source as a notebook without outputs."""
    notebook = jupytext.read(path)
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell["id"], cell["metadata"] = f"cell-{number}", {}
    return notebook


def execute(path: Path) -> None:
    """Run a source in a fresh kernel, in its folder, and write the notebook."""
    notebook = read_source(path)
    client = NotebookClient(notebook, timeout=300, record_timing=False, resources={"metadata": {"path": str(FOLDER)}})
    client.execute()
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, path.with_suffix(".ipynb"))


if __name__ == "__main__":
    chosen = sys.argv[1:]
    for source in find_sources():
        if not chosen or source.stem in chosen:
            start = time.monotonic()
            execute(source)
            print(f"{source.with_suffix('.ipynb').name}: {time.monotonic() - start:.0f} s")

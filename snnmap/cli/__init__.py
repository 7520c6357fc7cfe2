"""The command line."""

from snnmap.cli.main import main, program

__all__ = ["main", "program"]

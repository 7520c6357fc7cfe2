"""The command line: one file a verb, loaded when it is called."""

import ast
import importlib.util
import pkgutil
import sys
import traceback
from importlib.abc import InspectLoader

import click

from snnmap.cli import verbs
from snnmap.cli.messages import print_error
from snnmap.core.errors import SnnmapError
from snnmap.core.near import suggest

__all__ = ["main", "program"]

_VIOLATIONS, _USAGE, _INTERNAL, _INTERRUPTED = 1, 2, 3, 130


class _Verbs(click.Group):
    """Finds a verb in the module of its name, so that no verb waits for what another imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [module.name for module in pkgutil.iter_modules(verbs.__path__)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{verbs.__name__}.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            meant = suggest(args[0], self.list_commands(ctx), "see snnmap --help.").capitalize()
            raise click.UsageError(f"{error.message} {meant}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        limit = formatter.width - 6 - max(map(len, names))  # as click leaves for the text behind a name
        with formatter.section("Commands"):
            formatter.write_dl([(name, click.Command(name, help=_read_help(name)).get_short_help_str(limit)) for name in names])


def _read_help(verb: str) -> str | None:
    """Read what a verb says of itself from its source, so that a list of all verbs imports none."""
    spec = importlib.util.find_spec(f"{verbs.__name__}.{verb}")
    source = spec.loader.get_source(spec.name) if spec and isinstance(spec.loader, InspectLoader) else None
    functions = [node for node in ast.parse(source or "").body if isinstance(node, ast.FunctionDef)]
    return next((ast.get_docstring(function) for function in functions if function.name == "command"), None)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="snnmap")
def program() -> None:
    """Take trained spiking networks to a fixed LIF chip: what you trained is what the chip does.

    Exit codes: 0 clean, 1 design rule violations, 2 wrong use or bad input, 3 internal error.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; expected errors end in a message and an exit code, without a traceback."""
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    stdout = sys.stdout
    try:
        result = program.main(args=arguments, prog_name="snnmap", standalone_mode=False)
    except SnnmapError as error:
        print_error(str(error))
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return _USAGE
    except (click.Abort, KeyboardInterrupt):
        print_error("interrupted")
        return _INTERRUPTED
    except SystemExit as stopped:
        reader_is_gone = sys.stdout is not stdout  # click then puts one in its place that can be flushed, and exits with 1
        return 0 if reader_is_gone or not isinstance(stopped.code, int) else stopped.code
    except OSError as error:
        print_error(_describe(error))
        return _USAGE
    except Exception:
        print_error("internal error: please report this with the traceback below")
        traceback.print_exc()
        return _INTERNAL
    return result if isinstance(result, int) else 0


def _describe(error: OSError) -> str:
    place = f"\n  where: {error.filename}" if error.filename else ""
    return f"a file cannot be read or written: {error.strerror or error}{place}\n  fix: check path, permissions and free space"

"""snnmap search: model, training and chip chosen together."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from snnmap.cli.console import out
from snnmap.cli.messages import report_stages
from snnmap.core import fsio
from snnmap.design import Candidate, Search, format_search, search, search_csv
from snnmap.report import make_table

__all__ = ["command"]

_MOST_REASONS = 5


@click.command("search")
@click.argument("space", type=click.Path(dir_okay=False))
@click.option(
    "--output", "-o", type=click.Path(file_okay=False), help="Folder of the search; build/NAME of SPACE where left out."
)
@click.option("--trials", "n_trials", type=click.IntRange(1), help="Candidates in all; as SPACE says where left out.")
@click.option("--workers", "n_workers", type=click.IntRange(1), default=1, show_default=True, help="Processes that train.")
@click.option("--storage", help="Store that Optuna opens, such as postgresql://...; search.db in the folder where left out.")
@click.option("--format", "form", type=click.Choice(["text", "json", "csv"]), default="text", help="Form of the table.")
@click.option("--report", type=click.Path(dir_okay=False), help="HTML file for a page: the best, the trade, all candidates.")
@click.option("--quiet", "-q", is_flag=True, help="Print no progress.")
def command(
    space: str,
    output: str | None,
    n_trials: int | None,
    n_workers: int,
    storage: str | None,
    form: str,
    report: str | None,
    quiet: bool,
) -> int:
    """Search SPACE, a TOML file, for the best models, trainings and chips; exit 1 where no candidate was finished.

    A search goes on where it ended: give the same folder again.
    """
    folder = Path(output) if output else Path("build") / Path(space).stem
    on_candidate: Callable[[Candidate], None] = (lambda _: None) if quiet else _report(report_stages())
    found = search(space, folder, n_trials=n_trials, n_workers=n_workers, storage=storage, on_candidate=on_candidate)
    if report is not None:
        fsio.write_file(Path(report), format_search(found).encode())
    _show(found, form, folder)
    return 0 if found.front else 1


def _report(on_stage: Callable[[str], None]) -> Callable[[Candidate], None]:
    def on_candidate(candidate: Candidate) -> None:
        outcome = candidate.outcome
        if outcome is not None:
            told = ", ".join(f"{name} {value:.6g}" for name, value in outcome.measures.items())
            on_stage(f"candidate {candidate.number} {outcome.state}: {outcome.reason.partition(chr(10))[0] or told}")

    return on_candidate


def _show(found: Search, form: str, folder: Path) -> None:
    if form == "json":
        click.echo(json.dumps(found.to_plain(), indent=2))
    elif form == "csv":
        click.echo(search_csv(found), nl=False)
    else:
        best = {candidate.number for candidate in found.front}
        rows = [row for number, row in enumerate(found.to_cells()) if number in best]
        states = [candidate.outcome.state if candidate.outcome else "running" for candidate in found.candidates]
        told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        out().print(make_table(f"best of {len(states)} candidates ({told}), in {folder}", *_drop_empty(found.columns, rows)))
        if not best:
            _tell_why(found)


def _tell_why(found: Search) -> None:
    """Print what most candidates were broken, stopped or failed by."""
    reasons = Counter(c.outcome.reason.partition("\n")[0] for c in found.candidates if c.outcome)
    for reason, n in reasons.most_common(_MOST_REASONS):
        click.echo(f"{n} x {reason}")


def _drop_empty(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> tuple[list[str], list[list[str]]]:
    """Leave out columns that say the same of all rows that are shown: state, best and why."""
    kept = [place for place, name in enumerate(columns) if name not in ("state", "best", "why")]
    return [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]

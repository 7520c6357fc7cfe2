"""What a search found: the table of candidates, those that none beats, their files."""

import shutil
from pathlib import Path
from typing import Any, Literal

from snnmap.core import fsio
from snnmap.core.figure import INK, NOTE, draw_figure
from snnmap.core.front import find_front
from snnmap.core.html import format_page, heading, make_element, make_picture, make_section, make_table, to_html
from snnmap.core.record import record
from snnmap.core.table import format_csv
from snnmap.design.candidate import CANDIDATE_FILE, folder_of
from snnmap.design.choose import Candidate
from snnmap.design.objectives import OBJECTIVES
from snnmap.report import format_report

__all__ = ["Search", "draw_search", "format_search", "search_csv", "write_front"]


@record
class Search:
    """What a search found.

    Attributes:
        name: of the space.
        objectives: of :data:`OBJECTIVES`.
        candidates: by number.
    """

    name: str
    objectives: tuple[str, ...]
    candidates: tuple[Candidate, ...]

    @property
    def front(self) -> tuple[Candidate, ...]:
        """Candidates that no other beats in all objectives, best by the first."""
        finished = [candidate for candidate in self.candidates if candidate.outcome and candidate.outcome.state == "finished"]
        front = [finished[place] for place in find_front([self._scores(candidate) for candidate in finished])]
        return tuple(sorted(front, key=lambda candidate: (self._scores(candidate), candidate.number), reverse=True))

    def _scores(self, candidate: Candidate) -> tuple[float, ...]:
        """Return the objectives, of which higher is better."""
        if candidate.outcome is None:
            return ()
        measures = candidate.outcome.measures
        return tuple(measures[name] if OBJECTIVES[name].better == "higher" else -measures[name] for name in self.objectives)

    @property
    def columns(self) -> tuple[str, ...]:
        """Heads of the table; ``#`` marks numbers."""
        return ("candidate#", "state", *(f"{name}#" for name in self.objectives), *self._list_chosen(), "best", "why")

    def _list_chosen(self) -> list[str]:
        return list(dict.fromkeys(name for candidate in self.candidates for name in candidate.drawn))

    def to_cells(self) -> list[tuple[str, ...]]:
        """Return the table's rows as text; what was not measured is empty."""
        return [tuple(map(_tell, row.values())) for row in self.to_rows()]

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the table's rows; None for what was not measured or was of no use."""
        best = {candidate.number for candidate in self.front}
        rows = []
        for candidate in self.candidates:
            outcome = candidate.outcome
            measures = {} if outcome is None else outcome.measures
            rows.append(
                {
                    "candidate": candidate.number,
                    "state": "running" if outcome is None else outcome.state,
                    **{name: measures.get(name) for name in self.objectives},
                    **{name: candidate.values.get(name) for name in self._list_chosen()},
                    "best": candidate.number in best,
                    "why": "" if outcome is None else outcome.reason.partition("\n")[0],
                }
            )
        return rows

    def to_plain(self) -> dict[str, Any]:
        """Return the search as JSON values: each candidate with what was chosen and all that was measured."""
        return {
            "name": self.name,
            "objectives": list(self.objectives),
            "best": [candidate.number for candidate in self.front],
            "candidates": [
                {
                    "number": candidate.number,
                    "values": dict(candidate.values),
                    **({"state": "running"} if candidate.outcome is None else candidate.outcome.to_plain()),
                }
                for candidate in self.candidates
            ],
        }

    def _repr_html_(self) -> str:
        return to_html(heading(f"search '{self.name}'"), make_table(self.columns, self.to_cells()))


def _tell(value: Any) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def write_front(found: Search, folder: Path) -> list[int]:
    """Keep the files of the best candidates alone, with a page about each; return those whose files are missing."""
    best = {candidate.number for candidate in found.front}
    missing = []
    for candidate in found.candidates:
        place = folder_of(folder, candidate.number)
        if (place / CANDIDATE_FILE).is_file():
            if candidate.number not in best:
                shutil.rmtree(place)
            elif not (place / "report.html").is_file():
                fsio.write_file(place / "report.html", format_report(place).encode())
        elif candidate.number in best:
            missing.append(candidate.number)
    return missing


def search_csv(found: Search) -> str:
    """Return a line a candidate; what was not measured is empty."""
    return format_csv(found.to_rows())


def draw_search(found: Search, *, form: Literal["svg", "png"] = "svg") -> bytes:
    """Draw the finished candidates by their objectives, each against the first, those that none beats joined.

    Raises:
        SnnmapError: matplotlib is not installed.
    """
    first, *others = found.objectives
    finished = [c.outcome.measures for c in found.candidates if c.outcome and c.outcome.state == "finished"]
    best = [c.outcome.measures for c in found.front if c.outcome]

    def fill(figure: Any) -> None:
        for axes, name in zip(figure.subplots(1, max(1, len(others)), squeeze=False)[0], others or [first], strict=True):
            axes.scatter([m[name] for m in finished], [m[first] for m in finished], s=18, facecolors="none", edgecolors=NOTE)
            joined = sorted((m[name], m[first]) for m in best)
            axes.plot(
                [x for x, _ in joined], [y for _, y in joined], "o-", color=INK, markersize=4, label="none is better in all"
            )
            axes.set(xlabel=name.replace("_", " "), ylabel=first.replace("_", " "))
            axes.legend(frameon=False)

    return draw_figure((4.5 * max(1, len(others)), 3.4), fill, form=form, dpi=110, axes_spines_right=False)


def format_search(found: Search) -> str:
    """Return a page of its own: the best, what was traded for what, all candidates."""
    best = {candidate.number for candidate in found.front}
    rows = found.to_cells()
    picture = make_picture(draw_search(found), "svg+xml", "Candidates that were finished, by their objectives")
    objectives = "; ".join(f"{name} ({OBJECTIVES[name].better} is better): {OBJECTIVES[name].text}" for name in found.objectives)
    kept = [row for candidate, row in zip(found.candidates, rows, strict=True) if candidate.number in best]
    return format_page(
        f"search '{found.name}'",
        [
            make_section("Best", make_element("p", objectives), make_table(found.columns, kept, most=500)),
            make_section("Trade", picture),
            make_section("All candidates", make_table(found.columns, rows, most=2000)),
        ],
    )

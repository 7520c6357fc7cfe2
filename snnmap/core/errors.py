"""The errors a user can cause, and a warning; every other exception is a defect of snnmap."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from snnmap.core.diagnostics import Diagnostic
from snnmap.core.nouns import count_nouns

if TYPE_CHECKING:
    from snnmap.core.report import Report

__all__ = [
    "ChipError",
    "ConversionWarning",
    "DesignRuleError",
    "FormatError",
    "FrontendError",
    "InputError",
    "NetworkError",
    "NoRoomError",
    "OptionError",
    "SnnmapError",
]


class SnnmapError(Exception):
    """An expected error: what, where, measured against limit, and how to fix it.

    Args:
        what: what is wrong, one sentence without a final stop.
        where: file, population, block or argument.
        measured: the value found.
        limit: the value allowed.
        fix: what the user can do.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", measured: str = "", limit: str = "", fix: str = "") -> None:
        self.what, self.where, self.measured, self.limit, self.fix = what, where, measured, limit, fix
        lines = [what]
        if where:
            lines.append(f"  where: {where}")
        if measured or limit:
            lines.append(f"  measured: {measured or '-'}   limit: {limit or '-'}")
        if fix:
            lines.append(f"  fix: {fix}")
        super().__init__("\n".join(lines))

    def within(self, place: str) -> "SnnmapError":
        """Return the same error, its location preceded by the file or part that it was found in."""
        where = f"{place}, {self.where}" if self.where else place
        return type(self)(self.what, where=where, measured=self.measured, limit=self.limit, fix=self.fix)


class ChipError(SnnmapError):
    """A chip record is missing, incomplete or contradicts itself."""


class NetworkError(SnnmapError):
    """A network cannot be built or run as given."""


class FrontendError(SnnmapError):
    """A model cannot be read as a network."""

    def advising(self, more: str) -> "FrontendError":
        """Return the same error, with something else that can be done behind its fix."""
        fix = f"{self.fix}; {more}"
        return FrontendError(self.what, where=self.where, measured=self.measured, limit=self.limit, fix=fix)

    @classmethod
    def from_failure(cls, what: str, error: BaseException, *, where: str, fix: str) -> Self:
        """Return the error for an exception of the user's own code, which may fail even at giving its text."""
        try:
            text = f"{type(error).__name__}: {error}"
        except Exception:
            text = f"{type(error).__name__}, which cannot be printed"
        return cls(f"{what}: {text}", where=where, fix=fix)


class InputError(SnnmapError):
    """An input raster does not suit the network, or an argument is out of range."""

    @classmethod
    def require_option(cls, options: object, name: str, holds: bool, limit: str, *, of: str) -> None:
        """Refuse an option that is out of its range.

        Args:
            options: the record that holds it.
            name: of its attribute.
            holds: whether it is within its limit.
            limit: in words.
            of: what the options are of, such as ``the training``.

        Raises:
            OptionError: it is not within its limit.
        """
        if not holds:
            raise OptionError(
                f"an option of {of} is out of range",
                where=f"{type(options).__name__}.{name}",
                measured=str(getattr(options, name)),
                limit=limit,
                fix=f"give {name} within its limit",
            )


class OptionError(InputError):
    """There is no such choice, or it is none of its values; data that are given beside it are not at fault."""

    @classmethod
    def require_record(cls, options: object, kind: type, *, of: str) -> None:
        """Refuse what is no record of options, such as a dict.

        Args:
            options: as given; None where they were left out.
            kind: of the record.
            of: what the options are of, such as ``the training``.

        Raises:
            OptionError: it is of another kind.
        """
        if options is not None and not isinstance(options, kind):
            raise cls(
                f"these are no options of {of}",
                where="options",
                measured=type(options).__name__,
                limit=kind.__name__,
                fix=f"give {kind.__name__}(...)",
            )


class FormatError(SnnmapError):
    """A bitstream, its text twin or an image does not follow its specification."""


class DesignRuleError(SnnmapError):
    """A network breaks design rules; the diagnostics say which, where and by how much.

    Args:
        diagnostics: the violations.
        warnings: what else was found; those about a place of a violation are told with it, the others are counted.
    """

    exit_code = 1

    def __init__(self, diagnostics: Sequence[Diagnostic], warnings: Sequence[Diagnostic] = ()) -> None:
        self.diagnostics = tuple(sorted(diagnostics, key=lambda diagnostic: diagnostic.sort_key))
        self.warnings = tuple(sorted(warnings, key=lambda diagnostic: diagnostic.sort_key))
        told = count_nouns(len(self.diagnostics), "design rule violation")
        super().__init__("\n".join([told, *map(str, self.diagnostics), *self._tell_warnings()]))

    def _tell_warnings(self) -> list[str]:
        """Return the warnings about the places of violations as text, and how many there are of others."""
        places = [found.location for found in self.diagnostics]
        beside = [found for found in self.warnings if any(found.location.shares_part(place) for place in places)]
        n_more = len(self.warnings) - len(beside)
        more = f"{count_nouns(n_more, 'warning')} about other places: `snnmap check`, or snnmap.check_model, lists all"
        return [*map(str, beside), *([more] if n_more else [])]

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Diagnostic, ...], tuple[Diagnostic, ...]]]:
        return type(self), (self.diagnostics, self.warnings)

    def within(self, place: str) -> SnnmapError:
        """Return the same error: its diagnostics hold their own places."""
        return self


class NoRoomError(DesignRuleError):
    """A model needs more than any of some chips has, as counting shows before anything is built.

    Args:
        model: its name.
        digest: of its text form, SHA-256 in hexadecimal.
        reports: what is found for each chip, in their order.
    """

    def __init__(self, model: str, digest: str, reports: "Sequence[Report]") -> None:
        self.model, self.digest, self.reports = model, digest, tuple(reports)
        super().__init__([diagnostic for report in self.reports for diagnostic in report.diagnostics])

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, "tuple[Report, ...]"]]:  # type: ignore[override]
        return type(self), (self.model, self.digest, self.reports)


class ConversionWarning(UserWarning):
    """A network gives other outputs than its ANN by more than the stated limit, or was read with an approximation."""

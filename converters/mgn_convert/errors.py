"""What can go wrong, one type per exit code.

Every message has the same five lines: what happened, *at* which place, *because* of which rule, what it
*got*, and what to *try*. Lines without content are left out.
"""

from __future__ import annotations

from collections.abc import Sequence


class MgnConvertError(Exception):
    """Base of every error that a user can cause and mend. Exit code 1 unless a subclass says otherwise."""

    exit_code = 1

    def __init__(
        self, what: str, *, at: str = "", because: str = "", got: str = "", remedy: str = ""
    ) -> None:
        self.what, self.at, self.because, self.got, self.remedy = what, at, because, got, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        rows = (("at", self.at), ("because", self.because), ("got", self.got), ("try", self.remedy))
        return "\n".join([self.what, *(f"  {label:<8} {text}" for label, text in rows if text)])


class ParityError(MgnConvertError):
    """Numbers differ by more than the tolerance; usually a wrong file beside the model."""

    exit_code = 1


class UsageError(MgnConvertError):
    """A command or call that contradicts itself: unknown name, missing option, unwritable folder."""

    exit_code = 2


class UnsupportedError(MgnConvertError):
    """The network holds something the destination cannot express. Lists every refusal at once."""

    exit_code = 3

    @classmethod
    def listing(cls, what: str, refusals: Sequence[MgnConvertError]) -> UnsupportedError:
        """One error that shows all `refusals`; a single one is shown as itself."""
        if len(refusals) == 1 and isinstance(refusals[0], cls):
            return refusals[0]
        error = cls(what)
        error.args = ("\n".join([what, *(str(r) for r in refusals)]),)
        error.refusals = tuple(refusals)
        return error

    refusals: tuple[MgnConvertError, ...] = ()

    def __str__(self) -> str:
        if self.refusals:
            return "\n\n".join([self.what, *(str(r) for r in self.refusals)])
        return super().__str__()


class GraphError(UnsupportedError):
    """A node that breaks its op's rules; the traceback points at the line that built it."""


class FileFormatError(MgnConvertError):
    """A file that cannot be read as what it should be: truncated, of another kind, or damaged."""

    exit_code = 4


class MissingEngineError(MgnConvertError):
    """An engine or build tool that this machine lacks."""

    exit_code = 5

"""Do the keys of a checkpoint fit a network?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mgn_convert.errors import FileFormatError

_SHOWN = 10


@dataclass(frozen=True)
class KeyReport:
    """Where each key of a checkpoint and of the network went.

    used: loaded, and needed for the outputs that are kept.
    ignored: key of the checkpoint -> why it is not used.
    absent: keys of the network that the checkpoint lacks, and that no kept output needs.
    missing: those that an output needs.  unexpected: keys that the network does not have.
    misshaped: key -> (shape in the checkpoint, shape in the network).
    """

    used: tuple[str, ...] = ()
    ignored: Mapping[str, str] | None = None
    absent: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] | None = None

    def __str__(self) -> str:
        lines = [f"keys: {len(self.used)} used"]
        reasons: dict[str, list[str]] = {}
        for key, reason in (self.ignored or {}).items():
            reasons.setdefault(reason, []).append(key)
        lines += [f"  {len(keys)} ignored, {reason}: {_some(keys, 3)}" for reason, keys in reasons.items()]
        if self.absent:
            lines.append(f"  {len(self.absent)} absent and not needed: {_some(self.absent, 3)}")
        return "\n".join(lines)

    def check(self, checkpoint: str, hint: str = "") -> None:
        """Raise FileFormatError when the checkpoint does not fit. hint: of which network its keys are."""
        wrong = []
        if self.missing:
            wrong.append(f"{len(self.missing)} missing: {_some(self.missing)}")
        if self.misshaped:
            shapes = [f"{k} is {list(a)}, wanted {list(b)}" for k, (a, b) in self.misshaped.items()]
            wrong.append(f"{len(shapes)} of another shape: {_some(shapes)}")
        if self.unexpected:
            wrong.append(f"{len(self.unexpected)} unexpected: {_some(self.unexpected)}")
        if wrong:
            raise FileFormatError(
                f"{checkpoint} does not fit the network",
                because=hint
                or "every weight that an output needs is in the checkpoint, and nothing is left over",
                got="\n           ".join(wrong),
                remedy=hint.partition("keys of ")[2] or "another --arch or --arch-option",
            )


def compare(
    checkpoint: Mapping[str, Any], network: Mapping[str, Any], ignored: Mapping[str, str]
) -> KeyReport:
    """What loading `checkpoint` into a network with the state_dict `network` will do.

    ignored: prefix -> why keys that start with it may be left over. Everything that fits counts as used and
    everything lacking as absent, until `settle` knows what is needed.
    """
    left = {k: _reason(k, ignored) for k in checkpoint if k not in network}
    both = [k for k in checkpoint if k in network]
    misshaped = {
        k: (tuple(checkpoint[k].shape), tuple(network[k].shape))
        for k in both
        if checkpoint[k].shape != network[k].shape
    }
    return KeyReport(
        used=tuple(both),
        ignored={k: reason for k, reason in left.items() if reason},
        absent=tuple(k for k in network if k not in checkpoint),
        unexpected=tuple(k for k, reason in left.items() if not reason),
        misshaped=misshaped,
    )


def settle(report: KeyReport, needed: Collection[str], ignored: Mapping[str, str]) -> KeyReport:
    """The report once it is known which keys the kept outputs need. ignored: as for `compare`."""
    unused = [k for k in report.used if k not in needed]
    dead = {k: _reason(k, ignored) or "no output that is kept needs it" for k in unused}
    return KeyReport(
        used=tuple(k for k in report.used if k in needed),
        ignored={**(report.ignored or {}), **dead},
        absent=tuple(k for k in report.absent if k not in needed),
        missing=tuple(k for k in report.absent if k in needed),
        unexpected=report.unexpected,
        misshaped=report.misshaped,
    )


def _reason(key: str, ignored: Mapping[str, str]) -> str:
    return next((why for prefix, why in ignored.items() if key.startswith(prefix)), "") or _counter(key)


def _counter(key: str) -> str:
    return "it counts training steps" if key.rpartition(".")[2] == "num_batches_tracked" else ""


def _some(keys: Collection[str], count: int = _SHOWN) -> str:
    shown = ", ".join(list(keys)[:count])
    return shown if len(keys) <= count else f"{shown}, ... ({len(keys) - count} more)"

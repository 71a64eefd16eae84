"""What a format offers: reading, writing and running. Each lives in a package of its own beside this file.

A format is found through the entry-point group `mgn_convert.formats`, so another distribution can add one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from mgn_convert.errors import UsageError

if TYPE_CHECKING:
    from mgn_convert.graph.types import Array, Graph, Shape
    from mgn_convert.packaging import Processing
    from mgn_convert.passes.legalize import Target
    from mgn_convert.preprocess import Preprocessing


ENGINES = {
    "caffe": ("opencv", "pycaffe"),
    "darknet": ("darknet", "darknet-plain"),
    "onnx": ("onnxruntime",),
    "tensorflow": ("tensorflow",),
}
"""Engines by format, the default first."""


@dataclass(frozen=True)
class Source:
    """Where a model comes from, as a command line names it.

    path: the main file (checkpoint, .pt2, prototxt, cfg); None only with a factory.
    weights: the second file, where it is not found by its stem.
    architecture, options: a registered network and its options, for checkpoints.
    factory: "package.module:callable" that makes the network instead.
    input_shape: (C, H, W), where the network does not tell.
    output: which output to keep: an index or a key; None is the architecture's embedding, or all.
    trust_pickle: run the code inside a pickle.
    engine: the engine that runs it, of those of ENGINES; one of another format leaves the default.
    threads: how many one run may use, in Darknet and onnxruntime; None is OMP_NUM_THREADS, else one per core.
    signature: which signature of a SavedModel.
    preprocessing: what its files record of it, where `complete` found that.
    """

    path: Path | None
    weights: Path | None = None
    architecture: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    factory: str | None = None
    input_shape: Shape | None = None
    output: str | None = None
    trust_pickle: bool = False
    engine: str | None = None
    threads: int | None = None
    signature: str | None = None
    preprocessing: Preprocessing | None = None

    def __str__(self) -> str:
        return str(self.path or self.factory)

    def engine_of(self, kind: str) -> str:
        """The engine for files of that format. Raises UsageError for one that no format has."""
        known = [name for names in ENGINES.values() for name in names]
        if self.engine is not None and self.engine not in known:
            raise UsageError(f"there is no engine {self.engine!r}", remedy="one of " + ", ".join(known))
        return self.engine if self.engine in ENGINES[kind] else ENGINES[kind][0]


class Runner(Protocol):
    """An engine with a loaded network. Also a context manager.

    Values are called by their tensor names: those that the first graph gave them, as the manifest records.
    """

    engine: str
    input_name: str
    """What the network's input is called among the tensors."""
    input_shape: Shape
    """(C, H, W)."""
    outputs: tuple[str, ...]
    tensors: tuple[str, ...]
    """Every value that can be tapped, in execution order."""
    processing: Processing | None
    """What is inside the file beside the network; `run` then takes and gives what the file does."""

    def run(self, images: Array, taps: Iterable[str] = ()) -> dict[str, Array]:
        """Outputs and taps for images (N, C, H, W). Raises UsageError for another shape or unknown taps."""
        ...

    def run_isolated(self, tensor: str, reference: Mapping[str, Array]) -> Array:
        """`tensor`, computed from the nearest values before it that `reference` holds, not from the start.

        The input is among them, as `input_name`.
        """
        ...

    def describe(self, tensor: str) -> str:
        """What the tensor is here, for people: the layer's kind and name, or its index."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Runner: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class Written:
    """What a writer made: its files (inside the folder it was given) and where each tensor went.

    tensors: (tensor name, {"blob": ...} or {"layer": ...}, names of the tensors it computes on the way).
    input, result: places of the network's input and of what the postprocessing makes, where those are not the
    ends of the file.
    """

    files: tuple[Path, ...]
    tensors: tuple[tuple[str, Mapping[str, Any], tuple[str, ...]], ...]
    outputs: tuple[str, ...]
    input: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """One format. A member that it does not offer is None.

    suffixes: of the main file, with the dot. companions: of the second file, which holds the weights.
    read: Source -> Graph.  target: dialect name or None -> Target.
    write: (legalized graph, folder, stem, target) -> Written.  open_runner: Source -> Runner.
    dialects: names for `target`.  written_ops: op -> the layer it becomes, or "expanded".
    dialect_option: what the command line calls the choice of a dialect.
    packages: whether its writer can put names and processing around a network.
    folder_main: the main file of a model that is a folder: in the folder, or in a numbered one inside it.
    complete: Source -> the same with what its files tell about themselves.
    """

    name: str
    suffixes: tuple[str, ...]
    companions: tuple[str, ...] = ()
    read: Callable[[Source], Graph] | None = None
    target: Callable[[str | None], Target] | None = None
    write: Callable[[Graph, Path, str, Target], Written] | None = None
    open_runner: Callable[[Source], Runner] | None = None
    dialects: Callable[[], Sequence[str]] = tuple
    written_ops: Callable[[], Mapping[str, str]] | None = None
    dialect_option: str = "dialect"
    packages: bool = False
    folder_main: str = ""
    complete: Callable[[Source], Source] | None = None


def formats() -> dict[str, Format]:
    """Every installed format by name, in alphabetical order."""
    from importlib.metadata import entry_points

    return {e.name: e.load() for e in sorted(entry_points(group="mgn_convert.formats"), key=lambda e: e.name)}


def main_file(path: Path) -> Path:
    """`path`, or the main file of the model that is the folder `path`: of the highest version inside."""
    if not path.is_dir():
        return path
    for name in (kind.folder_main for kind in formats().values() if kind.folder_main):
        if (path / name).is_file():
            return path / name
        versions = [p for p in path.iterdir() if p.name.isdigit() and (p / name).is_file()]
        if versions:
            return max(versions, key=lambda p: int(p.name)) / name
    return path


def format_of(source: Source) -> Format:
    """The format of a source, by its main file's suffix; a factory is PyTorch's."""
    known = formats()
    if source.path is None:
        return known["pytorch"]
    for candidate in known.values():
        if source.path.suffix in candidate.suffixes:
            return candidate
    raise UsageError(
        f"{source.path} is of no known kind",
        because="the suffix tells the format",
        got=source.path.suffix or "no suffix",
        remedy="one of " + ", ".join(s for f in known.values() for s in f.suffixes),
    )


def complete(source: Source) -> Source:
    """`source` with what its files tell about themselves: network, options, shape and preprocessing."""
    kind = format_of(source)
    return source if kind.complete is None else kind.complete(source)


def with_companion(source: Source, suffix: str) -> Source:
    """`source` with its weights file named: the one given, or the one of the same stem."""
    if source.weights is not None or source.path is None:
        return source
    return replace(source, weights=source.path.with_suffix(suffix))


def dialect_names(folder: Path, default: str) -> tuple[str, ...]:
    """The names of the dialect files in `folder`, the default first."""
    names = sorted(path.stem for path in folder.glob("*.toml"))
    return (default, *(name for name in names if name != default))


@cache
def import_all(package: str) -> None:
    """Import every module of `package`: rules, which register themselves."""
    from importlib import import_module
    from pkgutil import iter_modules

    for module in iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")


def lazily(module: str, name: str) -> Callable[..., Any]:
    """The function `name` of `module`, which is imported when it is first called."""

    def call(*arguments: Any) -> Any:
        from importlib import import_module

        return getattr(import_module(module), name)(*arguments)

    return call

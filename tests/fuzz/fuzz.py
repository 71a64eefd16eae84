"""Looks for faults of the Darknet engine: replay, fuzz, valgrind. README.md says what each does."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import libfuzzer

from mgn_convert.errors import MgnConvertError
from mgn_convert.formats.darknet import convolutions
from mgn_convert.formats.darknet.cache import lock
from mgn_convert.formats.darknet.upstream import patch_folder, patched_source, tool

HERE = Path(__file__).resolve().parent
SEEDS = (HERE / "corpus", HERE / "found")
ENVIRONMENT = {
    "ASAN_OPTIONS": "allocator_may_return_null=1:detect_leaks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "OMP_NUM_THREADS": "1",
}
# What a library keeps for the next call, as oneDNN its compiled code, is reachable and not lost.
VALGRIND = ("valgrind", "-q", "--error-exitcode=1", "--leak-check=full")


def main() -> int:
    """0 when nothing was found."""
    wishes = _arguments()
    try:
        words = list(dict.fromkeys(wishes.convolutions or _both()))
        wishes.seconds //= len(words)
        for word in words:
            if _COMMANDS[wishes.command](Workshop(wishes.out.resolve(), word), wishes):
                return 1
    except MgnConvertError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


class Workshop:
    """The folder of everything that is built and found with one library of convolutions."""

    def __init__(self, out: Path, convolutions_word: str) -> None:
        self.chosen = convolutions.choose(convolutions_word)
        self.out = out / self.chosen.name
        self.findings = self.out / "findings"

    def build(self, program: str, *settings: str) -> Path:
        """Path of `fuzzer` or `replay`, compiled from patched upstream, our C files and this folder's."""
        place = self.out / ("plain" if "CHECKS=" in settings else "checked")
        given = [f"UPSTREAM={self._upstream()}", f"OUT={place}", "ONEDNN=", "OPENBLAS=", "GPU=", "SANITIZE="]
        if self.chosen.links:
            prefix = self.out / "prefix"
            shutil.rmtree(prefix, ignore_errors=True)
            self.chosen.make_prefix(prefix)
            given.append(f"{self.chosen.name.upper()}={prefix}")
        command = [tool("make"), "-s", "-j2", "-f", str(HERE / "Makefile"), program, *given, *settings]
        subprocess.run(command, check=True)
        return place / program

    def _upstream(self) -> Path:
        """Upstream with the patches of now, in a folder of its own for each state of the patches."""
        digest = hashlib.sha256()
        for path in sorted(patch_folder().glob("*.patch")):
            digest.update(path.read_bytes())
        tree = self.out / f"upstream-{digest.hexdigest()[:12]}"
        if not tree.exists():
            with lock():
                patched_source(tree)
        return tree

    def run(self, command: Sequence[str | Path], log: Path | None = None) -> int:
        words, environment = ["nice", *map(str, command)], {**os.environ, **ENVIRONMENT}
        if log is None:
            return subprocess.run(words, check=False, env=environment).returncode
        with log.open("wb") as file:
            return subprocess.run(words, check=False, env=environment, stderr=file).returncode


def replay(workshop: Workshop, wishes: argparse.Namespace) -> int:
    """Every seed, again and again, then with one allocation after the other failing."""
    program = workshop.build("replay")
    failed = workshop.run([program, str(wishes.times), *_seeds(wishes)])
    return failed or workshop.run([program, "--failing", *_seeds(wishes)])


def valgrind(workshop: Workshop, wishes: argparse.Namespace) -> int:
    """Every seed, again and again, without sanitizers under valgrind."""
    tool("valgrind")
    program = workshop.build("replay", "CHECKS=")
    return workshop.run([*VALGRIND, program, str(wishes.times), *_seeds(wishes)])


def fuzz(workshop: Workshop, wishes: argparse.Namespace) -> int:
    """New inputs for a while. What is interesting stays in the folder corpus, what fails in findings."""
    archive = wishes.libfuzzer or libfuzzer.library()
    program = workshop.build("fuzzer", f"LIBFUZZER={archive}")
    words = workshop.out / "dictionary"
    listed = subprocess.run([workshop.build("replay"), "--dictionary"], capture_output=True, check=True)
    words.write_bytes(listed.stdout)
    corpus = workshop.out / "corpus"
    for folder in (corpus, workshop.findings):
        folder.mkdir(exist_ok=True)
    limits = ["-timeout=30", "-report_slow_units=30", "-rss_limit_mb=2048", "-max_len=2000", "-len_control=0"]
    options = [*limits, "-reload=0", "-print_final_stats=1", f"-max_total_time={wishes.seconds}"]
    places = [f"-dict={words}", f"-artifact_prefix={workshop.findings}/", corpus, *SEEDS]
    log = workshop.out / "log"
    failed = workshop.run([program, *options, *places], log)
    print(_told(log, failed), file=sys.stderr)
    if failed:
        print(f"again: {workshop.out}/checked/replay 1 {workshop.findings}/FILE", file=sys.stderr)
        print(f"once mended, the file belongs into {SEEDS[1]}", file=sys.stderr)
    return failed


def _told(log: Path, failed: int) -> str:
    """The figures of the log, or the fault. libFuzzer tells of its progress between."""
    lines = log.read_text(errors="replace").splitlines()
    progress = re.compile(r"#\d+\t|INFO: ")
    return "\n".join(
        line for line in lines if (not progress.match(line) if failed else line.startswith("stat::"))
    )


_COMMANDS = {"replay": replay, "valgrind": valgrind, "fuzz": fuzz}


def _both() -> tuple[str, str]:
    """The library that the engine is built with here, and our own C file, which sanitizers see through."""
    return convolutions.choose().name, "builtin"


def _seeds(wishes: argparse.Namespace) -> list[Path]:
    return wishes.inputs or sorted(path for folder in SEEDS for path in folder.glob("*"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=_COMMANDS)
    parser.add_argument("inputs", nargs="*", type=Path, help="files to replay, by default all seeds")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "out" / "fuzz", help="folder for all")
    parser.add_argument("--seconds", type=int, default=120, help="of fuzzing in all (120)")
    parser.add_argument("--times", type=int, default=100, help="each seed is replayed (100)")
    parser.add_argument("--libfuzzer", type=Path, help="a libFuzzer.a, instead of the one of the packages")
    words = "may be given again; by default what the engine has here, and builtin"
    parser.add_argument("--convolutions", action="append", choices=convolutions.WORDS, help=words)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

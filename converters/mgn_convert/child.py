"""An engine in a process of its own: it may print, change its process or end it, and is gone in the end.

The child answers each pickled request on what was its standard output; what the engine prints goes to a log.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from mgn_convert.errors import MgnConvertError

Failure = Callable[[str, str, str], MgnConvertError]


class Child:
    """A process that runs `module`, whose main() calls `serve`.

    failure: (action, reason, what the engine wrote) -> the error to raise; action is "load" or "run".
    Raises that error when the child cannot start.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        failure: Failure,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._failure = failure
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {module} import main; main()", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **(environment or {})},
        )
        try:
            self._answer("load")
        except BaseException:
            self.close()
            raise

    def ask(self, request: Any) -> Any:
        """The child's answer to `request`."""
        assert self._process.stdin is not None
        try:
            pickle.dump(request, self._process.stdin, protocol=5)
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass  # the child is gone; its answer says so
        return self._answer("run")

    def _answer(self, action: str) -> Any:
        assert self._process.stdout is not None
        try:
            kind, content = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError, ValueError):
            kind, content = "error", f"the engine ended its process with status {self._process.wait()}"
        if kind == "error":
            self._log.seek(0)
            raise self._failure(action, content, self._log.read().decode("utf8", "replace").strip())
        return content

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue


def serve(start: Callable[[], Callable[[Any], Any]]) -> None:
    """The child's side: `start` loads what is to be run and returns what answers a request.

    An exception is answered with its text, and ends the child.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def answer(kind: str, content: Any) -> None:
        pickle.dump((kind, content), answers, protocol=5)
        answers.flush()

    try:
        handle = start()
        answer("ok", None)
        while True:
            answer("ok", handle(pickle.load(sys.stdin.buffer)))
    except EOFError:
        pass  # the parent is done
    except Exception as error:
        answer("error", f"{type(error).__name__}: {error}")

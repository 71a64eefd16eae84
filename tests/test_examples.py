"""Every example runs as it stands."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
ENDS_WITH = {"05-match-a-folder": "identity split error"}
"""What an example says when it got to its end, where that is not a verdict."""


@pytest.mark.parametrize("name", sorted(p.parent.name for p in EXAMPLES.glob("*/run.py")))
def test_example_runs(name, tmp_path):
    command = [sys.executable, EXAMPLES / name / "run.py", tmp_path]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ENDS_WITH.get(name, "pass") in done.stdout

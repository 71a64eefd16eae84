"""What the Darknet engine leaves behind in the process that loads it: nothing."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

NET = "[net]\nchannels=64\nheight=64\nwidth=64\n"
CONV = "[conv]\nfilters=64\nsize=3\npad=1\nactivation=relu\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    cfg, weights = tmp_path / "net.cfg", tmp_path / "net.weights"
    cfg.write_text(NET + CONV)
    weights.write_bytes(struct.pack("<iiii", 0, 1, 0, 0) + bytes(4 * (64 + 64 * 64 * 9)))
    return cfg, weights


SILENT = """
import sys
from mgn_convert.formats.darknet.engine import Network
import numpy as np
with Network(sys.argv[1], sys.argv[2], batch=2) as net:
    net(np.zeros((2, 64, 64, 64), np.float32), taps=[0])
try:
    Network(sys.argv[2])
except Exception:
    pass
"""
DENORMAL = "print(np.float32(1e-40) * np.float32(1) > 0, 5e-324 * 1.0 > 0)\n"


def python(script: str, *arguments: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )


def test_nothing_is_printed_and_denormal_numbers_stay(files: tuple[Path, Path]) -> None:
    done = python(SILENT + DENORMAL, *files)
    assert done.stdout == "True True\n"
    assert done.stderr == ""


def test_numbers_do_not_depend_on_the_locale(tmp_path: Path) -> None:
    place = tmp_path / "de_DE.UTF-8"
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(place)]
    if (
        not shutil.which("localedef")
        or subprocess.run(command, capture_output=True, check=False).returncode > 1
    ):
        pytest.skip("no locale with a decimal comma can be made here")
    cfg = "[net]\nchannels=1\nheight=2\nwidth=2\n[upsample]\nstride=1\nscale=2.5\n"
    (tmp_path / "net.cfg").write_text(cfg)
    script = (
        "import locale, sys\nimport numpy as np\n"
        "from mgn_convert.formats.darknet.engine import Network\n"
        "locale.setlocale(locale.LC_ALL, 'de_DE.UTF-8')\n"
        "out = Network(sys.argv[1])(np.ones((1, 1, 2, 2)))['0']\n"
        "print(locale.localeconv()['decimal_point'], out.max())\n"
    )
    assert python(script, tmp_path / "net.cfg", LOCPATH=str(tmp_path)).stdout == ", 2.5\n"


GROWTH = """
import gc, os, pathlib, sys
import numpy as np
from mgn_convert.errors import FileFormatError
from mgn_convert.formats.darknet.engine import Network

def resident_bytes():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

def cycle(times):
    for _ in range(times):
        with Network(sys.argv[1], sys.argv[2], batch=2) as net:
            net(np.zeros((2, 64, 64, 64), np.float32))
        try:
            Network(sys.argv[3], batch=2)
            sys.exit("a bad file was loaded")
        except FileFormatError:
            pass
    gc.collect()

cycle(5)
before = resident_bytes()
cycle(40)
print(resident_bytes() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_comes_back(tmp_path: Path, files: tuple[Path, Path]) -> None:
    """In a process of its own: what other tests left in this one comes and goes by megabytes."""
    bad = tmp_path / "bad.cfg"
    bad.write_text(NET + CONV + "[conv]\nfilters=0\n")
    assert int(python(GROWTH, *files, bad).stdout) < 1 << 20

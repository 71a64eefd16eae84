"""The Makefile of the engine by hand: what it refuses, and its switches."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from darknet_source import unpacked

from mgn_convert.formats.darknet.upstream import apply_patches, patch_folder

PROCESSOR_ONLY = "for the processor only"


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = unpacked(tmp_path_factory.mktemp("upstream"))
    apply_patches(tree)
    return tree


def make(patched: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What make would do, nothing of it done."""
    command = ["make", "-n", "-f", str(patch_folder() / "src" / "Makefile"), f"UPSTREAM={patched}", *words]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, cwd=patched, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [["GPU=1"], ["CFLAGS=-O2 -DGPU"], ["CFLAGS=-DGPU=1"]])
def test_a_build_for_a_gpu_is_refused(patched: Path, words: list[str]) -> None:
    done = make(patched, *words)
    assert done.returncode == 2
    assert re.fullmatch(
        r".*\*\*\* this engine is for the processor only, its layers have no CUDA form: build without GPU\."
        r"  Stop\.\n",
        done.stderr,
    )
    assert done.stdout == ""


def test_upstreams_way_to_say_no_gpu(patched: Path) -> None:
    assert make(patched, "GPU=0").returncode == 0


def test_patched_files_refuse_a_gpu_under_any_makefile(patched: Path) -> None:
    """Upstream's own Makefile with GPU=1 gives -DGPU and stops at the first error."""
    diffs = "".join(path.read_text() for path in patch_folder().glob("*.patch"))
    files = sorted(set(re.findall(r"(?m)^\+\+\+ b/(src/\w+\.c)$", diffs)))
    assert "src/gemm.c" in files
    for file in files:
        folders = [f"-I{patched / 'include'}", f"-I{patched / 'src'}", f"-I{patch_folder() / 'src'}"]
        command = ["gcc", "-fsyntax-only", "-w", "-Wfatal-errors", *folders, str(patched / file)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
        done = subprocess.run([*command, "-DGPU"], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert re.search(rf"error: #error .*{PROCESSOR_ONLY}", done.stderr), (file, done.stderr)


def test_one_library_at_most_and_one_that_is_there(patched: Path) -> None:
    done = make(patched, "ONEDNN=one", "OPENBLAS=another")
    assert done.stderr.endswith("*** give ONEDNN or OPENBLAS, not both.  Stop.\n")
    done = make(patched, "ONEDNN=nowhere")
    assert done.stderr.endswith("*** there is no nowhere/lib/libdnnl.so.3.  Stop.\n")
    done = make(patched, "OPENBLAS=nowhere")
    assert done.stderr.endswith("*** there is no nowhere/lib/libscipy_openblas.so.  Stop.\n")


def test_a_sanitizer_is_in_every_command(patched: Path) -> None:
    commands = [
        line for line in make(patched, "SANITIZE=address,undefined").stdout.splitlines() if " -o " in line
    ]
    assert sum("-shared" in command for command in commands) == 1
    assert len(commands) > 40
    for command in commands:
        assert "-fsanitize=address,undefined" in command
        assert "-shared" in command or command.rindex("-O1") > command.rindex("-O3")
    assert "-fsanitize" not in make(patched).stdout


def test_a_sanitizer_sees_a_fault_in_our_files(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    shutil.copy(patch_folder() / "src" / "Makefile", ours)
    (ours / "guard.h").touch()
    (ours / "fault.c").write_text(
        '__attribute__((visibility("default"))) int dk_fault(int *a) { return (1 << a[0]) + a[3]; }\n'
    )
    command = ["make", "-f", "ours/Makefile", "UPSTREAM_NAMES=", "OUT=build", "SANITIZE=address,undefined"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "main.c").write_text(
        "int dk_fault(int *);\nint main(void) { int three[3] = {40}; return dk_fault(three); }\n"
    )
    command = ["gcc", "-fsanitize=address,undefined", "main.c", "build/libdarknet.so", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(["./main"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "shift exponent 40 is too large" in done.stderr
    assert "stack-buffer-overflow" in done.stderr
    assert "dk_fault" in done.stderr

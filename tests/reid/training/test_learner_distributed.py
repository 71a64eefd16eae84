"""Two processes that learn together keep one set of centres, and wait for no parameter that is idle."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import torch

SCRIPT = Path(__file__).parent / "processes" / "learn_together.py"


def load_script():
    spec = importlib.util.spec_from_file_location("learn_together", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_processes_agree_on_gradients_and_centres(tmp_path):
    random = torch.Generator().manual_seed(2)
    images = torch.randn(16, 3, 2, 2, dtype=torch.float64, generator=random)
    labels = torch.tensor([0, 0, 1, 1, 1, 1, 3, 3, 2, 2, 0, 0, 3, 3, 0, 0])
    torch.save((images, labels), tmp_path / "batch.pt")
    command = [sys.executable, str(SCRIPT)]
    running = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert torch.equal(one["centres"], other["centres"])

    # A single process sees the whole batch: its centres are the same, and its gradients the mean of those of
    # the halves but for the triplets, which are formed within a process.
    single = load_script().learner().double()
    for step in range(2):
        centre = single.criteria[2]
        before = centre.centres.clone()
        totals = []
        for rank in range(2):
            half = slice(8 * step + 4 * rank, 8 * step + 4 * rank + 4)
            centre.centres.copy_(before)
            totals.append(sum(single(images[half], labels[half]).values()))
        single.zero_grad()
        (sum(totals) / 2).backward()
        centre.centres.copy_(before)
        whole = slice(8 * step, 8 * step + 8)
        with torch.no_grad():
            centre(single.network.training_outputs(images[whole]).vectors["v"], labels[whole])
    torch.testing.assert_close(one["centres"], single.criteria[2].centres)
    grads = {name: p.grad for name, p in single.named_parameters() if p.grad is not None}
    assert set(one["grads"]) == set(grads)
    for name, grad in grads.items():
        torch.testing.assert_close(one["grads"][name], grad)
        assert torch.equal(one["grads"][name], other["grads"][name])

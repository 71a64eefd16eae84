"""SavedModels: signatures as a client calls them, variables, and the runner."""

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgn_convert.errors import UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.tensorflow.environment import ENVIRONMENT
from mgn_convert.formats.tensorflow.runner import open_runner
from mgn_convert.graph import GraphBuilder
from mgn_convert.packaging import Names, Packaging, Processing
from mgn_convert.preprocess import Preprocessing

random = np.random.default_rng(8)
CLIENT = Path(__file__).parent / "processes" / "serve.py"
INSIDE = Processing(Preprocessing(48, 16), True)
NAMES = Names("image_tensor", "person_embedding", "result", "reid_serving", "input_image", "reid_embedding")


def encoded(picture: np.ndarray, kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, kind, quality=85)
    return out.getvalue()


def served(folder: Path, requests: dict, scratch: Path) -> tuple[dict, dict]:
    """What a client gets, in a process of its own."""
    request = scratch / "request"
    request.write_bytes(pickle.dumps(requests))
    command = [sys.executable, str(CLIENT), str(folder), str(request)]
    done = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE, check=True)
    return pickle.loads(done.stdout)


def test_pictures_in_every_form_give_one_embedding(small_mgn, written, tmp_path):
    made = written(small_mgn, Packaging(NAMES, INSIDE), "saved-model")
    folder = tmp_path / "net" / "1"
    names = [path.relative_to(folder).as_posix() for path in made.files]
    assert names[0] == "saved_model.pb"
    assert {"variables/variables.index", "variables/variables.data-00000-of-00001"} <= set(names)
    weights = 4 * small_mgn.parameter_count()
    assert made.files[0].stat().st_size < weights + 500_000
    assert 0.9 * weights < made.files[names.index("variables/variables.data-00000-of-00001")].stat().st_size
    whole = random.integers(0, 256, (2, 70, 33, 3)).astype(np.uint8)
    files = [encoded(whole[0, :30], "JPEG"), encoded(whole[1], "PNG"), encoded(whole[0, :, ::-1], "JPEG")]
    requests = {
        "reid_serving": {"input_image": whole.astype(np.float32)},
        "serving_default": {"input_image": whole.astype(np.float32)},
        "reid_serving_uint8": {"input_image": whole},
        "reid_serving_encoded": {"input_image": files},
    }
    found, types = served(folder, requests, tmp_path)
    assert types == {
        "reid_serving": {"input_image": ("float32", [None, None, None, 3])},
        "serving_default": {"input_image": ("float32", [None, None, None, 3])},
        "reid_serving_uint8": {"input_image": ("uint8", [None, None, None, 3])},
        "reid_serving_encoded": {"input_image": ("string", [None])},
    }
    assert all(set(outputs) == {"reid_embedding"} for outputs in found.values())
    results = {name: outputs["reid_embedding"] for name, outputs in found.items()}
    outside = outside_of(small_mgn, whole)
    for name in ("reid_serving", "serving_default", "reid_serving_uint8"):
        np.testing.assert_allclose(results[name], outside, rtol=0, atol=1e-5)
    decoded = [np.asarray(Image.open(io.BytesIO(each)).convert("RGB"))[None] for each in files]
    wanted = np.concatenate([outside_of(small_mgn, each) for each in decoded])
    np.testing.assert_allclose(results["reid_serving_encoded"], wanted, rtol=0, atol=1e-5)
    runs_as_it_is_served(small_mgn, made.files[0], whole, outside)


def outside_of(graph, pictures: np.ndarray) -> np.ndarray:
    fed = INSIDE.before(pictures.astype(np.float32).transpose(0, 3, 1, 2))
    return INSIDE.after(graph.run({"x": fed})[graph.outputs[0]])


def runs_as_it_is_served(graph, path: Path, pictures: np.ndarray, outside: np.ndarray) -> None:
    images = pictures.transpose(0, 3, 1, 2).astype(np.float32)
    fed = INSIDE.before(images)
    wanted = graph.run({"x": fed}, taps=[node.name for node in graph.nodes])
    with open_runner(Source(path)) as runner:
        assert runner.signature == "reid_serving"
        (output,) = runner.outputs
        np.testing.assert_allclose(runner.run(images)[output], outside, rtol=0, atol=1e-5)
        values = runner.run(images, runner.tensors)
        by_tensor = {n.origin.tensor or n.name: wanted[n.name] for n in graph.nodes}
        assert set(values) == set(by_tensor)
        values["x"] = fed
        for name in runner.tensors:
            atol = 1e-5 * max(1, np.abs(by_tensor[name]).max())
            np.testing.assert_allclose(values[name], by_tensor[name], rtol=0, atol=atol)
            others = {key: value for key, value in values.items() if key != name}
            alone = runner.run_isolated(name, others)
            np.testing.assert_allclose(alone, by_tensor[name], rtol=0, atol=atol)
        assert runner.describe(runner.tensors[0]) == 'Conv2D "stem/0"'
    with open_runner(Source(path, signature="reid_serving_uint8", output="reid_embedding")) as runner:
        np.testing.assert_allclose(runner.run(images)[output], outside, rtol=0, atol=1e-5)
    with pytest.raises(UsageError) as error:
        open_runner(Source(path, signature="other"))
    assert str(error.value).splitlines() == [
        f"{path.parent} has no signature 'other'",
        "  got      reid_serving, reid_serving_encoded, reid_serving_uint8, serving_default",
    ]


def test_several_outputs_without_processing_or_manifest(written, tmp_path):
    b = GraphBuilder("net")
    x = b.input("x.y", (1, 3, 6, 5))
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    maps = b.add("conv", x, weight=weight, name="maps")
    flat = b.add("reduce", maps, kind="mean", axes=(2, 3), name="flat")
    graph = b.graph([maps, flat])
    path = written(graph, dialect="saved-model").files[0]
    batch = random.normal(size=(3, 3, 6, 5)).astype(np.float32)
    wanted = graph.run({"x.y": batch})
    with open_runner(Source(path)) as runner:
        assert (runner.signature, runner.input_shape) == ("serving_default", (3, 6, 5))
        found = runner.run(batch)
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-5)
            np.testing.assert_allclose(runner.run_isolated(name, {"x.y": batch}), array, rtol=0, atol=1e-5)
    path.with_suffix(".manifest.json").unlink()
    with open_runner(Source(path, output="flat")) as runner:
        assert runner.outputs == ("flat",)
        np.testing.assert_allclose(runner.run(batch)["flat"], wanted["flat"], rtol=0, atol=1e-5)
        with pytest.raises(UsageError, match="no manifest lies beside the file"):
            runner.run(batch, ["inner"])

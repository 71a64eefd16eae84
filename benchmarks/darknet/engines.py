"""The engines. Each is made (libraries are imported), loads one network, and runs it on float32 (N, C, H, W).

Nothing heavy is imported before an engine is made: the memory of a process is that of its own engine.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import machine
import numpy as np

Array = Any


class Ours:
    """Our Darknet with its prepared path."""

    plain = False
    amx = True

    def __init__(self, network: dict[str, Any], batch: int, threads: int) -> None:
        from mgn_convert.formats.darknet.engine import Network
        from mgn_convert.formats.darknet.library import load_library

        load_library()
        self._network = Network
        self._files = network["files"]["cfg"], network["files"]["weights"]
        self._options = dict(batch=batch, threads=threads, plain=self.plain, amx=self.amx)

    def load(self) -> None:
        self._net = self._network(*self._files, **self._options)

    def run(self, images: Array) -> Array:
        return next(iter(self._net(images).values()))


class OursWithoutAmx(Ours):
    """Our Darknet as on a processor without that matrix unit: convolutions by the library of the build."""

    amx = False


class OursPlain(Ours):
    """Our Darknet, layer by layer as upstream does it."""

    plain = True


class Stock:
    """Upstream Darknet, unpatched, as its own Makefile builds it; with OPENMP=1 for several threads."""

    def __init__(self, network: dict[str, Any], batch: int, threads: int) -> None:
        files = network["files"]
        self._library = ctypes.CDLL(files["stock_openmp" if threads > 1 else "stock"])
        floats = ctypes.POINTER(ctypes.c_float)
        for name, result, arguments in (
            ("load_network", ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]),
            ("network_outputs", ctypes.c_int, [ctypes.c_void_p]),
            ("network_predict", floats, [ctypes.c_void_p, floats]),
        ):
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        # The batch is a matter of the cfg; set_batch_network() would run over the buffers.
        text = Path(files["stock_cfg"]).read_text()
        self._cfg = Path(files["stock_cfg"]).with_suffix(f".batch{batch}.cfg")
        self._cfg.write_text(text.replace("batch=1\n", f"batch={batch}\n", 1))
        self._weights = files["stock_weights"]
        self._floats = floats

    def load(self) -> None:
        self._net = self._library.load_network(bytes(self._cfg), self._weights.encode(), 0)

    def run(self, images: Array) -> Array:
        found = self._library.network_predict(self._net, images.ctypes.data_as(self._floats))
        return np.ctypeslib.as_array(found, (len(images), self._library.network_outputs(self._net))).copy()


class Onnxruntime:
    """onnxruntime with its default optimisations."""

    def __init__(self, network: dict[str, Any], batch: int, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._open = lambda: onnxruntime.InferenceSession(
            network["files"]["onnx"], options, providers=["CPUExecutionProvider"]
        )

    def load(self) -> None:
        self._session = self._open()
        self._input = self._session.get_inputs()[0].name

    def run(self, images: Array) -> Array:
        return self._session.run(None, {self._input: images})[0]


class Opencv:
    """OpenCV's own dnn module with its defaults: layers fused, Winograd for 3x3 convolutions."""

    def __init__(self, network: dict[str, Any], batch: int, threads: int) -> None:
        import cv2

        cv2.setNumThreads(threads)
        self._cv2 = cv2
        self._files = network["files"]["prototxt"], network["files"]["caffemodel"]

    def load(self) -> None:
        self._net = self._cv2.dnn.readNetFromCaffe(*self._files)
        self._net.setPreferableBackend(self._cv2.dnn.DNN_BACKEND_OPENCV)

    def run(self, images: Array) -> Array:
        self._net.setInput(images)
        return self._net.forward()


class Pytorch:
    """PyTorch, eager, in inference mode."""

    dtype = "float32"
    memory_format = "contiguous_format"

    def __init__(self, network: dict[str, Any], batch: int, threads: int) -> None:
        import torch

        from mgn_convert.architecture import architecture

        torch.set_num_threads(threads)
        self._torch = torch
        self._architecture = architecture(network["architecture"])
        self._options = network["options"]
        self._checkpoint = network["files"]["checkpoint"]
        self._like = dict(dtype=getattr(torch, self.dtype), memory_format=getattr(torch, self.memory_format))

    def load(self) -> None:
        defaults = {name: option.default for name, option in self._architecture.options.items()}
        self._net = self._architecture.build(**{**defaults, **self._options})
        self._net.load_state_dict(self._torch.load(self._checkpoint), assign=True)
        self._net.eval().to(**self._like)

    def run(self, images: Array) -> Array:
        with self._torch.inference_mode():
            found = self._net(self._torch.from_numpy(images).to(**self._like))
        kept = self._architecture.output
        if kept is not None:
            found = found[kept] if isinstance(found, dict) else found[int(kept)]
        return found.numpy()


class PytorchChannelsLast(Pytorch):
    """The same with weights and pictures in the channels-last layout."""

    memory_format = "channels_last"


class PytorchFloat64(Pytorch):
    """What the others are held against."""

    dtype = "float64"


ENGINES: dict[str, Any] = {
    "ours": Ours,
    "ours-without-amx": OursWithoutAmx,
    "ours-plain": OursPlain,
    "stock": Stock,
    "onnxruntime": Onnxruntime,
    "opencv": Opencv,
    "pytorch": Pytorch,
    "pytorch-channels-last": PytorchChannelsLast,
}
MACHINE: dict[str, Any] = {"sgemm": machine.Sgemm, "fma": machine.Fma}
REFERENCE: dict[str, Any] = {"float64": PytorchFloat64}

"""Running a SavedModel: outputs through a signature, as clients get them; tensors inside by their nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mgn_convert.errors import UsageError
from mgn_convert.formats import Source
from mgn_convert.formats.tensorflow.runner import TensorFlowRunner, channels_first
from mgn_convert.formats.tensorflow.saved_model import DEFAULT
from mgn_convert.graph import Array


class SavedModelRunner(TensorFlowRunner):
    """The signature is the one asked for, else the first that takes images as floats and is not the default
    one under another name, else the default one. Without a manifest the outputs of the signature are all.
    """

    def __init__(self, source: Source) -> None:
        assert source.path is not None
        super().__init__(source.path, "saved")
        try:
            self._take(source, self._child.ask(("signatures",)))
        except BaseException:
            self.close()
            raise

    def _take(self, source: Source, signatures: Mapping[str, Any]) -> None:
        self.signature = self._chosen(source.signature, signatures)
        found = signatures[self.signature]
        if len(found["inputs"]) != 1:
            raise UsageError(
                f"the signature {self.signature} has {len(found['inputs'])} inputs",
                because="a runner feeds images to one input",
                got=", ".join(found["inputs"]),
            )
        ((self._key, (self._type, sizes)),) = found["inputs"].items()
        if self._type not in ("float32", "uint8"):
            raise UsageError(
                f"the signature {self.signature} takes {self._type}", because="images are numbers"
            )
        keys: list[str] = found["outputs"]
        if self.manifest is not None and self.artefact is not None:
            self._known(self.manifest, self.artefact)
            ordered = keys if len(keys) == 1 else self._in_order(keys)
        else:
            self.input_name = self.manifest.input_name if self.manifest else self._key
            self.input_shape = source.input_shape or channels_first(sizes)
            self.outputs = self.tensors = tuple(keys)
            ordered = keys
        self._keys = dict(zip(self.outputs, ordered, strict=True))
        if source.output is not None:
            picked = {name: key for name, key in self._keys.items() if source.output in (name, key)}
            if not picked:
                raise UsageError(
                    f"the signature {self.signature} has no output {source.output!r}", got=", ".join(keys)
                )
            self._keys, self.outputs = picked, tuple(picked)

    def _chosen(self, wanted: str | None, signatures: Mapping[str, Any]) -> str:
        if wanted is not None and wanted not in signatures:
            raise UsageError(
                f"{self.path.parent} has no signature {wanted!r}",
                got=", ".join(sorted(signatures)) or "no signatures",
            )
        if wanted is not None:
            return wanted
        fitting = [
            name
            for name, each in signatures.items()
            if [kind for kind, _ in each["inputs"].values()] == ["float32"]
        ]
        own = [name for name in fitting if name != DEFAULT]
        if len(own) == 1 or (own and DEFAULT not in fitting):
            return own[0]
        if fitting or len(signatures) == 1:
            return DEFAULT if DEFAULT in fitting else next(iter(fitting or signatures))
        raise UsageError(
            f"{self.path.parent} has no signature for images", got=", ".join(sorted(signatures)) or "none"
        )

    def _in_order(self, keys: list[str]) -> list[str]:
        """The signature's outputs in the order of the first graph, each called as the node that makes it."""
        nodes = [str(self._places[name]["value"]).partition(":")[0] for name in self.outputs]
        return nodes if sorted(nodes) == sorted(keys) else keys

    def _entry(self) -> str:
        inside = self.processing is not None and self.artefact is not None
        return str(self.artefact.input["value"]) if inside and self.artefact else ""

    def run(self, images: Array, taps: Iterable[str] = ()) -> dict[str, Array]:
        """See `TensorFlowRunner.run`."""
        fed, tapped = self._fed(images), list(dict.fromkeys(taps))
        array = fed.round().clip(0, 255).astype("uint8") if self._type == "uint8" else fed
        given: dict[str, Array] = self._child.ask(("call", self.signature, {self._key: array}))
        found = {name: self._found(name, given[key]) for name, key in self._keys.items()}
        inside = [name for name in tapped if name not in found or (self._mirrored and name in self._places)]
        places = [self._tensor(name) for name in inside]
        if places:
            values = self._child.ask(("run", {"": fed}, places))
            found |= {name: self._found(name, value) for name, value in zip(inside, values, strict=True)}
        return found

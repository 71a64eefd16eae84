"""What the keys of a fast-reid checkpoint tell, and how its names changed over the versions.

A vintage is the first release that wrote a set of names:

    vintage  from     neck                classes               pixel_mean   stem pool
    project  2020-05  bN_head.bnneck      bN_head.classifier    absent       pad 1
    0.1      2020-05  heads.bnneck        heads.classifier      present      pad 1
    1.0      2020-09  heads.bottleneck.0  heads.classifier      absent       ceil
    1.2      2021-04  heads.bottleneck.0  heads.weight          absent       ceil

`project` is MGN alone, from the project that first had it. The stem's pooling changed on 2020-08-14, between
two releases, so a file of those weeks may have the names of 0.1 and the pooling of 1.0; no key tells.
A file that differs in pixel_mean from its vintage is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mgn_convert.architecture import Option, Shapes
from mgn_reid.models.fastreid_backbone import BLOCKS

STEM = Option("auto", ("auto", "pad", "ceil"), "stem's pooling; auto: ceil from vintage 1.0 on, else pad")
IBN = "IBN-a in the first three stages; checkpoints tell"
SE = Option(False, (False, True), "squeeze and excitation in every bottleneck; checkpoints tell")


def stem_has_ceil(stem: str, vintage: str) -> bool:
    """Whether the stem's pooling rounds up, for a choice of STEM."""
    return vintage in ("1.0", "1.2") if stem == "auto" else stem == "ceil"


def pixels_have_keys(keys: bool | None, vintage: str) -> bool:
    """Whether pixel_mean and pixel_std are in the state_dict; None: as the vintage had it."""
    return vintage == "0.1" if keys is None else keys


def infer_baseline(shapes: Shapes) -> Mapping[str, Any]:
    """Options of Baseline that a checkpoint tells."""
    found = _infer_backbone(shapes, "backbone.layer1.0")
    if found:
        found["non_local"] = "backbone.NL_2.0.g.weight" in shapes
        third = {key.split(".")[2] for key in shapes if key.startswith("backbone.layer3.")}
        found |= _first("depth", {depth: blocks[2] == len(third) for depth, blocks in BLOCKS.items()})
    if "heads.pool_layer.p" in shapes:
        found["pool"] = "gemp"
    neck = shapes.get("heads.bottleneck.0.weight", ())
    if "heads.bnneck.weight" in shapes:
        found["vintage"] = "0.1"
    elif neck:
        found |= _infer_release(shapes, "heads")
    if len(neck) == 4 and "heads.bnneck.weight" not in shapes:
        found["features"] = neck[0]
    return found | _infer_classes(shapes, "heads")


def infer_mgn(shapes: Shapes) -> Mapping[str, Any]:
    """Options of FastReidMGN that a checkpoint tells."""
    found = _infer_backbone(shapes, "backbone.4.0")
    if "b1_pool.0.p" in shapes or "b1_head.pool_layer.p" in shapes:
        found["pool"] = "gemp"
    if "b1_pool.1.weight" in shapes:
        found["vintage"] = "0.1" if "b1_pool.0.p" in shapes else "project"
        found["features"] = shapes["b1_pool.1.weight"][0]
    elif "b1_head.bottleneck.0.weight" in shapes:
        found |= _infer_release(shapes, "b1_head")
        found["features"] = shapes["b1_head.bottleneck.0.weight"][0]
    return found | _infer_classes(shapes, "b1_head")


def _infer_backbone(shapes: Shapes, first: str) -> dict[str, Any]:
    if f"{first}.conv1.weight" not in shapes:
        return {}
    return {
        "ibn": f"{first}.bn1.IN.weight" in shapes,
        "se": f"{first}.se.fc.0.weight" in shapes,
        "pixel_keys": "pixel_mean" in shapes,
    }


def _infer_release(shapes: Shapes, head: str) -> dict[str, Any]:
    """1.0 or 1.2; without classes the two are the same."""
    old, new = f"{head}.classifier.weight" in shapes, f"{head}.weight" in shapes
    return _first("vintage", {"1.0": old, "1.2": new})


def _infer_classes(shapes: Shapes, head: str) -> dict[str, Any]:
    names = (f"{head}.classifier.weight", f"{head}.weight")
    return _first("num_classes", {shapes[name][0]: True for name in names if name in shapes})


def _first(option: str, cases: Mapping[Any, bool]) -> dict[str, Any]:
    """The option with the first case that holds; empty if none does."""
    return next(({option: case} for case, holds in cases.items() if holds), {})

"""The sections of a training's configuration: what may be set, in which bounds, and what it is by default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mgn_reid.training.losses.settings import LossSettings

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Patterns = Annotated[tuple[str, ...], Field(min_length=1)]
"""Patterns of parameter names, as a shell has them: `b1.*`, `*.bias`."""


class Section(BaseModel):
    """Part of a configuration: immutable, with no keys but its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(Section):
    """Which network; options are those of `mgn-reid models`."""

    name: str
    options: dict[str, str | int | float | bool] = {}


class Start(Section):
    """What the network starts from; at random where neither is given.

    imagenet: weights of a ResNet from ImageNet, with torchvision's names.
    weights: a checkpoint of the same network; its class layers may be for other people.
    """

    imagenet: Path | None = None
    weights: Path | None = None

    @model_validator(mode="after")
    def _one(self) -> Start:
        if self.imagenet is not None and self.weights is not None:
            raise ValueError("imagenet and weights exclude each other")
        return self


class Erase(Section):
    """Random erasing. Zhong et al., "Random Erasing Data Augmentation" (AAAI 2020).

    area: bounds of the rectangle's share of the picture; aspect: bounds of its height over its width.
    fill: "zero", of what the network takes; or "mean", the mean colour of ImageNet.
    """

    probability: Share = 0.5
    area: tuple[Share, Share] = (0.02, 0.4)
    aspect: tuple[Positive, Positive] = (0.3, 1 / 0.3)
    fill: Literal["zero", "mean"] = "zero"


class Augmentation(Section):
    """What happens to a training picture at random.

    flip, autoaugment: their probabilities. pad: black pixels around the resized picture, out of which one of
    the old size is cropped.
    """

    autoaugment: Share = 0.0
    flip: Share = 0.5
    pad: Annotated[int, Field(ge=0)] = 0
    erase: Erase | None = None


class Data(Section):
    """Which pictures, and how batches are made of them.

    kind: layout of the folder; found out where it is not given. size: "HxW"; the network's own by default.
    identities, pictures: a batch has this many people with this many pictures each.
    passes: how often an epoch visits everyone. incomplete: whether the last batch of a pass is filled with
    people drawn again, or dropped. workers: processes that load pictures.
    """

    folder: Path | None = None
    kind: str | None = None
    size: Annotated[str, Field(pattern=r"^[1-9]\d*x[1-9]\d*$")] | None = None
    resize: Literal["bicubic", "bilinear", "nearest", "box", "hamming", "lanczos"] | None = None
    identities: Annotated[int, Field(ge=2)] = 16
    pictures: Annotated[int, Field(ge=2)] = 4
    passes: Count = 1
    incomplete: Literal["fill", "drop"] = "fill"
    workers: Annotated[int, Field(ge=0)] = 4
    augmentation: Augmentation = Augmentation()


class Group(Section):
    """Parameters that learn otherwise than the rest: rate and weight decay, where given."""

    match: Patterns
    rate: Positive | None = None
    weight_decay: NotNegative | None = None


class Optimiser(Section):
    """rate: learning rate. A parameter belongs to the first group that matches its name.

    bias_factor: rate of biases over that of weights. bias_weight_decay: that of biases, where it is another.
    betas, epsilon: of adam and amsgrad; momentum: of sgd and nesterov.
    """

    kind: Literal["adam", "amsgrad", "sgd", "nesterov"]
    rate: Positive
    weight_decay: NotNegative = 0.0
    betas: tuple[Share, Share] = (0.9, 0.999)
    epsilon: Positive = 1e-8
    momentum: Share = 0.9
    bias_factor: Positive = 1.0
    bias_weight_decay: NotNegative | None = None
    groups: tuple[Group, ...] = ()


class Warmup(Section):
    """Rates rise in a straight line from `start` of their value to all of it."""

    iterations: Count
    start: Share = 0.01


class _Schedule(Section):
    unit: Literal["epochs", "iterations"] = "epochs"
    warmup: Warmup | None = None


class Constant(_Schedule):
    """Rates stay as they are."""

    kind: Literal["constant"]


class Steps(_Schedule):
    """Rates are multiplied by `factor` after each of `at`."""

    kind: Literal["steps"]
    at: Annotated[tuple[Positive, ...], Field(min_length=1)]
    factor: Share = 0.1


class Cosine(_Schedule):
    """Rates fall on half a cosine from all of their value at `begin` to `floor` of it at `until`."""

    kind: Literal["cosine"]
    begin: NotNegative = 0.0
    until: Positive
    floor: Share = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Cosine:
        if self.begin >= self.until:
            raise ValueError("begin lies before until")
        return self


Schedule = Annotated[Constant | Steps | Cosine, Field(discriminator="kind")]


class Freeze(Section):
    """Parameters that stay as they are for the first iterations, with the statistics of their batch norms."""

    match: Patterns
    iterations: Count


class Evaluation(Section):
    """Scores on the query and gallery: every so many epochs, and at the end.

    every: only at the end where it is null. flip: adds the embeddings of the mirror images.
    """

    every: Count | None = None
    flip: bool = True
    batch: Count = 32
    metric: Literal["cosine", "euclidean"] = "cosine"
    protocol: Literal["standard", "market-trapezoid", "cuhk03"] = "standard"


class Config(Section):
    """A whole training. Of `epochs` and `iterations` one is given.

    accumulate: batches whose gradients make one iteration. amp: half precision where it is safe.
    batch_norm: statistics "own" (each process's), "synchronised" across processes, or "frozen" ones.
    log_every: iterations between two lines of the log; one line an epoch where it is null.
    keep_every: epochs between checkpoints that are kept for good, as epoch-N.pth.
    device: "auto" (CUDA where there is one), "cpu" or "cuda".
    """

    network: Network
    start: Start = Start()
    data: Data = Data()
    losses: Annotated[tuple[LossSettings, ...], Field(min_length=1)]
    optimiser: Optimiser
    schedule: Schedule = Constant(kind="constant")
    epochs: Count | None = None
    iterations: Count | None = None
    accumulate: Count = 1
    amp: bool = False
    freeze: Freeze | None = None
    batch_norm: Literal["own", "synchronised", "frozen"] = "own"
    evaluation: Evaluation = Evaluation()
    log_every: Count | None = None
    keep_every: Count | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _one_length(self) -> Config:
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError("one of epochs and iterations is given, and the other is null")
        return self

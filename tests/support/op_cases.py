"""Every op of the graph on odd sizes, with what PyTorch computes for it."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

RNG = np.random.default_rng(5)


def arr(*shape):
    """Normal numbers."""
    return RNG.standard_normal(shape)


def t(x):
    """A tensor in float64."""
    return torch.from_numpy(np.asarray(x, np.float64))


W, WT, B = arr(8, 3, 3, 2), arr(6, 2, 3, 2), arr(8)
MEAN, VAR, GAMMA, BETA = arr(6), RNG.uniform(1e-6, 2, 6), arr(6), arr(6)
LIN, SLOPE, HW = arr(4, 5), arr(6), arr(7, 5)

CASES = {
    "conv": (
        dict(weight=W, bias=B, stride=(2, 1), padding=(1, 0), groups=2, dilation=(1, 2)),
        lambda x: F.conv2d(x, t(W), t(B), (2, 1), (1, 0), (1, 2), 2),
    ),
    "conv_transpose": (
        dict(weight=WT, stride=(2, 1), padding=(1, 0), groups=3, output_padding=(1, 0)),
        lambda x: F.conv_transpose2d(x, t(WT), None, (2, 1), (1, 0), (1, 0), 3),
    ),
    "max_pool": (
        dict(kernel=(3, 2), stride=(2, 1), padding=(1, 0, 1, 0)),
        lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 0)),
    ),
    "avg_pool": (
        dict(kernel=(3, 2), stride=(2, 1), padding=(1, 0, 1, 0), count_include_pad=False),
        lambda x: F.avg_pool2d(x, (3, 2), (2, 1), (1, 0), count_include_pad=False),
    ),
    "batch_norm": (
        dict(mean=MEAN, var=VAR, weight=GAMMA, bias=BETA, eps=3e-4),
        lambda x: F.batch_norm(x, t(MEAN), t(VAR), t(GAMMA), t(BETA), eps=3e-4),
    ),
    "instance_norm": (
        dict(weight=GAMMA, bias=BETA, eps=3e-4),
        lambda x: F.instance_norm(x, weight=t(GAMMA), bias=t(BETA), eps=3e-4),
    ),
    "mvn": (
        dict(eps=0.1),
        lambda x: (x - x.mean((2, 3), True)) / (x.std((2, 3), correction=0, keepdim=True) + 0.1),
    ),
    "pad": (dict(padding=(1, -1, -2, 3), value=0.5), lambda x: F.pad(x, (-1, 3, 1, -2), value=0.5)),
    "scale": (dict(axis=2, weight=HW), lambda x: x * t(HW)),
    "linear": (dict(weight=LIN), lambda x: F.linear(x, t(LIN))),
    "prelu": (dict(weight=SLOPE), lambda x: F.prelu(x, t(SLOPE))),
    "relu": ({}, F.relu),
    "leaky_relu": (dict(slope=0.3), lambda x: F.leaky_relu(x, 0.3)),
    "elu": (dict(alpha=0.7), lambda x: F.elu(x, 0.7)),
    "sigmoid": ({}, torch.sigmoid),
    "tanh": ({}, torch.tanh),
    "gelu": ({}, F.gelu),
    "softplus": ({}, F.softplus),
    "abs": ({}, torch.abs),
    "exp": ({}, torch.exp),
    "log": ({}, lambda x: torch.log(x.abs() + 1)),
    "power": (dict(power=2.0, scale=0.5, shift=1.0), lambda x: (1 + 0.5 * x) ** 2),
    "clip": (dict(min=-0.3, max=0.6), lambda x: x.clamp(-0.3, 0.6)),
    "threshold": (dict(threshold=0.2), lambda x: (x > 0.2).double()),
    "softmax": (dict(axis=2), lambda x: x.softmax(2)),
    "reshape": (dict(shape=(0, -1, 5)), lambda x: x.reshape(x.shape[0], -1, 5)),
    "permute": (dict(order=(0, 2, 3, 1)), lambda x: x.permute(0, 2, 3, 1)),
    "slice": (dict(axis=2, start=1, stop=4), lambda x: x[:, :, 1:4]),
    "reduce": (dict(kind="sumsq", axes=(1, 3)), lambda x: (x * x).sum((1, 3))),
}
BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "maximum": torch.maximum,
    "concat": lambda x, y: torch.cat([x, y], 1),
    "matmul": lambda x, y: x @ y.transpose(2, 3),
}

"""Sections that we only read, or read in more forms than we write: the graph gives what the engine gives."""

import numpy as np
import pytest

from mgn_convert.errors import FileFormatError
from mgn_convert.formats import Source
from mgn_convert.formats.darknet import FORMAT
from mgn_convert.formats.darknet.engine import Network
from mgn_convert.formats.darknet.weights import write_weights

NET = "[net]\nname=any\nchannels=8\nheight=6\nwidth=10\n"
SECTIONS = {
    "reorg": ("[reorg]\nstride=2\n", 0),
    "reorg back": ("[reorg]\nstride=2\nreverse=1\n", 0),
    "crop": ("[crop]\ncrop_height=3\ncrop_width=9\nnoadjust=1\n", 0),
    "crop to -1..1": ("[crop]\ncrop_height=6\ncrop_width=10\n", 0),
    "l2norm": ("[l2norm]\n", 0),
    "two strides": ("[conv]\nfilters=3\nsize=3\npad=1\nstride=1\nstride_x=3\nactivation=swish\n", 219),
    "half a rectangle": (
        "[conv]\nfilters=2\nsize=3\nsize_h=5\npad=1\npadding_w=0\nactivation=elu\nalpha=.3\n",
        242,
    ),
    "pool with two strides": ("[maxpool]\nsize=3\nstride_y=2\nstride=3\n", 0),
    "pool larger than the map": ("[maxpool]\nsize=12\nstride=7\npadding=0\n", 0),
    "pool by sides": ("[maxpool]\nsize_h=3\nsize_w=2\npadding=1\npadding_top=2\nstride_x=2\n", 0),
    "square average": ("[avgpool]\nsize=3\nstride=2\npadding=1\ncount_include_pad=0\n", 0),
    "average of all": ("[avgpool]\nsize_h=6\nsize_w=10\nstride_h=4\n", 0),
    "hardswish": ("[activation]\nactivation=hardswish\n", 0),
    "hardsigmoid": ("[activation]\nactivation=hardsigmoid\n", 0),
    "selu": ("[activation]\nactivation=selu\n", 0),
    "batch norm of upstream": ("[batchnorm]\n", 24),
    "batch norm with biases": ("[batchnorm]\nbiases=1\n", 32),
    "sum": ("[tanh]\n[sum]\nfrom=0\nscale=-.5\nscale_from=3\nactivation=leaky\nslope=.2\n", 0),
    "turned matrices": ("[tanh]\n[matmul]\nfrom=0\ntranspose=1\n", 0),
    "matrices turned": ("[tanh]\n[matmul]\nfrom=0\ntranspose_from=1\n", 0),
    "spatial softmax": ("[softmax]\nspatial=1\ntemperature=2\n", 0),
    "softmax of half columns": ("[softmax]\naxis=w\ngroups=2\n", 0),
    "reshape what is left": ("[reshape]\nc=5\nh=-1\nw=4\n", 0),
    "a vector as channels": (
        "[tanh]\n[avgpool]\n[route]\nlayers=0,1\n[prelu]\n[reduce]\nkind=asum\naxes=c\n",
        488,
    ),
    "channels by a vector": (
        "[avgpool]\n[tanh]\n[avgpool]\n[softmax]\n[route]\nlayers=1\n[topk]\nfrom=3\nk=3\n",
        0,
    ),
    "vectors": ("[connected]\noutput=3\n[connected]\noutput=3\n[divide]\nfrom=0\n", 1455),
}  # fmt: skip


@pytest.mark.parametrize("name", SECTIONS)
def test_the_graph_gives_what_the_engine_gives(name, tmp_path):
    text, count = SECTIONS[name]
    random, cfg = np.random.default_rng(1), tmp_path / "x.cfg"
    cfg.write_text(NET + text.replace("[tanh]", "[activation]\nactivation=tanh"))
    write_weights(cfg.with_suffix(".weights"), [random.uniform(0.1, 1, count).astype(np.float32)])
    graph = FORMAT.read(Source(cfg))
    values = random.standard_normal((3, 8, 6, 10)).astype(np.float32)
    wanted = graph.run({"data": values})[graph.outputs[0]]
    with Network(cfg, cfg.with_suffix(".weights"), batch=3) as network:
        found = next(iter(network(values).values()))
    # float32 against float64, over sums of at most 480 products.
    np.testing.assert_allclose(
        found.reshape(wanted.shape), wanted, rtol=0, atol=2e-6 * max(1, np.abs(wanted).max())
    )


@pytest.mark.parametrize(
    "text", ["[maxpool]\nsize=12\nstride=6\npadding=0\n", "[avgpool]\nsize=2\nstride_x=2\n"]
)
def test_reader_and_engine_refuse(text, tmp_path):
    cfg = tmp_path / "x.cfg"
    cfg.write_text(NET + text)
    write_weights(cfg.with_suffix(".weights"), [])
    for load in (lambda: FORMAT.read(Source(cfg)), lambda: Network(cfg, cfg.with_suffix(".weights"))):
        with pytest.raises(FileFormatError):
            load()


BAD = {
    "half a window": ("[avgpool]\nsize_h=2\n", "[avgpool] needs size_w=", "x.cfg:6 [avgpool]", "add a line"),
    "a window outside": (
        "[avgpool]\nsize=3\npadding=3\n",
        "every window fits the map and holds a cell of it",
        "x.cfg:6",
        "",
    ),
    "a large window": (
        "[maxpool]\nsize_h=7\nsize_w=1\n",
        "every window fits the map and holds a cell of it",
        "x.cfg:6",
        "",
    ),
    "two kinds of window": (
        "[maxpool]\nsize=2\nsize_h=2\n",
        "size and stride exclude",
        "x.cfg:7",
        "remove size",
    ),
    "slope of relu": (
        "[activation]\nactivation=relu\nslope=.2\n",
        "slope needs activation=leaky",
        "x.cfg:8",
        "remove slope",
    ),
    "no limits": ("[clip]\n", "[clip] needs min= or max=", "x.cfg:6", "add one"),
    "limits crossed": ("[clip]\nmin=2\nmax=1\n", "min is at most max", "x.cfg:7", "correct"),
    "axes apart": ("[scale]\naxes=c,w\n", "axes is a run of c,h,w", "x.cfg:7", "one of c h w"),
    "no weights": ("[scale]\nweights=0\nbiases=0\n", "[scale] has weights or biases", "x.cfg:6", "remove"),
    "negative eps": ("[instancenorm]\neps=-1\n", "eps is at least 0", "x.cfg:7", "correct"),
    "no kind": ("[reduce]\naxes=c\n", "kind is one of mean, sum", "x.cfg:6", "name one"),
    "no axis": ("[reduce]\nkind=max\naxes=x\n", "axes is c, h or w", "x.cfg:8", "correct"),
    "two axes": ("[activation]\n[concat]\naxis=c,h\nlayers=0\n", "axis is one of", "x.cfg:8", "one letter"),
    "half an order": ("[permute]\norder=c,h\n", "order names c, h and w", "x.cfg:7", "correct"),
    "another count": ("[reshape]\nc=7\nh=-1\n", "c, h and w hold what", "x.cfg:6", "correct"),
    "open twice": ("[reshape]\nc=-1\nh=-1\n", "c, h and w are at least 1", "x.cfg:6", "correct"),
    "no broadcast": (
        "[activation]\n[slice]\nslice_axis=1\nslice_end=3\n[multiply]\nfrom=0\n",
        "mul: the inputs' shapes broadcast together",
        "x.cfg:10 [multiply]",
        "",
    ),
    "unpool of an activation": ("[activation]\n[unpool]\nfrom=0\n", "from names a [maxpool]", "x.cfg:8", ""),
    "too many channels": ("[activation]\n[topk]\nfrom=0\nk=9\n", "top_channels: scores have", "x.cfg:7", ""),
    "reorg": ("[reorg]\nstride=2\n", "stride^2 divides the channels", "x.cfg:7", ""),
    "crop": ("[crop]\ncrop_height=9\n", "a crop is no larger than the map", "x.cfg:7", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_sections(name, tmp_path):
    text, what, at, remedy = BAD[name]
    cfg = tmp_path / "x.cfg"
    cfg.write_text("[net]\nbatch=1\nchannels=3\nheight=6\nwidth=4\n" + text)
    write_weights(cfg.with_suffix(".weights"), [])
    with pytest.raises(FileFormatError) as caught:
        FORMAT.read(Source(cfg))
    assert what in caught.value.what
    assert at in caught.value.at
    assert remedy in caught.value.remedy

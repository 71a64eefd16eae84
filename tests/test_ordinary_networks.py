"""Networks of the common kinds in every format, in their engines."""

import pytest
from ordinary_networks import ORDINARY

import mgn_convert
from mgn_convert.formats import Source


@pytest.mark.parametrize("to", ["caffe", "darknet", "onnx", "tensorflow"])
@pytest.mark.parametrize("name", ORDINARY)
def test_a_network_is_carried_exactly(name, to, tmp_path):
    source = Source(None, factory=f"ordinary_networks:calibrated_{name}", input_shape=(3, 32, 24))
    result = mgn_convert.convert(source, to, tmp_path, name="net")
    assert result.report.candidates[0].exact, result.report.candidates[0].inputs

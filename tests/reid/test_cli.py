from click.testing import CliRunner

from mgn_convert.architecture import architectures
from mgn_reid.cli import main


def test_models_lists_every_network_with_all_that_its_user_needs():
    result = CliRunner().invoke(main, ["models"])
    assert result.exit_code == 0, result.output
    for name, network in architectures().items():
        assert f"{name}: {network.summary}" in result.output
        assert network.embedding
        assert f"embedding  {network.embedding}" in result.output
    assert "input      3x384x128, RGB, bicubic resize" in result.output

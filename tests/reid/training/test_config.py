"""Configurations: what is read, and how a wrong one is refused."""

import json

import pytest
import yaml

from mgn_convert.errors import FileFormatError, UsageError
from mgn_reid.training.config import load_config, recipes

MINIMAL = """
network: {name: mgn}
losses:
  - {kind: cross-entropy}
  - {kind: triplet, on: [g1], margin: 3e-1}
optimiser: {kind: adam, rate: 2e-4}
epochs: 3
"""


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(MINIMAL)
    return path


def test_a_file_of_ones_own_has_numbers_and_words_as_yaml_1_2_has_them(written):
    config = load_config(written)
    assert config.optimiser.rate == 0.0002
    assert config.losses[1].margin == 0.3
    assert config.losses[1].on == ("g1",)
    assert config.data.identities == 16


def test_a_recipe_goes_by_its_name():
    assert load_config("mgn-paper").schedule.at == (40, 60)


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("optimiser.rate=1e-3", lambda c: c.optimiser.rate == 0.001),
        ("losses.1.margin=0.25", lambda c: c.losses[1].margin == 0.25),
        ("losses.1.margin=null", lambda c: c.losses[1].margin is None),
        ("losses.1.on=[g2, g3]", lambda c: c.losses[1].on == ("g2", "g3")),
        ("losses.0.kind=cross-entropy", lambda c: c.losses[0].kind == "cross-entropy"),
        ("data.augmentation.erase.fill=mean", lambda c: c.data.augmentation.erase.fill == "mean"),
        ("data.folder=/a=b", lambda c: str(c.data.folder) == "/a=b"),
        ("amp=true", lambda c: c.amp is True),
        ("network.options.pool=avg", lambda c: c.network.options == {"pool": "avg"}),
        ("network.options.width=16", lambda c: c.network.options == {"width": 16}),
        ("schedule={kind: cosine, until: 9}", lambda c: c.schedule.until == 9),
    ],
)
def test_overrides_are_yaml_and_may_name_places_of_lists(written, override, read):
    assert read(load_config(written, [override]))


def test_later_overrides_win(written):
    assert load_config(written, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "at", "got", "remedy"),
    [
        ("optimiser.rat=1", "optimiser.rat", "1", "rate"),
        ("losses.1.margn=0.5", "losses.1.margn", "0.5", "margin"),
        ("dataa.folder=x", "dataa", '{"folder": "x"}', "data"),
        ("data.augmentation.erase.filling=mean", "data.augmentation.erase.filling", '"mean"', "fill"),
        ("losses.1.kind=tripel", "losses.1.kind", "tripel", "triplet"),
        ("schedule={kind: cosin, until: 3}", "schedule.kind", "cosin", "cosine"),
        ("epochs=2.5", "epochs", "2.5", ""),
        ("epochs='2'", "epochs", '"2"', ""),
        ("amp=yes", "amp", '"yes"', ""),
        ("epochs=0", "epochs", "0", ""),
        ("optimiser.rate=-1", "optimiser.rate", "-1", ""),
        ("optimiser.rate=.nan", "optimiser.rate", "NaN", ""),
        ("data.size=384", "data.size", "384", ""),
        ("data.size=96x", "data.size", '"96x"', ""),
        ("network.options.pool=[max]", "network.options.pool", '["max"]', ""),
        ("start={imagenet: a, weights: b}", "start", '{"imagenet": "a", "weights": "b"}', ""),
        ("optimiser={kind: adam}", "optimiser.rate", "", ""),
        ("losses=[]", "losses", "[]", ""),
        ("iterations=3", "", "", ""),
    ],
)
def test_what_cannot_be_set_is_refused_with_its_place_and_the_nearest_key(written, override, at, got, remedy):
    with pytest.raises(UsageError) as caught:
        load_config(written, [override])
    error = caught.value
    assert (error.at, error.got, error.remedy) == (at, got, remedy)
    assert error.because


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "an override is KEY=VALUE"),
        ("=3", "an override is KEY=VALUE"),
        ("losses.7.margin=1", "a number from 0 to 1"),
        ("losses.first.margin=1", "no place of a list of 2"),
        ("seed=[1", "is not YAML"),
    ],
)
def test_overrides_that_name_nothing_are_refused(written, override, message):
    with pytest.raises(UsageError, match=message):
        load_config(written, [override])


def test_a_wrong_recipe_lists_the_recipes_with_the_nearest_first():
    with pytest.raises(UsageError, match="no recipe 'mgn-papr'") as caught:
        load_config("mgn-papr")
    assert caught.value.remedy.startswith("mgn-paper")
    assert "lagnet" in caught.value.got


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2", "just words", "\tx: 1"])
def test_a_file_that_is_no_mapping_of_yaml_is_refused(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=r"own\.yaml is"):
        load_config(path)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(FileFormatError, match="is not YAML"):
        load_config(tmp_path / "x.yaml")


def test_a_file_cannot_make_python_objects(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("network: !!python/object/apply:os.getcwd []")
    with pytest.raises(FileFormatError, match="is not YAML"):
        load_config(path)


@pytest.mark.parametrize("name", recipes())
def test_what_a_configuration_dumps_reads_back_as_the_same(name, tmp_path):
    config = load_config(name)
    dumped = config.model_dump(mode="json")
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(dumped))))
    assert load_config(path) == config

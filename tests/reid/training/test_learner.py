"""The learner: names, terms, what it trains and what it leaves alone."""

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn, tensor
from torch.nn.functional import cross_entropy

from mgn_convert.errors import UsageError
from mgn_reid.models.lagnet import LAGNet
from mgn_reid.models.mgn import MGN
from mgn_reid.models.outputs import Scored, TrainingOutputs
from mgn_reid.models.trainable import Trainable
from mgn_reid.training.learner import Learner
from mgn_reid.training.losses.settings import Centre, CrossEntropy, LossSettings, Triplet

LABELS = tensor([0, 0, 2, 2])
SMALL = {"num_classes": 3, "features": 16, "input_size": "96x32", "depth": 18, "width": 8}


class Tiny(Trainable):
    """Two vectors, of which one is classified, and a layer that nothing enters."""

    input_size = (4, 2)

    def __init__(self, classes=3):
        super().__init__()
        self.shared = nn.Linear(24, 6)
        self.norm = nn.BatchNorm1d(6)
        self.second = nn.Linear(6, 4)
        self.head = nn.Linear(6, classes)
        self.unused = nn.Linear(2, 2)

    def training_outputs(self, images):
        first = self.norm(self.shared(images.flatten(1)))
        vectors = {"first": first, "second": self.second(first)}
        return TrainingOutputs(vectors, {"first": Scored(first, self.head.weight, self.head.bias)})


def images(count=4, height=4, width=2, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_terms_have_the_names_of_their_kinds_and_are_the_losses():
    network = Tiny()
    losses = [
        CrossEntropy(weight=2.0),
        Triplet(on=("second",)),
        CrossEntropy(on=("second",)),
        Centre(on="first"),
    ]
    learner = Learner(network, losses, 3)
    terms = learner(images(), LABELS)
    assert list(terms) == ["cross-entropy", "triplet", "cross-entropy-2", "centre"]
    first = network.norm(network.shared(images().flatten(1)))
    torch.testing.assert_close(terms["cross-entropy"], 2 * cross_entropy(network.head(first), LABELS))
    layer = learner.criteria[2].layers["second"]
    own = cross_entropy(network.second(first) @ layer.T, LABELS)
    torch.testing.assert_close(terms["cross-entropy-2"], own)
    assert all(term.ndim == 0 for term in terms.values())


def test_what_the_network_lacks_is_the_criteria_s_own():
    learner = Learner(Tiny(), [CrossEntropy(on=("first", "second")), Centre(on="second")], 3)
    shapes = {key: tuple(value.shape) for key, value in learner.criteria.state_dict().items()}
    assert shapes == {"0.layers.second": (3, 4), "1.centres": (3, 4)}


def test_every_parameter_that_wants_a_gradient_gets_one():
    """DistributedDataParallel waits for all that require one."""
    for losses, idle in (
        ([CrossEntropy()], {"second", "unused"}),
        ([Triplet(on=("second",))], {"head", "unused"}),
        ([CrossEntropy(on=("second",)), Centre(on="first")], {"head", "unused"}),
        ([CrossEntropy(), Centre(on="second")], {"unused"}),
    ):
        learner = Learner(Tiny(), losses, 3)
        sum(learner(images(), LABELS).values()).backward()
        assert {name.partition(".")[0] for name in learner.idle} == idle
        for name, parameter in learner.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize("settings", [CrossEntropy(bias=False), CrossEntropy(layer="circle")])
def test_a_bias_that_no_loss_uses_stays(settings):
    learner = Learner(Tiny(), [settings], 3)
    assert "head.bias" in learner.idle
    assert "head.weight" not in learner.idle


def test_making_a_learner_changes_no_number_and_no_mode():
    network = Tiny()
    network.norm.eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    Learner(network, [CrossEntropy()], 3)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert network.shared.training
    assert not network.norm.training
    assert torch.equal(torch.get_rng_state(), state)


def test_what_was_frozen_before_stays_frozen_and_counts_as_used():
    network = Tiny()
    network.shared.requires_grad_(False)
    learner = Learner(network, [CrossEntropy()], 3)
    assert not any(name.startswith("shared") for name in learner.idle)
    assert not network.shared.weight.requires_grad


@pytest.mark.parametrize(
    ("settings", "known"),
    [
        (Triplet(on=("g1", "g9")), "g1, g2, g3, p2a, p2b, p3a, p3b, p3c, pooled_g1, pooled_g2, pooled_g3"),
        (CrossEntropy(on=("g9",)), "g1, g2, g3, p2a, p2b, p3a, p3b, p3c, pooled_g1, pooled_g2, pooled_g3"),
        (Centre(on="g9"), "g1, g2, g3, p2a, p2b, p3a, p3b, p3c, pooled_g1, pooled_g2, pooled_g3"),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_those_that_exist(settings, known):
    with pytest.raises(UsageError) as error:
        Learner(MGN(**SMALL), [settings], 3)
    assert str(error.value) == (
        "the network gives no 'g9' to training\n"
        f"  at       losses, {settings.kind}, on\n"
        f"  try      one of {known}"
    )


def test_heads_for_another_number_of_identities_are_an_error():
    with pytest.raises(UsageError, match="got      5 classes, and 3 identities in the training set"):
        Learner(Tiny(classes=5), [CrossEntropy()], 3)


def test_no_loss_one_identity_and_another_network_are_errors():
    with pytest.raises(UsageError, match="there is no loss"):
        Learner(Tiny(), [], 3)
    with pytest.raises(UsageError, match="at least 2 identities"):
        Learner(Tiny(classes=1), [CrossEntropy()], 1)
    with pytest.raises(UsageError, match="Linear cannot be trained"):
        Learner(nn.Linear(2, 2), [CrossEntropy()], 3)


def test_pairs_are_wanted_by_triplets_alone():
    alone = tensor([0, 1, 2, 2])
    Learner(Tiny(), [CrossEntropy(), Centre(on="first")], 3)(images(), alone)
    learner = Learner(Tiny(), [CrossEntropy(), Triplet(on=("first",))], 3)
    with pytest.raises(UsageError, match="an identity with one picture"):
        learner(images(), alone)


def test_losses_are_in_float32_under_autocast():
    """Vectors of length 300 have squares beyond the range of float16."""
    network = Tiny()
    nn.init.constant_(network.norm.weight, 300.0)
    losses = [CrossEntropy(layer="circle"), Triplet(on=("second", "first")), Centre(on="second")]
    learner = Learner(network, losses, 3)
    whole = learner(images(), LABELS)
    with torch.autocast("cpu", dtype=torch.float16):
        terms = learner(images(), LABELS)
        assert network.second(network.norm.weight[None]).dtype == torch.float16
    for name, term in terms.items():
        assert term.dtype == torch.float32
        if name != "centre":
            torch.testing.assert_close(term, whole[name], rtol=2e-2, atol=1e-3)


def test_the_paper_s_recipe_has_softmax_without_bias_on_pooled_vectors():
    section = [
        {
            "kind": "cross-entropy",
            "on": ["pooled_g1", "pooled_g2", "pooled_g3", "p2a", "p2b", "p3a", "p3b", "p3c"],
            "bias": False,
        },
        {"kind": "triplet", "on": ["g1", "g2", "g3"], "margin": 1.2},
    ]
    losses = TypeAdapter(list[LossSettings]).validate_python(section)
    learner = Learner(MGN(**SMALL), losses, 3)
    shapes = [tuple(parameter.shape) for parameter in learner.criteria.parameters()]
    assert shapes == [(3, 64)] * 3
    heads = {f"fc_id_2048_{i}.{leaf}" for i in range(3) for leaf in ("weight", "bias")}
    biases = {f"fc_id_256_{k}.bias" for k in ("1_0", "1_1", "2_0", "2_1", "2_2")}
    assert set(learner.idle) == heads | biases


def test_a_small_mgn_learns_a_batch():
    torch.manual_seed(1)
    network = MGN(**SMALL)
    network.reset_for_training()
    learner = Learner(network, [CrossEntropy(), Triplet(on=("g1", "g2", "g3"), margin=1.2, weight=2.0)], 3)
    optimiser = torch.optim.Adam([p for p in learner.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        total = sum(learner(images(4, 96, 32), LABELS).values())
        total.backward()
        optimiser.step()
        losses.append(total.item())
    assert losses[-1] < 0.3 * losses[0]


def test_lagnet_leaves_alone_what_its_forward_pass_never_uses():
    with torch.device("meta"):
        network = LAGNet(num_classes=3)
    losses = [CrossEntropy(), Triplet(on=("fg_gs", "fg_ps", "fg_la", "fg_d", "f_ps")), Centre(on="matrix")]
    learner = Learner(network, losses, 3)
    unused = {"channel_attention", "reduction_4", "reduction_5", "reduction_6"}
    assert {name.partition(".")[0] for name in learner.idle} == unused
    assert learner.criteria[2].centres.shape == (3, 24 * 2048)

"""What does not learn: parameters in the first iterations, and the statistics of batch norms."""

from __future__ import annotations

from torch.nn.modules.batchnorm import _BatchNorm

from mgn_reid.training.learner import Learner
from mgn_reid.training.optimisers import check_patterns, matches
from mgn_reid.training.sections import Config


class Frozen:
    """Of a network, as the configuration says. Raises UsageError for a pattern that fits no parameter.

    Frozen parameters lose their gradients, so that the optimiser passes them over, weight decay included;
    their batch norms use the statistics that they have.
    """

    def __init__(self, config: Config, learner: Learner) -> None:
        self._iterations = config.freeze.iterations if config.freeze is not None else 0
        patterns = config.freeze.match if config.freeze is not None else ()
        network = learner.network
        named = dict(network.named_parameters())
        check_patterns(patterns, named, "freeze.match")
        self._parameters = [p for name, p in named.items() if matches(name, patterns)]
        norms = {name: m for name, m in network.named_modules() if isinstance(m, _BatchNorm)}
        self._always = list(norms.values()) if config.batch_norm == "frozen" else []
        self._norms = [m for name, m in norms.items() if matches(f"{name}.weight", patterns)]
        self._learner = learner

    def set_modes(self, iteration: int) -> None:
        """Training mode, but for frozen batch norms, for the iteration after `iteration` finished ones."""
        self._learner.train()
        for norm in (*self._always, *(self._norms if iteration < self._iterations else ())):
            norm.eval()

    def drop_gradients(self, iteration: int) -> None:
        """Take the gradients of what is frozen."""
        if iteration < self._iterations:
            for parameter in self._parameters:
                parameter.grad = None

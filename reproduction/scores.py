"""Scores of a trained network's tensors, and what they predict of any budget: shared by several experiments."""

from dataclasses import dataclass

from qtaml.formats import Format
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.model import stored_weights
from qtaml.networks import NETWORKS
from qtaml.planning import Allocation, TensorPlan
from qtaml.theory import error_ratio, interior_range, saturation_ratio, tensor_scores
from reproduction.experiment import paper_tac
from reproduction.rounding_cost import rounding_cost

BITS = Format().bits


@dataclass(frozen=True)
class NetworkScores:
    """The tensors of one trained network.

    Attributes:
        names: names of the tensors.
        sizes: their weights.
        squared_gains: gamma_l**2.
        full_scales: ||W_l||_inf.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    squared_gains: tuple[float, ...]
    full_scales: tuple[float, ...]

    @property
    def scores(self) -> list[float]:
        """a_l = gamma_l**2 ||W_l||_inf**2."""
        return [float(score) for score in tensor_scores(self.squared_gains, self.full_scales)]

    @property
    def weights(self) -> int:
        """Weights of all tensors."""
        return sum(self.sizes)

    @property
    def mean(self) -> float:
        """A: mean score of a weight."""
        return sum(size * score for size, score in zip(self.sizes, self.scores, strict=True)) / self.weights

    @property
    def saturation_ratio(self) -> float:
        """rho* = G / A."""
        return saturation_ratio(self.scores, self.sizes)

    @property
    def interior(self) -> tuple[float, float]:
        """Overheads from which and up to which rho* holds."""
        low, high = interior_range(self.scores, self.sizes, BITS)
        return low / BITS, high / BITS

    def ratio(self, overhead: float) -> float:
        """Ratio rho at an overhead, by water filling: predicted error with fractional bits over Uniform-MSP's."""
        return float(error_ratio(self.scores, self.sizes, BITS * overhead, bits=BITS))

    def rounding(self, overhead: float, method: Allocation) -> float:
        """Predicted error with whole protected bits over that with fractional ones."""
        # A share such as 0.05 is not a binary fraction: the product may fall just below a whole number of bits.
        budget = int(BITS * overhead * self.weights + 1e-6)
        return rounding_cost(self.scores, self.sizes, budget=budget, bits=BITS, method=method)


def network_scores(laboratory: Laboratory, network: str, training_seed: int) -> NetworkScores:
    """Scores of one trained network, from the gains by which TAC plans its storage."""
    settings = paper_tac(p=NETWORKS[network].p, overhead=0.0, correction="none")
    plan = laboratory.plan(Case(network, settings), training_seed)
    weights = stored_weights(laboratory.network(network, training_seed)[0])
    return NetworkScores(
        tuple(tensor.name for tensor in plan.tensors),
        tuple(tensor.storage.weights for tensor in plan.tensors),
        tuple(tensor.gain.squared for tensor in plan.tensors if tensor.gain),
        tuple(float(weights[tensor.name].abs().max()) for tensor in plan.tensors),
    )


def protected_bits(tensor: TensorPlan) -> float:
    """Protected bits of a weight, mean over the weights of a tensor."""
    return tensor.storage.protected_bits / tensor.storage.weights


def tensor_label(name: str) -> str:
    """A tensor's name, short enough for an axis.

    Example:
        >>> tensor_label("encoder.layers.1.self_attn.in_proj_weight"), tensor_label("fc1.weight")
        ('block 1 qkv', 'fc1')
    """
    short = name.removesuffix(".weight").replace("encoder.layers.", "block ").replace(".", " ")
    for long, brief in (("self_attn in_proj_weight", "qkv"), ("self_attn out_proj", "out"), ("linear", "ff")):
        short = short.replace(long, brief)
    return short

"""Monte Carlo of any metric over reads of a stored network, with intervals and early stopping."""

from qtaml.evaluate.metrics import Accuracy, SampleMetric
from qtaml.evaluate.monte_carlo import Metric, Result, evaluate

__all__ = ["Accuracy", "Metric", "Result", "SampleMetric", "evaluate"]

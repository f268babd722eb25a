"""Monte Carlo of any metric over reads of a stored network, with intervals and early stopping."""

from qtaml.evaluate.design import design
from qtaml.evaluate.intervals import Estimate, networks_interval, trainings_interval
from qtaml.evaluate.metrics import Accuracy, Metric, SampleMetric
from qtaml.evaluate.monte_carlo import Result, evaluate
from qtaml.evaluate.output_error import OutputError, PredictionCheck, check_prediction

__all__ = [
    "Accuracy",
    "Estimate",
    "Metric",
    "OutputError",
    "PredictionCheck",
    "Result",
    "SampleMetric",
    "check_prediction",
    "design",
    "evaluate",
    "networks_interval",
    "trainings_interval",
]

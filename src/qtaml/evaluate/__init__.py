"""Monte Carlo of any metric over reads of a stored network, with intervals and early stopping."""

from qtaml.evaluate.design import design
from qtaml.evaluate.intervals import Estimate, networks_interval, trainings_interval
from qtaml.evaluate.language import NegativeLogLikelihood, as_perplexity, check_causal, perplexity
from qtaml.evaluate.metrics import Accuracy, Metric, SampleMetric
from qtaml.evaluate.monte_carlo import Result, evaluate, measure
from qtaml.evaluate.observed_errors import ObservedRate, observed_errors
from qtaml.evaluate.output_error import OutputError, PredictionCheck, check_prediction
from qtaml.evaluate.similarity import Agreement, OutputCosine, OutputDivergence

__all__ = [
    "Accuracy",
    "Agreement",
    "Estimate",
    "Metric",
    "NegativeLogLikelihood",
    "ObservedRate",
    "OutputCosine",
    "OutputDivergence",
    "OutputError",
    "PredictionCheck",
    "Result",
    "SampleMetric",
    "as_perplexity",
    "check_causal",
    "check_prediction",
    "design",
    "evaluate",
    "measure",
    "networks_interval",
    "observed_errors",
    "perplexity",
    "trainings_interval",
]

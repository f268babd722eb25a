"""How good a stored network is, and how sure we are: metrics over reads, intervals, early stopping."""

from qtaml._kinds import guard_doors
from qtaml.measuring.estimate import Estimate
from qtaml.measuring.intervals import networks_interval, positive_interval, trainings_interval
from qtaml.measuring.language import NegativeLogLikelihood, as_perplexity, check_causal, perplexity
from qtaml.measuring.metrics import Accuracy, Metric, SampleMetric
from qtaml.measuring.monte_carlo import Result, evaluate, measure
from qtaml.measuring.observed_errors import ObservedErrors, ObservedRate, observed_errors
from qtaml.measuring.output_error import OutputError, PredictionCheck, check_prediction
from qtaml.measuring.similarity import Agreement, OutputCosine, OutputDivergence

__all__ = [
    "Accuracy",
    "Agreement",
    "Estimate",
    "Metric",
    "NegativeLogLikelihood",
    "ObservedErrors",
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
    "evaluate",
    "measure",
    "networks_interval",
    "observed_errors",
    "perplexity",
    "positive_interval",
    "trainings_interval",
]

guard_doors(__name__)

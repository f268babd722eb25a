"""How good a stored network is, and how sure we are: metrics over reads and chips, intervals, early stopping."""

from qtaml._kinds import guard_doors
from qtaml.measuring.accuracy import Accuracy
from qtaml.measuring.activations import ActivationStream
from qtaml.measuring.chips import Yield, chips_needed
from qtaml.measuring.estimate import Estimate
from qtaml.measuring.intervals import networks_interval, positive_interval, trainings_interval
from qtaml.measuring.language import NegativeLogLikelihood, as_perplexity, check_causal, perplexity
from qtaml.measuring.metrics import Metric, SampleMetric
from qtaml.measuring.monte_carlo import Result, evaluate, measure
from qtaml.measuring.observed_errors import ObservedErrors, ObservedRate, observed_errors
from qtaml.measuring.output_error import OutputError, PredictionCheck, check_prediction
from qtaml.measuring.paired import paired_difference
from qtaml.measuring.reads_of_chips import values_of_chips
from qtaml.measuring.similarity import Agreement, OutputCosine, OutputDivergence

__all__ = [
    "Accuracy",
    "ActivationStream",
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
    "Yield",
    "as_perplexity",
    "check_causal",
    "check_prediction",
    "chips_needed",
    "evaluate",
    "measure",
    "networks_interval",
    "observed_errors",
    "paired_difference",
    "perplexity",
    "positive_interval",
    "trainings_interval",
    "values_of_chips",
]

guard_doors(__name__)

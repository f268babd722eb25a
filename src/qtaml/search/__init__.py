"""Which way to store a network is best: levels fitted to its weights, and the search over all formats."""

from qtaml.search.candidates import Candidate
from qtaml.search.designer import Designer
from qtaml.search.even_levels import fit_even
from qtaml.search.fitting import Fitted, assess, fit, settle
from qtaml.search.goals import design
from qtaml.search.histogram import Histogram

__all__ = [
    "Candidate",
    "Designer",
    "Fitted",
    "Histogram",
    "assess",
    "design",
    "fit",
    "fit_even",
    "settle",
]

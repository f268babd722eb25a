"""Search for the best plan of a network: levels fitted to its weights, candidate formats, and the designer."""

from qtaml._kinds import guard_doors
from qtaml.search.allowed_flips import AllowedFlips, AllowedFlipsTable, allowed_flips
from qtaml.search.candidates import Candidate
from qtaml.search.designer import Designer
from qtaml.search.designer_choice import AnyDesigner, designer_for
from qtaml.search.even_levels import fit_even
from qtaml.search.fitting import Fitted, assess, fit, settle
from qtaml.search.goals import design
from qtaml.search.histogram import Histogram
from qtaml.search.study import Study

__all__ = [
    "AllowedFlips",
    "AllowedFlipsTable",
    "AnyDesigner",
    "Candidate",
    "Designer",
    "Fitted",
    "Histogram",
    "Study",
    "allowed_flips",
    "assess",
    "design",
    "designer_for",
    "fit",
    "fit_even",
    "settle",
]

guard_doors(__name__)

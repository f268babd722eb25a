"""Which device and which way to store, together? Grids of devices, plans over flip probabilities, area and power."""

from qtaml._kinds import guard_doors
from qtaml.exploration.device_points import AXES, Device, DevicePoint, device_points
from qtaml.exploration.exploration import MINIMISED, Exploration, ExplorationPoint, Minimised
from qtaml.exploration.exploring import explore
from qtaml.exploration.rungs import LADDER

__all__ = [
    "AXES",
    "LADDER",
    "MINIMISED",
    "Device",
    "DevicePoint",
    "Exploration",
    "ExplorationPoint",
    "Minimised",
    "device_points",
    "explore",
]

guard_doors(__name__)

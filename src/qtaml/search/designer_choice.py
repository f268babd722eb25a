"""Which designer serves a question: one memory or several, budgets of cells or of refreshes."""

from dataclasses import replace

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault, Several
from qtaml.formats import TensorFormat
from qtaml.planning import Design, Plan
from qtaml.planning.hardened_cells import priced
from qtaml.planning.reserve import with_reserve
from qtaml.protections import HardenedCell, Protection
from qtaml.search.designer import Designer
from qtaml.sensitivity import Calibration


class ReserveDesigner:
    """Plans for one network and several memories, of which a chip is one; arguments and errors as for `Designer`."""

    def __init__(self, calibration: Calibration, settings: Design) -> None:
        if not isinstance(settings.fault, Several):
            raise ArgumentError(f"fault must be several memories, got {settings.fault}")
        self.calibration, self.settings, self._fault = calibration, settings, settings.fault
        self._designers: dict[AnyFault, Designer] = {}

    def plan(self, cells: float) -> Plan:
        """The plan of the least error at the worst of the memories, or on average if they have weights."""
        asked = replace(self.settings, cells=_checks.positive("cells", cells))
        return with_reserve(self.calibration, asked, self._fault, lambda one: self._designer(one).plan(cells))

    def _designer(self, fault: AnyFault) -> Designer:
        if fault not in self._designers:
            self._designers[fault] = Designer(self.calibration, replace(self.settings, fault=fault))
        return self._designers[fault]


class RefreshDesigner:
    """Plans within budgets of refreshes: the search sees cells whose area is the price of their refreshes.

    Arguments and errors as for `Designer`.
    """

    def __init__(self, calibration: Calibration, settings: Design) -> None:
        self.calibration, self.settings = calibration, settings
        # Of cells of one price and error rate the first serves as well as any.
        self._cells: dict[HardenedCell, HardenedCell] = {}
        for cell in settings.hardened:
            self._cells.setdefault(priced(cell), cell)
        asked = replace(settings, hardened=tuple(self._cells), price="cells")
        self._designer = _of_cells(calibration, asked)

    def plan(self, cells: float) -> Plan:
        """The plan of the least predicted output error within a budget.

        Args:
            cells: refreshes, as a share of those of a plain memory.
        """
        plan = self._designer.plan(cells)
        tensors = tuple(replace(one, storage=self._with_own_cells(one.storage)) for one in plan.tensors)
        return replace(plan, tensors=tensors, settings=replace(self.settings, cells=cells))

    def _with_own_cells(self, storage: TensorFormat) -> TensorFormat:
        """A tensor in the cells that the search saw the price of."""
        sections = tuple(
            replace(one, format=replace(one.format, protections=tuple(map(self._own, one.format.protections))))
            for one in storage.sections
        )
        return replace(storage, sections=sections)

    def _own(self, protection: Protection) -> Protection:
        return self._cells[protection] if isinstance(protection, HardenedCell) else protection


AnyDesigner = Designer | ReserveDesigner | RefreshDesigner


def designer_for(calibration: Calibration, settings: Design) -> AnyDesigner:
    """The designer for one memory or for several, and for what a budget counts."""
    return RefreshDesigner(calibration, settings) if settings.price == "refreshes" else _of_cells(calibration, settings)


def _of_cells(calibration: Calibration, settings: Design) -> Designer | ReserveDesigner:
    return (ReserveDesigner if isinstance(settings.fault, Several) else Designer)(calibration, settings)

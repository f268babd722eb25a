"""Which designer serves a question: one memory or several, budgets of cells or of refreshes."""

from dataclasses import replace

from qtaml.faults import Several
from qtaml.formats import TensorFormat
from qtaml.planning import Design, Plan
from qtaml.planning.hardened_cells import priced
from qtaml.protections import HardenedCell, Protection
from qtaml.search.designer import Designer, ReserveDesigner
from qtaml.sensitivity import Calibration


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

"""Which tensors lie inside residual branches: between a point where the data forks and the addition that joins it."""

import operator
import threading
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn

from qtaml.errors import ModelError
from qtaml.model.calls import Batch, arguments, evaluation_mode, first_tensor
from qtaml.model.torch_compile import uncompiled_name
from qtaml.model.weights import named_tensors, same_tensors

if TYPE_CHECKING:
    import networkx as nx

_ADDITIONS = {operator.add, operator.iadd, torch.ops.aten.add.Tensor, torch.ops.aten.add_.Tensor}
_INPUT = "input"
_TRACER = threading.Lock()


def residual_weights(model: nn.Module, batch: Batch) -> set[str]:
    """Names of the parameters that are used inside a residual branch.

    The network is traced with `torch.export`. For every addition of two tensors that both depend on the input, the
    branch point is the addition's immediate dominator: the last value that all data on its way to the addition passes
    through. Parameters used strictly between the two are inside the branch, shortcuts with weights included. An
    addition whose branch point is an input of integers (token numbers, masks) joins no branch.

    Args:
        model: any module that `torch.export` can trace in evaluation mode; it is not changed.
        batch: inputs to trace with.

    Returns:
        Names as in `model.named_parameters()`; of tied parameters, the first name.

    Raises:
        ModelError: if the model cannot be traced.

    Source:
        paper, algorithm 1, step 2.1.
    """
    program = _export(_TensorOnly(model), batch)
    first = {f"model.{name}": tied[0] for tied in same_tensors(named_tensors(model)) for name in tied}
    names = {node: first[uncompiled_name(name)] for node, name in program.graph_signature.inputs_to_parameters.items()}
    return _inside_branches(program.graph, names, {str(name) for name in program.graph_signature.user_inputs})


class _TensorOnly(nn.Module):
    """A model that returns one tensor: caches and other records of what it computed cannot be traced."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return first_tensor(self.model(*args, **kwargs))


def _export(model: nn.Module, batch: Batch) -> torch.export.ExportedProgram:
    args, kwargs = arguments(batch, model)
    try:
        # The tracer keeps a state for the whole process.
        with _TRACER, evaluation_mode(model) as network, torch.no_grad():
            return torch.export.export(network, args, kwargs)
    except TimeoutError:
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "")
        raise ModelError(
            f"the model cannot be traced for its residual branches ({type(error).__name__}: {reason}); "
            "give the floors by tensor name instead"
        ) from error


def _inside_branches(graph: fx.Graph, parameter_of: dict[str, str], inputs: set[str]) -> set[str]:
    import networkx as nx  # takes 0.2 s

    data = nx.DiGraph()
    data.add_node(_INPUT)
    parameters: dict[fx.Node, set[str]] = {}
    for node in graph.nodes:
        if node.op == "placeholder" and node.name in parameter_of:
            parameters[node] = {parameter_of[node.name]}
        elif node.op == "placeholder" and node.name in inputs:
            data.add_edge(_INPUT, node)
        elif node.op == "call_function":
            _add_call(node, data, parameters)
    dominator = nx.immediate_dominators(data, _INPUT)
    inside: set[str] = set()
    for addition in [node for node in data if _joins(node, data)]:
        fork = dominator[addition]
        if fork != _INPUT and _is_floating(fork):
            between = (nx.descendants(data, fork) & nx.ancestors(data, addition)) - {fork}
            inside.update(*(parameters.get(node, set()) for node in between))
    return inside


def _add_call(node: fx.Node, data: "nx.DiGraph", parameters: dict[fx.Node, set[str]]) -> None:
    """Data flows along edges; a call on parameters alone (a transpose) hands its parameters on."""
    sources = [source for source in node.all_input_nodes if source in data]
    handed_on = [parameters[source] for source in node.all_input_nodes if source not in data and source in parameters]
    if handed_on:
        parameters[node] = set().union(*handed_on)
    data.add_edges_from((source, node) for source in sources)


def _joins(node: Any, data: "nx.DiGraph") -> bool:
    return node != _INPUT and node.target in _ADDITIONS and data.in_degree(node) == 2


def _is_floating(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()

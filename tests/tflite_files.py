"""TFLite files for the tests, by the schema that LiteRT ships."""

import numpy as np
import pytest

flatbuffers = pytest.importorskip("flatbuffers")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")


def tensor(array, quantisation=None, kind=None):
    """A constant: an array, and (scales, axis, zero points) or None; the number of another type, if it is one."""
    return np.asarray(array), quantisation, kind


def place(shape, kind="float32", quantisation=None):
    """What is computed: a tensor without content."""
    return np.empty((0, *shape), kind), quantisation, "computed"


def operator(name, inputs, outputs, options=None):
    """An operator by its name in the schema, on tensors by their names."""
    return name, inputs, outputs, options


def write_tflite(path, tensors, operators=(), inputs=(), outputs=(), signature=None):
    """Write a file of one graph.

    Args:
        path: the file.
        tensors: `tensor` or `place` by name.
        operators: in the order in which they run.
        inputs: names of tensors.
        outputs: names of tensors.
        signature: shapes with -1 for any size, by name.
    """
    model, graph, names = schema.ModelT(), schema.SubGraphT(), list(tensors)
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    graph.tensors, graph.operators, model.operatorCodes = [], [], []
    graph.inputs, graph.outputs = map(names.index, inputs), map(names.index, outputs)
    graph.inputs, graph.outputs = list(graph.inputs), list(graph.outputs)
    for name, (array, quantisation, kind) in tensors.items():
        computed, one = kind == "computed", schema.TensorT()
        one.name, one.shape = name, list(array.shape[1:] if computed else array.shape)
        one.type = getattr(schema.TensorType, str(array.dtype).upper()) if computed or kind is None else kind
        one.shapeSignature = (signature or {}).get(name)
        one.buffer = 0 if computed else len(model.buffers)
        if quantisation is not None:
            one.quantization = schema.QuantizationParametersT()
            one.quantization.scale, one.quantization.quantizedDimension, one.quantization.zeroPoint = quantisation
        if not computed:
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = np.frombuffer(array.tobytes(), np.uint8)
        graph.tensors.append(one)
    for number, (name, taken, made, options) in enumerate(operators):
        code, one = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        one.opcodeIndex, one.inputs, one.outputs = number, list(map(names.index, taken)), list(map(names.index, made))
        if options is not None:
            one.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
            one.builtinOptions = options
        model.operatorCodes.append(code)
        graph.operators.append(one)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path

"""A network of an ONNX file as a module: its weights are parameters, its forward pass is onnxruntime's."""

from pathlib import Path

from qtaml.errors import QtamlError
from qtaml.networks.file_network import FileNetwork


class OnnxNetwork(FileNetwork):
    """A network that lives in an ONNX file, to be planned, stored, read and measured like any other.

    Its parameters are the float tensors of the file (those of bfloat16 and FP8 as float32), and the tensors of codes of
    quantised layers (QDQ nodes, integer operators; of 4 or 8 bits), in units of one code, those without a sign less
    half their range. What is read is rounded to numbers that the file can hold. Scales and zero points of codes, and
    what is no weight, stay in the graph, outside the memory; the buffers of `constants` are copies of them, by which a
    stored network knows its own file.

    There are no gradients: what asks for them measures by forward passes instead. All copies share one session, which
    holds no weights; it runs on as many threads as torch had when it was built.

    Args:
        path: the file; external data must lie in its folder.

    Raises:
        StoredFileError: if the file cannot be read, is no ONNX file, or its data are not where it says.
        ModelError: if onnxruntime cannot run it, or it has weights of a type that is not run.
        QtamlError: if onnx or onnxruntime is not installed.

    Example:
        >>> network = OnnxNetwork("classifier.onnx")  # doctest: +SKIP
        >>> plan = qtaml.compensate(network, inputs, p=0.05, overhead=0.1)  # doctest: +SKIP
    """

    def __init__(self, path: str | Path) -> None:
        try:
            from qtaml.networks.onnx_reading import read_graph
        except ImportError as error:
            raise QtamlError(
                f"an ONNX network needs onnx and onnxruntime ({error}): pip install 'qtaml[onnx]'"
            ) from error
        graph, parameters = read_graph(Path(path))
        super().__init__(graph, parameters)
        # What is wrong with the file is said now.
        graph.session  # noqa: B018

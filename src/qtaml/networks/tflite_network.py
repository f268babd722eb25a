"""A network of a TFLite file as a module: its weights are parameters, its forward pass is LiteRT's."""

from pathlib import Path

from qtaml.errors import QtamlError
from qtaml.networks.file_network import FileNetwork


class TfliteNetwork(FileNetwork):
    """A network that lives in a TFLite file, to be planned, stored, read and measured like any other.

    Its parameters are the float tensors of the file, and the codes of quantised layers, INT8, UINT8 or INT4, in units
    of one code (of UINT8 less half their range). What is read of codes is rounded to whole ones, as the file holds
    them. Scales, zero points and biases of whole numbers stay in the file, outside the memory; the buffers of
    `constants` are copies of them, by which a stored network knows its own file.

    There are no gradients: what asks for them measures by forward passes instead. LiteRT takes no weights as inputs, so
    each read makes an interpreter of its own, without delegates. Inputs and outputs that are codes in the file are
    floats here.

    Args:
        path: the file.

    Raises:
        StoredFileError: if the file cannot be read, or is damaged.
        ModelError: if LiteRT cannot run it, or it has weights of a type that is not run.
        QtamlError: if tflite or ai-edge-litert is not installed.

    Example:
        >>> network = TfliteNetwork("classifier.tflite")  # doctest: +SKIP
        >>> plan = qtaml.compensate(network, inputs, p=0.05, overhead=0.1)  # doctest: +SKIP
    """

    def __init__(self, path: str | Path) -> None:
        try:
            from qtaml.networks.tflite_graph import read_graph
        except ImportError as error:
            raise QtamlError(
                f"a TFLite network needs tflite and ai-edge-litert ({error}): pip install 'qtaml[tflite]'"
            ) from error
        graph, parameters = read_graph(Path(path))
        super().__init__(graph, parameters)
        # What is wrong with the file is said now.
        graph.inputs  # noqa: B018

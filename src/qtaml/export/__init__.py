"""A stored network in the files of other programs. Nothing here plans or measures."""

from qtaml.export.network_files import write_program, write_state_dict
from qtaml.export.onnx_file import write_onnx

__all__ = ["write_onnx", "write_program", "write_state_dict"]

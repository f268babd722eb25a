"""Export of a stored network to files of other programs. Nothing here plans or measures."""

from qtaml._kinds import guard_doors
from qtaml.export.images import (
    ImagePlane,
    ImageWriter,
    image_planes,
    read_binary,
    read_verilog,
    write_binary,
    write_verilog,
)
from qtaml.export.network_files import write_program, write_same_file, write_state_dict
from qtaml.export.onnx_file import write_onnx

__all__ = [
    "ImagePlane",
    "ImageWriter",
    "image_planes",
    "read_binary",
    "read_verilog",
    "write_binary",
    "write_onnx",
    "write_program",
    "write_same_file",
    "write_state_dict",
    "write_verilog",
]

guard_doors(__name__)

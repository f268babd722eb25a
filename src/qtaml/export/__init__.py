"""A stored network in the files of other programs. Nothing here plans or measures."""

from qtaml.export.images import ImagePlane, image_planes, read_binary, read_verilog, write_binary, write_verilog

__all__ = ["ImagePlane", "image_planes", "read_binary", "read_verilog", "write_binary", "write_verilog"]

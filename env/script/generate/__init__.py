"""Training scripts in PyTorch and Keras, written from programs in the styles that people use."""

from netmend.env.script.generate.programs import FAULTS, Case, draw_case, problems, shown, torch_bases
from netmend.env.script.generate.script import Script, write_script
from netmend.env.script.generate.style import Style, draw_style, in_style

__all__ = [
    "FAULTS",
    "Case",
    "Script",
    "Style",
    "draw_case",
    "draw_style",
    "in_style",
    "problems",
    "shown",
    "torch_bases",
    "write_script",
]

"""What import statements bind. The Keras of TensorFlow is Keras: both have the same names."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def of_keras(dotted: str) -> str:
    """A dotted name, that of Keras where it is one of ``tensorflow.keras``."""
    return dotted.removeprefix("tensorflow.") if dotted.startswith("tensorflow.keras") else dotted


def bound(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """Each name that an import binds and the dotted name that it stands for; of TensorFlow also its Keras."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            full = f"{node.module or ''}.{alias.name}".lstrip(".")
            yield alias.asname or alias.name, of_keras(full)
            continue
        full = alias.name if alias.asname else alias.name.partition(".")[0]
        name = alias.asname or full
        yield name, of_keras(full)
        if full == "tensorflow":
            yield f"{name}.keras", "keras"

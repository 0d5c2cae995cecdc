"""The name under which a model takes the labels."""

from __future__ import annotations

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor
from netmend.env.script.rules.reading import facts
from netmend.env.script.source import EditRefused
from netmend.env.script.unnamed import UNNAMED


def write_named(editor: Editor, _change: SourceChange) -> None:
    """``"labels"`` for the key that the labels of the rows have."""
    sites = [one.site for one in facts(editor.record, UNNAMED) if one.site is not None]
    for site in sites:
        editor.draft(site.file).put(editor.project.file(site.file).node(site), '"labels"')
    if not sites:
        raise EditRefused("no key of the rows is known to be that of the labels")

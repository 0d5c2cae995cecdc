"""``netmend report``: one page, or pictures for a paper, from the repairs of runs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from netmend.agents.verbs.ended import Ended
from netmend.agents.verbs.words import VerbParser
from netmend.env.errors import NetmendError
from netmend.env.writing import from_here

FORMATS = ("html", "pdf", "png", "svg")
NEEDED = ("altair", "vl_convert", "jinja2")
PAGE, PICTURES = "report.html", "report-{form}"
"""What is written into the folder of the first run where no other place is named."""


def report_verb(words: Sequence[str]) -> Ended:
    """Run the verb.

    Raises:
        NetmendError: what it needs is not installed, or a run keeps no repairs.
    """
    chosen = make_parser().parse_args(words)
    if not all(map(find_spec, NEEDED)):
        raise NetmendError("report needs packages that are not installed: pip install 'netmend[report]'")
    from netmend.agents.report.runs import panels, read_runs

    folders = [Path(name) for name in chosen.runs]
    runs = read_runs(folders)
    if not panels(runs):
        raise NetmendError(f"{', '.join(chosen.runs)}: no repairs to show")
    if chosen.format == "html":
        from netmend.agents.report.page import write_page

        path = Path(chosen.out or folders[0] / PAGE)
        count = write_page(runs, path)
        print(f"{count:,} repairs  {from_here(path)}")
        return Ended(answer={"repairs": count, "files": [path]}, then=f"open {from_here(path)} in a browser")
    from netmend.agents.report.charts import figures, learning, save

    folder = Path(chosen.out or folders[0] / PICTURES.format(form=chosen.format))
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [*learning(runs), *(one for n, panel in enumerate(panels(runs), 1) for one in figures(panel, n))]
    files = [save(figure, folder, chosen.format) for figure in drawn]
    print(*map(from_here, files), sep="\n")
    return Ended(answer={"files": files})


def make_parser() -> VerbParser:
    """What ``netmend report`` takes."""
    parser = VerbParser(
        prog="netmend report",
        description="One page, which opens from disk: what runs of train, evaluate and repair came to.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--format", choices=FORMATS, default="html", help="html: the page; else each picture as a file"
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="file of the page, or folder of the pictures (default: in the first RUN)",
    )
    return parser

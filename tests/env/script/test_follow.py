"""A value is followed to where it is written."""

from __future__ import annotations

import ast

import pytest

from netmend.env.script.follow import Place, argument, definition, is_written_out, origin
from netmend.env.script.source import Project


def _used(project: Project, file: str = "train.py") -> Place:
    """The only argument of the call of ``use`` in a file."""
    source = project.file(file)
    call = next(
        n
        for n in ast.walk(source.tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "use"
    )
    return Place(source, call.args[0])


def _written(text: str, **others: str) -> str:
    project = Project({"train.py": text} | {f"{name}.py": other for name, other in others.items()})
    found = origin(project, _used(project))
    return found.file.text_of(found.node)


@pytest.mark.parametrize(
    "text",
    [
        "use(0.5)\n",
        "lr = 0.5\nuse(lr)\n",
        "lr: float = 0.5\nuse(lr)\n",
        "a, lr = 1, 0.5\nuse(lr)\n",
        "LR = 0.5\ndef main():\n    lr = LR\n    use(lr)\nmain()\n",
        "def main(lr):\n    use(lr)\nmain(0.5)\n",
        "def main(a, *, lr=0.5):\n    use(lr)\nmain(1)\n",
        "def main(a, lr=0.1):\n    use(lr)\nmain(1, lr=0.5)\n",
        "class A:\n    def __init__(self, r):\n        self.lr = r\n        use(self.lr)\nA(0.5)\n",
        "class Net:\n    lr = 0.5\n    def go(self):\n        use(self.lr)\n",
        "class Net:\n    @staticmethod\n    def go(lr):\n        use(lr)\nNet.go(0.5)\n",
        "parser.add_argument('--rate', '-r', default=0.5)\nargs = parser.parse_args()\nuse(args.rate)\n",
        "parser.add_argument('--learning-rate', default=0.5)\nuse(parser.parse_args().learning_rate)\n",
        "p.add_argument('--x', dest='lr', default=0.5)\ndef main(a):\n    use(a.lr)\nmain(p.parse_args())\n",
        "config = {'lr': 0.5}\nuse(config['lr'])\n",
        "config = dict(lr=0.5)\nuse(config['lr'])\n",
        "config = {'opt': {'lr': 0.5}}\nuse(config['opt']['lr'])\n",
        "class A:\n    def f(self, c):\n        self.c = c\n        use(self.c['lr'])\nA().f({'lr': 0.5})\n",
        "@dataclass\nclass Config:\n    lr: float = 0.5\ncfg = Config()\nuse(cfg.lr)\n",
        "@dataclass\nclass Config:\n    lr: float = 0.1\ncfg = Config(lr=0.5)\nuse(cfg.lr)\n",
        "@dataclass\nclass Config:\n    a: int = 1\n    lr: float = 0.1\ncfg = Config(2, 0.5)\nuse(cfg.lr)\n",
        "class Config:\n    lr = 0.5\nuse(Config.lr)\n",
        "cfg = SimpleNamespace(lr=0.5)\nuse(cfg.lr)\n",
    ],
)
def test_a_value_is_followed_to_its_literal(text: str) -> None:
    assert _written(text) == "0.5"


@pytest.mark.parametrize(
    "text",
    [
        "import settings\nuse(settings.LR)\n",
        "import settings as s\nuse(s.LR)\n",
        "from settings import LR\nuse(LR)\n",
        "from settings import LR as rate\nuse(rate)\n",
        "from . import settings\nuse(settings.LR)\n",
        "from .settings import LR\nuse(LR)\n",
        "def f():\n    from settings import LR\n    use(LR)\n",
    ],
)
def test_a_value_is_followed_into_another_file(text: str) -> None:
    assert _written(text, settings="LR = 0.5\n") == "0.5"


def test_a_parameter_is_followed_to_a_call_in_another_file() -> None:
    project = Project(
        {
            "model.py": "def make(width=8):\n    use(width)\n",
            "train.py": "from model import make\nmake(width=64)\n",
        }
    )
    found = origin(project, _used(project, "model.py"))
    assert (found.file.path, found.file.text_of(found.node)) == ("train.py", "64")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("lr = 0.1\nlr = 0.5\nuse(lr)\n", "lr"),
        ("lr = 0.1\nlr += 0.5\nuse(lr)\n", "lr"),
        ("for lr in (0.1, 0.5):\n    use(lr)\n", "lr"),
        ("lr = 0.5\ndef f():\n    global lr\n    lr = 1\nuse(lr)\n", "lr"),
        ("def main(lr):\n    use(lr)\nmain(0.1)\nmain(0.5)\n", "lr"),
        ("def main(lr=0.5):\n    use(lr)\nmain(**config)\n", "lr"),
        ("lr = base * 2\nuse(lr)\n", "base * 2"),
        ("config = {'lr': 0.5}\nconfig['lr'] = 1\nuse(config['lr'])\n", "config['lr']"),
        ("config = {**other, 'lr': 0.5}\nuse(config['lr'])\n", "config['lr']"),
        ("a = b.x\nb = a.x\nuse(a.x)\n", "a.x"),
        ("use(undefined)\n", "undefined"),
    ],
)
def test_what_is_computed_or_written_twice_is_followed_no_further(text: str, left: str) -> None:
    assert _written(text) == left


def test_a_hop_knows_all_who_read_the_definition() -> None:
    text = "H = 8\ndef f(H):\n    g(H)\ndef h():\n    g(H)\nuse(H)\n"
    project = Project({"train.py": text, "other.py": "from train import H\nprint(H)\n"})
    hop = definition(project, _used(project))
    assert hop is not None
    assert sorted(use.lineno for use in hop.uses) == [2, 5, 6]


@pytest.mark.parametrize(
    ("text", "is_so"),
    [("1e-3", True), ("-1", True), ("32 * 7 * 7", True), ("(1, 2)", True), ("2 * x", False)],
)
def test_what_is_made_of_constants_is_written_out(text: str, is_so: bool) -> None:
    assert is_written_out(ast.parse(text, mode="eval").body) is is_so


def test_an_argument_behind_a_spread_list_is_not_known() -> None:
    call = ast.parse("f(*a, 1)", mode="eval").body
    assert isinstance(call, ast.Call)
    assert argument(call, "x", 1) is None

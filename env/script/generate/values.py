"""Where a script keeps its rate, its epochs and its batch size."""

from __future__ import annotations

from dataclasses import dataclass, field

from netmend.env.script.generate.style import Settings


@dataclass(frozen=True)
class Values:
    """Settings as source.

    Attributes:
        lr, epochs, batch_size: the expressions by which the script reads them.
        top: statements at the top of the script.
        start: statements at the start of its main part.
        files: modules of their own, by file name.
    """

    lr: str
    epochs: str
    batch_size: str
    top: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)


def write_values(form: Settings, lr: float, epochs: int, batch_size: int) -> Values:
    """The three settings in a form."""
    plain = (f"{lr:g}", str(epochs), str(batch_size))
    constants = tuple(f"{name} = {v}" for name, v in zip(("LR", "EPOCHS", "BATCH_SIZE"), plain, strict=True))
    if form == "literals":
        return Values(*plain)
    if form == "constants":
        return Values("LR", "EPOCHS", "BATCH_SIZE", top=constants)
    if form == "module":
        text = "\n".join(('"""Settings."""', *constants, ""))
        return Values(
            "settings.LR",
            "settings.EPOCHS",
            "settings.BATCH_SIZE",
            files={"settings.py": text},
        )
    if form == "dict":
        lines = (f'    "lr": {plain[0]},', f'    "epochs": {plain[1]},', f'    "batch_size": {plain[2]},')
        top = ("config = {", *lines, "}")
        return Values('config["lr"]', 'config["epochs"]', 'config["batch_size"]', top=top)
    if form == "dataclass":
        fields = (f"    lr: float = {plain[0]}", f"    epochs: int = {plain[1]}")
        top = ("@dataclass", "class Config:", *fields, f"    batch_size: int = {plain[2]}")
        return Values("cfg.lr", "cfg.epochs", "cfg.batch_size", top=top, start=("cfg = Config()",))
    start = (
        "parser = argparse.ArgumentParser()",
        f'parser.add_argument("--lr", type=float, default={plain[0]}, help="learning rate")',
        f'parser.add_argument("--epochs", type=int, default={plain[1]})',
        f'parser.add_argument("--batch-size", type=int, default={plain[2]})',
        "args = parser.parse_args()",
    )
    return Values("args.lr", "args.epochs", "args.batch_size", start=start)

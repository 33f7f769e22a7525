"""What a chain or a peer says is shown, and does nothing else."""

import io

from rich.console import Console

from wellhead.cli import render


def drawn(text: str) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(render.facts([("class", text)]))
    console.print(render.table(["class"], [[text]]))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_markup_is_text() -> None:
    assert drawn("[/b][red]x").count("[/b][red]x") == 2


def test_escapes_move_no_cursor() -> None:
    shown = drawn("a\x1b[31mb\r")
    assert "\x1b" not in shown
    assert shown.count("a\\x1b[31mb\\x0d") == 2

"""The two streams of a command: results on stdout, messages on stderr."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from dltool.run_files import encode_json
from dltool.text import printable

UNLIMITED = 10_000


def stdout_console() -> Console:
    """A console for results. Where there is no terminal, nothing is wrapped or cut."""
    return Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else UNLIMITED)


def stderr_console() -> Console:
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def show_json(value: Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    write_json_text(encode_json(value, indent=2))


def write_json_text(text: str) -> None:
    """JSON on stdout; characters that its encoding lacks as JSON's own escapes."""
    if sys.stdout.encoding.lower().replace("-", "") != "utf8":
        text = "".join(character if character.isascii() else json.dumps(character)[1:-1] for character in text)
    sys.stdout.write(text + "\n")


def data_text(text: Any, style: str = "") -> Text:
    """Text from data: never read as markup, never able to steer the terminal."""
    return Text(printable(str(text)), style)

"""The two streams of a command: results on stdout, messages on stderr."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from dltool.runs.files import encode_json
from dltool.text import printable

UNLIMITED = 10_000


class StreamConsole(Console):
    def next_step(self, step: str) -> None:
        """Print the next step on one line, so that it can be copied."""
        self.print(data_text(f"next  {step}"), style="dim", soft_wrap=True)


def stdout_console() -> StreamConsole:
    """Return a console for results. Without a terminal, nothing is wrapped or cut."""
    return StreamConsole(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else UNLIMITED)


def stderr_console() -> StreamConsole:
    return StreamConsole(file=sys.stderr, highlight=False, soft_wrap=True)


def show_json(value: Mapping[str, Any]) -> None:
    write_json_text(encode_json(value, indent=2))


def write_json_text(text: str) -> None:
    """Write JSON to stdout; characters that its encoding lacks become JSON escapes."""
    if sys.stdout.encoding.lower().replace("-", "") != "utf8":
        text = "".join(character if character.isascii() else json.dumps(character)[1:-1] for character in text)
    sys.stdout.write(text + "\n")


def data_text(text: Any, style: str = "") -> Text:
    """Return text from data: never markup, and without control characters."""
    return Text(printable(str(text)), style)

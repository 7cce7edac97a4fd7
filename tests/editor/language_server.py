"""A client of yaml-language-server, the server behind YAML in most editors, over standard input and output."""

import json
import queue
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CURSOR = "█"
"""Marks the cursor in the text of a document."""
SECONDS = 60
SETTINGS = {
    # The store of public schemas is on the network.
    "yaml": {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}},
    "http": {"proxy": "", "proxyStrictSSL": True},
}
CAPABILITIES = {
    "textDocument": {
        "completion": {"completionItem": {"documentationFormat": ["markdown"], "snippetSupport": True}},
        "publishDiagnostics": {"relatedInformation": True},
        "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix"]}}},
    },
    "workspace": {"configuration": True, "workspaceFolders": True},
}

Message = dict[str, Any]


class LanguageServer:
    """The server, started in `folder`, for which documents are files of that folder. Use it in a `with` statement.

    Raises:
        TimeoutError: the server did not answer within `SECONDS`.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*command, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.messages: queue.Queue[Message] = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.requests = 0
        self.opened = 0

    def __enter__(self) -> Self:
        uri = self.folder.as_uri()
        folders = [{"uri": uri, "name": "folder"}]
        self.request(
            "initialize",
            {"processId": None, "rootUri": uri, "workspaceFolders": folders, "capabilities": CAPABILITIES},
        )
        self.notify("initialized", {})
        self.notify("workspace/didChangeConfiguration", {"settings": SETTINGS})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()

    def read(self) -> None:
        """Put every message of the server into the queue."""
        stream = self.process.stdout
        assert stream is not None
        while header := stream.readline():
            length = int(header.removeprefix(b"Content-Length:"))
            while stream.readline().strip():
                pass
            self.messages.put(json.loads(stream.read(length)))

    def send(self, message: Message) -> None:
        stream = self.process.stdin
        assert stream is not None
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        stream.flush()

    def notify(self, method: str, params: Any) -> None:
        self.send({"method": method, "params": params})

    def request(self, method: str, params: Any) -> Any:
        """Return the server's answer."""
        self.requests += 1
        number = self.requests
        self.send({"id": number, "method": method, "params": params})
        message = self.wait_for(lambda message: message.get("id") == number and "method" not in message)
        assert "error" not in message, message
        return message["result"]

    def wait_for(self, is_it: Any) -> Message:
        """Return the first message for which `is_it` is true, and answer what the server asks meanwhile."""
        while True:
            try:
                message = self.messages.get(timeout=SECONDS)
            except queue.Empty:
                raise TimeoutError(f"yaml-language-server said nothing for {SECONDS} seconds") from None
            if "id" in message and "method" in message:
                self.send({"id": message["id"], "result": self.answer(message)})
            if is_it(message):
                return message

    def answer(self, message: Message) -> Any:
        if message["method"] == "workspace/configuration":
            return [SETTINGS.get(item.get("section")) for item in message["params"]["items"]]
        return None

    def open(self, text: str) -> str:
        """Open a new document, and return its URI."""
        self.opened += 1
        uri = (self.folder / f"config-{self.opened}.yaml").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})
        return uri

    def at_cursor(self, method: str, text: str) -> Any:
        """Return the answer to a request about the place of `CURSOR` in `text`."""
        before, _, after = text.partition(CURSOR)
        position = {"line": before.count("\n"), "character": len(before) - (before.rfind("\n") + 1)}
        uri = self.open(before + after)
        return self.request(method, {"textDocument": {"uri": uri}, "position": position})

    def completions(self, text: str) -> list[Message]:
        """Return what is offered at the cursor."""
        items: list[Message] = self.at_cursor("textDocument/completion", text)["items"]
        return items

    def hover(self, text: str) -> str:
        """Return the text shown for what is at the cursor; nothing if there is none."""
        answer = self.at_cursor("textDocument/hover", text)
        return str(answer["contents"]["value"]) if answer else ""

    def diagnostics(self, text: str) -> list[Message]:
        """Return what is wrong with a document."""
        uri = self.open(text)
        message = self.wait_for(
            lambda message: (
                message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri
            )
        )
        found: list[Message] = message["params"]["diagnostics"]
        return found

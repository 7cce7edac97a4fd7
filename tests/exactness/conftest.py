"""Runs of `dltool` in forked children, and the run that was never interrupted to compare with."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.exactness.configs import EPOCHS, write_config
from tests.exactness.essence import essence

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a child ended: a code below 0 is a signal's number. `seconds` since it was waited for."""

    code: int
    output: str


class Server:
    """See :mod:`tests.exactness.fork_server`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.numbers, self.turn = folder, itertools.count(), threading.Lock()
        # Of this working tree, wherever an installed dltool may come from.
        places = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": places, "COLUMNS": "100", "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.exactness.fork_server"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, request: dict[str, Any]) -> dict[str, int]:
        assert self.process.stdin
        assert self.process.stdout
        with self.turn:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer: dict[str, int] = json.loads(self.process.stdout.readline())
        return answer

    def start(
        self, *arguments: str | Path, hook: str | None = None, settings: Mapping[str, Any] | None = None, **options: Any
    ) -> "Child":
        """`options` are the hook's."""
        output = self.folder / f"output-{next(self.numbers)}"
        request: dict[str, Any] = {"arguments": list(map(str, arguments)), "output": str(output)}
        request |= {"settings": dict(settings or {}), "hook": hook, "options": options}
        return Child(self, self.ask(request)["pid"], output)

    def run(self, *arguments: str | Path, **options: Any) -> Ended:
        return self.start(*arguments, **options).wait()

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)


@dataclass(frozen=True)
class Child:
    server: Server
    pid: int
    output: Path

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = 120) -> Ended:
        """Its end; a child that takes longer is killed."""
        give_up = time.monotonic() + seconds
        while "code" not in (answer := self.server.ask({"ended": self.pid})):
            if time.monotonic() > give_up:
                self.send(signal.SIGKILL)
            time.sleep(0.02)
        return Ended(answer["code"], self.output.read_text(errors="replace") if self.output.exists() else "")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("output"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def straight(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """What matters of a run that was never interrupted."""
    known: dict[tuple[str, int], dict[str, Any]] = {}

    def find(kind: str, epochs: int = EPOCHS) -> dict[str, Any]:
        if (kind, epochs) not in known:
            folder = tmp_path_factory.mktemp("straight")
            ended = server.run("train", write_config(folder, kind, epochs=epochs), "--runs", folder)
            assert ended.code == 0, ended.output
            known[kind, epochs] = essence(folder / kind / "0001")
            shutil.rmtree(folder)
        return known[kind, epochs]

    return find

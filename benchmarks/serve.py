# ruff: noqa: T201 (a program that prints)
"""Serving a table: `dltool serve` against a server as one writes it, with FastAPI, a DataFrame and `model.predict`.

    python -m benchmarks serve [--times 3]      processor time a request, at 1 and at 32 clients
    python -m benchmarks serve --minutes 30     memory and errors of dltool under a steady load

All requests go to this machine.
"""

import argparse
import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import run, show_table, spread

SCRIPT = Path(__file__).parent / "scripts" / "plain_server.py"
CLIENTS = {1: 200, 32: 20}
"""Requests of each client, by the number of clients."""
STEADY = 4
"""Clients of the steady load."""
HEADERS = {"content-type": "application/json"}
ROW = {
    "pclass": "3",
    "sex": "male",
    "age": 22.0,
    "sibsp": 1.0,
    "parch": 0.0,
    "fare": 7.25,
    "embarked": "S",
    "who": "man",
    "deck": None,
    "town": "Southampton",
    "relatives": 1.0,
    "ticket": 5.0,
    "title": "Mr",
}
"""13 columns, as many as the Titanic table has."""
CONFIG = """\
name: passengers
seed: 1
data:
  source: {csv: passengers.csv}
  target: {survived: category}
  inputs: {pclass: category, deck: category}
  split: {validation: 0.15, test: 0.2}
model:
  layers:
    - Dense: {units: 32, activation: relu}
    - Dense: {units: 1, activation: sigmoid}
training: {optimizer: adam, loss: binary_crossentropy, metrics: [accuracy], epochs: 2}
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks serve", description="Serving a table.")
    parser.add_argument("--times", type=int, default=3, help="how often each server is asked (3)")
    parser.add_argument("--minutes", type=float, default=0.0, help="a steady load of so many minutes instead")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second of the steady load (50)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "passengers.csv").write_text(table())
        (folder / "config.yaml").write_text(CONFIG)
        run([sys.executable, "-m", "dltool", "train", "config.yaml", "--quiet"], folder)
        if options.minutes:
            steady(folder, options.minutes, options.rate)
        else:
            compared(folder, options.times)


def table() -> str:
    draw = random.Random(1)
    lines = [",".join([*ROW, "survived"])]
    for _ in range(891):
        age = "" if draw.random() < 0.2 else f"{draw.uniform(0.5, 74):.1f}"
        deck = draw.choice(["", "A", "B", "C", "D", "E"])
        sex = draw.choice(["male", "female"])
        survived = int(draw.random() < (0.75 if sex == "female" else 0.2))
        cells = [
            draw.choice("123"),
            sex,
            age,
            draw.choice("0123"),
            draw.choice("012"),
            f"{draw.expovariate(1 / 30):.2f}",
        ]
        cells += [
            draw.choice("SCQ"),
            draw.choice(["man", "woman", "child"]),
            deck,
            draw.choice(["Southampton", "Cork"]),
        ]
        lines.append(
            ",".join([*cells, draw.choice("0123"), draw.choice("0123456789"), draw.choice(["Mr", "Ms"]), str(survived)])
        )
    return "\n".join(lines) + "\n"


@contextmanager
def server(folder: Path, command: Sequence[str], port: int) -> Iterator[int]:
    """The process of a server that answers."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    nothing = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=nothing, stderr=nothing) as process:
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    ask(http.client.HTTPConnection("127.0.0.1", port))
                    break
                except ConnectionRefusedError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        sys.exit(f"{' '.join(command)} does not answer")
                    time.sleep(0.2)
            yield process.pid
        finally:
            process.terminate()


def ask(connection: http.client.HTTPConnection) -> int:
    connection.request("POST", "/predict", json.dumps({"rows": [ROW]}), HEADERS)
    response = connection.getresponse()
    response.read()
    return response.status


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def load(port: int, clients: int, requests: int) -> None:
    """Ask from so many threads, each on a connection of its own."""

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for _ in range(requests):
            if (status := ask(connection)) != 200:
                print(f"status {status}", file=sys.stderr)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def compared(folder: Path, times: int) -> None:
    """Both servers run all the time; they are asked in turn."""
    run_folder = next((folder / "runs").rglob("model.keras")).parent
    ports = [free_port(), free_port()]
    serve = [sys.executable, "-m", "dltool", "serve", str(run_folder), "--port", str(ports[0])]
    plain = [sys.executable, str(SCRIPT), str(run_folder / "model.keras"), str(ports[1])]
    spent: dict[tuple[str, int], list[float]] = {}
    with server(folder, serve, ports[0]) as ours, server(folder, plain, ports[1]) as theirs:
        for _ in range(times):
            for clients, requests in CLIENTS.items():
                for name, pid, port in (("dltool serve", ours, ports[0]), ("by hand", theirs, ports[1])):
                    load(port, clients, 3)
                    began = processor_seconds(pid)
                    load(port, clients, requests)
                    each = (processor_seconds(pid) - began) / (clients * requests)
                    spent.setdefault((name, clients), []).append(1000 * each)
    names = dict.fromkeys(name for name, _ in spent)
    rows = {name: [spread(spent[name, clients], 2) for clients in CLIENTS] for name in names}
    show_table("milliseconds of processor time a request", rows, ["", *(f"clients: {clients}" for clients in CLIENTS)])
    for clients in CLIENTS:
        pairs = zip(spent["dltool serve", clients], spent["by hand", clients], strict=True)
        print(f"clients: {clients}, ratio 1 / {statistics.median(hand / own for own, hand in pairs):.0f}")


def steady(folder: Path, minutes: float, rate: float) -> None:
    run_folder = next((folder / "runs").rglob("model.keras")).parent
    port = free_port()
    command = [sys.executable, "-m", "dltool", "serve", str(run_folder), "--port", str(port)]
    with server(folder, command, port) as pid:
        seen = Counter[str]()
        began = time.monotonic()

        def client() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            while time.monotonic() - began < 60 * minutes:
                try:
                    seen[str(ask(connection))] += 1
                except (OSError, http.client.HTTPException) as error:
                    seen[type(error).__name__] += 1
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                time.sleep(STEADY / rate)

        threads = [threading.Thread(target=client) for _ in range(STEADY)]
        for thread in threads:
            thread.start()
        while time.monotonic() - began < 60 * minutes:
            print(
                f"minute {(time.monotonic() - began) / 60:4.1f}: {resident_megabytes(pid):.1f} MB, {dict(seen)}",
                flush=True,
            )
            time.sleep(min(60.0, 60 * minutes / 5))
        for thread in threads:
            thread.join()
        print(f"at the end: {resident_megabytes(pid):.1f} MB, {dict(seen)}")

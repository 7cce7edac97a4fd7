"""A server as a process: it loses no request, replaces what dies, follows the newest run; other programs know it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from tests.serving.conftest import ROW, TABLE, flowers, trained

pytestmark = pytest.mark.slow
BODY = json.dumps({"rows": [ROW]}).encode()
JSON = {"content-type": "application/json"}


@contextmanager
def server(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Yield the process of a server and its port."""
    command = [sys.executable, "-m", "dltool", "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline().rpartition(":")[2])
        finally:
            process.terminate()


def ask(port: int, method: str = "POST", path: str = "/predict", body: bytes = BODY) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, JSON)
    response = connection.getresponse()
    return response.status, response.read()


class Load:
    """Clients that ask without pause, some on one connection, others on a new one each time, until nobody listens."""

    def __init__(self, port: int, clients: int = 16) -> None:
        self.port, self.seen = port, Counter[str]()
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number % 2 == 0,)) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, keeps: bool) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self.stopped.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                    connection.connect()
            except ConnectionRefusedError:
                return
            try:
                connection.request("POST", "/predict", BODY, JSON)
                response = connection.getresponse()
                response.read()
                self.seen[str(response.status)] += 1
                if not keeps or response.getheader("connection") == "close":
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                self.seen[type(error).__name__] += 1
                connection = None

    def end(self) -> Counter[str]:
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        return self.seen


@pytest.mark.parametrize("workers", [1, 2])
def test_no_accepted_request_is_lost_when_the_server_is_told_to_end(table_run: Path, workers: int) -> None:
    for _ in range(20 if workers == 1 else 3):
        with server(table_run, "--workers", str(workers)) as (process, port):
            load = Load(port)
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert set(load.end()) == {"200"}


def test_a_worker_that_is_killed_is_replaced_and_the_others_answer(table_run: Path) -> None:
    with server(table_run, "--workers", "2") as (process, port):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        time.sleep(8)
        before = set(children.read_text().split())
        workers = [pid for pid in before if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(workers) == 2
        os.kill(int(workers[0]), signal.SIGKILL)
        statuses = [ask(port)[0] for _ in range(20)]
        assert set(statuses) == {200}
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not set(children.read_text().split()) - before:
            time.sleep(0.2)
        assert set(children.read_text().split()) - before
        process.terminate()
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert f"process {workers[0]} ended with -9; another one begins" in process.stderr.read()


def test_workers_end_when_the_process_that_watches_over_them_is_killed(table_run: Path) -> None:
    with server(table_run, "--workers", "2") as (process, port):
        assert ask(port)[0] == 200
        process.kill()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            time.sleep(0.2)
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                return
        raise AssertionError("the workers still listen")


def test_workers_that_are_told_to_end_before_they_have_begun_have_not_failed(table_run: Path) -> None:
    command = [sys.executable, "-m", "dltool", "serve", str(table_run), "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while b"spawn_main" not in b"".join(
            Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children.read_text().split()
        ):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_the_server_follows_to_the_newest_run_and_refuses_another_interface(tmp_path: Path) -> None:
    flowers(tmp_path)
    trained(tmp_path, TABLE, "flowers")
    with server(tmp_path / "runs" / "flowers", "--follow") as (process, port):
        first = ask(port)[1]
        trained(tmp_path, TABLE.replace("epochs: 1", "epochs: 3"), "flowers")
        wait_for(port, "0002")
        assert ask(port)[1] != first
        trained(tmp_path, TABLE.replace("    age: number", "    age: ignore"), "flowers")
        time.sleep(5)
        assert json.loads(ask(port, "GET", "/health")[1])["models"] == {"flowers": "0002"}
        process.terminate()
        process.wait(30)
        assert process.stderr is not None
        assert "0003 takes or gives something else than" in process.stderr.read()


def wait_for(port: int, version: str) -> None:
    deadline = time.monotonic() + 30
    while json.loads(ask(port, "GET", "/health")[1])["models"] != {"flowers": version}:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_triton_s_client_reads_and_asks_with_json_and_binary_tensors(table_run: Path) -> None:
    http_client = pytest.importorskip("tritonclient.http")
    with server(table_run) as (_, port):
        client = http_client.InferenceServerClient(f"127.0.0.1:{port}")
        assert client.is_server_live()
        assert client.is_model_ready("flowers")
        values = {"place": b"north", "colour": b"red", "seen": 1769817600, "wild": 1, "size": 1.5, "age": 3}
        found = []
        for is_binary in (False, True):
            inputs = []
            for each in client.get_model_metadata("flowers")["inputs"]:
                tensor = http_client.InferInput(each["name"], [3], each["datatype"])
                dtype = {"BYTES": object, "INT64": np.int64, "FP32": np.float32}[each["datatype"]]
                tensor.set_data_from_numpy(np.full(3, values[each["name"]], dtype), binary_data=is_binary)
                inputs.append(tensor)
            outputs = [http_client.InferRequestedOutput("output", binary_data=is_binary)]
            found.append(client.infer("flowers", inputs, outputs=outputs).as_numpy("output"))
        said = json.loads(ask(port)[1])["predictions"][0]
        for output in found:
            assert output == pytest.approx(
                np.tile([said["probability of a"], said["probability of b"]], (3, 1)), abs=1e-6
            )


def test_requests_made_from_the_document_never_fail_the_server(table_run: Path, picture_run: Path) -> None:
    pytest.importorskip("schemathesis")
    with server(table_run, picture_run) as (_, port):
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"http://127.0.0.1:{port}/openapi.json"]
        options = ["--checks", "not_a_server_error", "--max-examples", "40", "--seed", "1", "--no-color"]
        found = subprocess.run([*command, *options], capture_output=True, text=True, timeout=500)
        assert found.returncode == 0, found.stdout[-3000:]
        assert ask(port, path="/models/flowers/predict")[0] == 200


def test_models_that_were_trained_with_different_numbers_of_threads_are_served_together(
    table_run: Path, picture_run: Path, tmp_path: Path
) -> None:
    other = copytree(picture_run, tmp_path / "0001")
    record = json.loads((other / "run.json").read_text())
    record["pinned"]["intra_op_threads"] += 1
    (other / "run.json").write_text(json.dumps(record))
    with server(table_run, other) as (_, port):
        assert ask(port, path="/models/flowers/predict")[0] == 200
        body = json.dumps({"rows": [[[0] * 8] * 8]}).encode()
        assert ask(port, path="/models/pictures/predict", body=body)[0] == 200
        assert ask(port, path="/models/pictures/predict/explain", body=body)[0] == 200


def test_clients_that_send_slowly_or_never_end_do_not_stop_the_server(table_run: Path) -> None:
    with server(table_run, "--timeout", "2") as (_, port):
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        for number, each in enumerate(slow):
            each.sendall(
                b"POST /predict HTTP/1.1\r\nHost: x\r\n" + (b"Content-Length: 99\r\n\r\n{" if number % 2 else b"")
            )
        assert [ask(port)[0] for _ in range(5)] == [200] * 5
        slow[1].settimeout(10)
        assert slow[1].recv(100).startswith(b"HTTP/1.1 408")
        # A head that does not end is no request: there is nothing to answer.
        slow[0].settimeout(10)
        assert slow[0].recv(100) == b""


def test_a_port_in_use_is_said_so(table_run: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "dltool", "serve", str(table_run), "--port", port]
        found = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert found.returncode == 5
    assert f"cannot listen at 127.0.0.1:{port}" in found.stderr

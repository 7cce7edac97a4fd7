"""A disk that fails, a process that dies and a power that fails at every single operation of a short run."""

import errno
import json
import os
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import pytest
from tests.exactness.configs import write_short_config
from tests.exactness.conftest import Server
from tests.exactness.essence import essence

from dltool.errors import RunError
from dltool.runs.checkpoint_file import newest_checkpoint

pytestmark = pytest.mark.slow
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)


@pytest.fixture(scope="module")
def short(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str]]:
    """What matters of the short run, and its disk operations."""
    folder = tmp_path_factory.mktemp("short")
    (folder / "runs").mkdir()
    command = ("train", write_short_config(folder), "--runs", folder / "runs")
    options = {"root": str(folder / "runs"), "out": str(folder / "operations")}
    ended = server.run(*command, hook="counted_operations", **options)
    assert ended.code == 0, ended.output
    return essence(folder / "runs" / "short" / "0001"), (folder / "operations").read_text().splitlines()


def check_checkpoints(run: Path, promised: int = -1) -> int:
    """The newest whole checkpoint's step. What it says of the best weights is true."""
    try:
        checkpoint, _ = newest_checkpoint(run / "checkpoints")
    except RunError:
        assert promised < 0
        return -1
    assert checkpoint.step >= promised, f"checkpoint {promised} is lost"
    if checkpoint.state["best"]["epoch"]:
        assert any(name.startswith("best/") for name, _ in checkpoint.arrays)
        best = run / "checkpoints" / "best.weights.h5"
        # Which is written at most once a second, and in a resumed run from the checkpoint.
        if best.exists():
            with h5py.File(best) as file:
                assert len(file)
    return checkpoint.step


def check_files(run: Path) -> str:
    """Whole, or not there. Gives the run's status."""
    for file in run.glob("[a-z]*.json"):
        json.loads(file.read_bytes())
    for line in (run / "metrics.jsonl").read_text().splitlines() if (run / "metrics.jsonl").exists() else ():
        json.loads(line)
    if (run / "model.keras").exists():
        assert zipfile.ZipFile(run / "model.keras").testzip() is None
    status = str(json.loads((run / "run.json").read_bytes())["status"])
    if status == "completed":
        assert (run / "results.json").exists()
        assert (run / "model.keras").exists()
    return status


def distinct(runs: Iterable[Path]) -> list[Path]:
    """One run of each state that a resumption could tell apart."""
    found: dict[Any, Path] = {}
    for run in runs:
        files = sorted(
            (file.relative_to(run).as_posix(), 0 if "resum" in file.name else file.stat().st_size)
            for file in run.rglob("*")
            if file.is_file() and ".tmp-" not in file.name and file.name not in ("lock", "log.txt", "run.json")
        )
        found.setdefault(
            (check_files(run), check_checkpoints(run), (run / "resolved.yaml").read_text(), str(files)), run
        )
    return list(found.values())


def all_resume(server: Server, runs: list[Path], expected: dict[str, Any]) -> None:
    def resumed(run: Path) -> str | None:
        ended = server.run("resume", run)
        return ended.output if ended.code or essence(run) != expected else None

    with ThreadPoolExecutor(2) as pool:
        wrong = {str(run): output for run, output in zip(runs, pool.map(resumed, runs), strict=True) if output}
    assert not wrong, f"{len(wrong)} of {len(runs)}: {wrong}"


def test_an_operation_that_fails_fails_the_run_and_loses_nothing(
    server: Server, short: tuple[dict[str, Any], list[str]], tmp_path: Path
):
    expected, operations = short

    def failed(number: int) -> Path | None:
        folder, code = tmp_path / f"{number:03d}", ERRORS[number % len(ERRORS)]
        (folder / "runs").mkdir(parents=True)
        command = ("train", write_short_config(folder), "--runs", folder / "runs")
        options = {"root": str(folder / "runs"), "operation": number, "code": code}
        ended = server.run(*command, hook="failing_operation", **options)
        what = f"{number}: {operations[number - 1]}: {errno.errorcode[code]}: {ended.code} {ended.output}"
        if operations[number - 1].startswith("mkdir") and ended.code == 0:
            # Making a folder that is there may fail.
            assert essence(folder / "runs" / "short" / "0001") == expected
            return None
        assert ended.code == 5, what
        assert os.strerror(code).lower() in " ".join(ended.output.split()), what
        run = folder / "runs" / "short" / "0001"
        if not run.exists():
            assert not list(folder.rglob("run.json")), what
            return None
        assert check_files(run) != "completed" or number > len(operations) - 2, what
        check_checkpoints(run)
        return run

    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(failed, range(1, len(operations) + 1)))
    left = distinct(run for run in runs if run)
    print(f"{len(runs)} operations, {len(left)} different states resumed")
    all_resume(server, left, expected)


def test_a_kill_before_any_operation_loses_nothing(
    server: Server, short: tuple[dict[str, Any], list[str]], tmp_path: Path
):
    (tmp_path / "runs").mkdir()
    command = ("train", write_short_config(tmp_path), "--runs", tmp_path / "runs")
    options = {"root": str(tmp_path / "runs"), "out": str(tmp_path / "killed")}
    ended = server.run(*command, hook="snapshots", **options)
    assert ended.code == 0, ended.output
    runs = sorted((tmp_path / "killed").glob("*/short/0001"))
    assert len(runs) > len(short[1]) // 2
    left = distinct(runs)
    print(f"{len(runs)} operations, {len(left)} different states resumed")
    all_resume(server, [run for run in left if check_files(run) != "completed"], short[0])


def test_a_power_loss_before_any_operation_loses_nothing_that_was_promised(
    server: Server, short: tuple[dict[str, Any], list[str]], tmp_path: Path
):
    (tmp_path / "runs").mkdir()
    command = ("train", write_short_config(tmp_path), "--runs", tmp_path / "runs")
    options = {"root": str(tmp_path / "runs"), "out": str(tmp_path / "lost")}
    ended = server.run(*command, hook="power_losses", **options)
    assert ended.code == 0, ended.output
    runs = sorted((tmp_path / "lost").glob("*/short/0001"))
    for run in runs:
        check_checkpoints(run, int(run.parents[1].name.split()[1]))
    left = distinct(runs)
    print(f"{len(runs)} states, {len(left)} different ones resumed")
    all_resume(server, [run for run in left if check_files(run) != "completed"], short[0])


def test_a_kill_before_any_operation_of_more_epochs_leaves_the_run_complete_or_to_be_resumed(
    server: Server, tmp_path: Path
):
    assert server.run("train", write_short_config(tmp_path, epochs=3), "--runs", tmp_path / "straight").code == 0
    expected = essence(tmp_path / "straight" / "short" / "0001")
    run = tmp_path / "runs" / "short" / "0001"
    assert server.run("train", write_short_config(tmp_path), "--runs", tmp_path / "runs").code == 0
    shorter = essence(run)
    options = {"root": str(tmp_path / "runs"), "out": str(tmp_path / "killed")}
    ended = server.run("resume", run, "--epochs", "3", hook="snapshots", **options)
    assert ended.code == 0, ended.output
    assert essence(run) == expected
    runs = sorted((tmp_path / "killed").glob("*/short/0001"))
    complete = [run for run in runs if check_files(run) == "completed"]
    found = [{**essence(run), "left behind": []} for run in complete]
    assert found[0] == shorter
    assert all(one in (shorter, expected) for one in found)
    left = distinct(run for run in runs if run not in complete)
    print(f"{len(runs)} operations, {len(left)} different states resumed")
    all_resume(server, left, expected)


@pytest.mark.parametrize(
    ("module", "name"), [("dltool.model.saving", "save_weights"), ("dltool.model.saving", "save_model")]
)
@pytest.mark.parametrize("size", [0, 1000, 6000, 12000])
def test_a_disk_that_is_full_for_hdf5_fails_the_run(
    server: Server, short: tuple[dict[str, Any], list[str]], tmp_path: Path, module: str, name: str, size: int
):
    command = ("train", write_short_config(tmp_path), "--runs", tmp_path)
    run = tmp_path / "short" / "0001"
    ended = server.run(*command, hook="no_room_for", module=module, name=name, size=size)
    assert ended.code == 5, ended.output
    assert "Traceback" not in ended.output
    assert check_files(run) == "failed"
    check_checkpoints(run)
    all_resume(server, [run], short[0])

"""Whole searches: the best config has the bits of the winner, and no kill, worker or database changes what is found."""

import errno
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.in_process import command
from tests.search.search_configs import IRIS, with_space

from dltool.commands.reproduce import found_differences
from dltool.data.shared import SharedSource
from dltool.durable_files import disk_errors
from dltool.experiment.signals import StopRequests
from dltool.experiment.silent import Silent
from dltool.experiment.stages import Stages
from dltool.runs import checkpoint_file
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.search import finish, search_folder, study
from dltool.search.rungs import Trial
from dltool.search.search_folder import SearchFolder, create_search, open_search, unfinished_search
from dltool.search.searching import WORKER
from dltool.search.study import opened, quiet_optuna

PATIENCE = 600.0  # seconds for all of a search, on a machine with other work


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the config, and a finished search of six trials."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "iris.yaml").write_text(IRIS)
    assert command("search", folder / "iris.yaml", "--runs", folder / "runs", "--quiet") == 0
    return folder


def search_in(folder: Path) -> SearchFolder:
    return open_search(folder / "runs/iris/search-0001")


def result_of(folder: Path) -> dict[str, Any]:
    """The result of a search, without the places of its files and what it cost, which no two searches share."""
    result = search_in(folder).record().result
    assert result is not None
    return {key: value for key, value in result.items() if key not in ("run", "best", "cost")}


def metrics_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The epochs of every run of a search, without their times."""
    runs = sorted(search_in(folder).trials.glob("*/0*/metrics.jsonl"))
    lines = {str(file.parent.relative_to(folder)): open_run(file.parent).read_metrics() for file in runs}
    return {run: [{**line, "seconds": 0} for line in found] for run, found in lines.items()}


def start(folder: Path, *options: str, **environment: str) -> "subprocess.Popen[str]":
    return start_command(folder, "search", "iris.yaml", "--quiet", *options, **environment)


def start_command(folder: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Start the program in a process group of its own."""
    command = [sys.executable, "-m", "dltool", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, start_new_session=True, **pipes)


def resume(folder: Path, expected: int = 0) -> str:
    arguments = [sys.executable, "-m", "dltool", "resume", "runs/iris/search-0001"]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == expected, done.stderr
    return done.stdout


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    give_up = time.monotonic() + PATIENCE
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.005)


@pytest.mark.slow
def test_a_better_learning_rate_is_found(project):
    result = result_of(project)
    assert result["winner"] > 0
    assert result["value"] < result["as_written"] / 2
    assert result["values"]["training.optimizer.Adam.learning_rate"] > 1e-3
    assert result["failed"] == {}
    compared = result["against_written"]
    assert (compared["metric"], compared["verdict"]) == ("loss", "the winner is better")
    assert compared["winner"] == pytest.approx(result["test"]["loss"], rel=1e-5)
    assert compared["difference"][0] == pytest.approx(compared["winner"] - compared["as_written"], rel=1e-5)


@pytest.mark.slow
def test_the_best_config_trains_to_the_bits_of_the_winner(project):
    """Whose training was paused at two rungs and resumed."""
    search = search_in(project)
    winner = search.run(result_of(project)["winner"])
    assert winner is not None
    assert len(winner.read_json(winner.record)["resumed"]) == 2
    assert command("train", search.best, "--runs", project / "again") == 0
    assert list(found_differences(winner, open_run(project / "again/iris/0001"))) == []


@pytest.mark.slow
def test_the_test_split_is_measured_once_on_the_winner_alone(project):
    search = search_in(project)
    tested = [file for file in search.trials.rglob("results.json") if json.loads(file.read_text())["test"]]
    assert [file.parent.parent.name for file in tested] == [f"{result_of(project)['winner']:04d}"]
    assert [folder.parents[2].name for folder in search.trials.rglob("evaluation/test")] == [
        file.parent.parent.name for file in tested
    ]


@pytest.mark.slow
def test_only_the_winner_keeps_its_weights_and_all_keep_their_metrics(project):
    search, winner = search_in(project), result_of(project)["winner"]
    assert {file.parents[2].name for file in search.trials.rglob("*.ckpt")} == {f"{winner:04d}"}
    assert {file.parents[2].name for file in search.trials.rglob("*.weights.h5")} == {f"{winner:04d}"}
    assert {file.parents[1].name for file in search.trials.rglob("model.keras")} == {f"{winner:04d}"}
    assert len(metrics_of(project)) == 6
    assert all(metrics_of(project).values())


@pytest.mark.slow
def test_a_finished_search_is_shown_again_and_its_page_loads_nothing(project, dltool):
    search = search_in(project)
    outcome = dltool("resume", search.path, "--json")
    assert outcome.code == 0
    assert json.loads(outcome.stdout)["winner"] == result_of(project)["winner"]
    moved = shutil.copytree(search.path, project / "moved")
    assert json.loads(dltool("resume", moved, "--json").stdout)["best"] == str(moved / "best.yaml")
    refused = dltool("resume", search.path, "--epochs", 20)
    assert refused.code == 2
    page = search.page.read_text()
    assert "default-src" in page
    assert page.count('<tr><th scope="row">') == 6
    assert "With fewer than 30 trials this is mostly chance" in page
    assert dltool("runs", "--runs", project / "runs").code == 0


@pytest.mark.slow
def test_killed_while_it_frees_the_disk_it_does_so_when_it_is_resumed(project, tmp_path, dltool):
    folder = SearchFolder(Path(shutil.copytree(project / "runs/iris/search-0001", tmp_path / "search-0001")))
    folder.write(folder.record().model_copy(update={"status": "running"}))
    result = folder.record().result
    assert result is not None
    losers = [each for each in range(6) if each != result["winner"]]
    weights = [folder.trial_folder(each) / "0001/checkpoints/best.weights.h5" for each in losers]
    weights[-1].touch()
    assert dltool("resume", folder.path).code == 0
    assert (folder.record().status, folder.record().result) == ("completed", result)
    assert not any(each.exists() for each in weights)


@pytest.mark.slow
def test_killed_between_the_test_and_the_report_of_the_winner_it_writes_the_report(project, tmp_path):
    run = search_in(Path(shutil.copytree(project, tmp_path / "copy"))).run(result_of(project)["winner"])
    assert run is not None
    run.report.unlink()
    before = run.read(run.results)
    finish.tested_once(run, SharedSource(), Stages(Silent(), StopRequests()))
    assert run.report.exists()
    assert run.read(run.results) == before


@pytest.mark.slow
def test_a_winner_without_a_test_split_has_a_report(tmp_path):
    text = IRIS.replace("trials: 6", "trials: 2").replace("epochs: 9", "epochs: 2").replace(", test: 0.2", "")
    (tmp_path / "iris.yaml").write_text(text)
    assert command("search", tmp_path / "iris.yaml", "--runs", tmp_path / "runs", "--quiet") == 0
    run = search_in(tmp_path).run(result_of(tmp_path)["winner"])
    assert run is not None
    assert run.report.exists()


@pytest.mark.slow
def test_killed_in_trial_4_of_8_and_resumed_by_the_same_command_is_as_never_killed(tmp_path):
    folders = [tmp_path / name for name in ("whole", "killed")]
    for folder in folders:
        folder.mkdir()
        (folder / "iris.yaml").write_text(IRIS)
        process = start(folder, "--trials", "8")
        if folder.name == "killed":
            wait_for(folder / "runs/iris/search-0001/trials/0004/0001", process)
            process.kill()
        process.communicate(timeout=PATIENCE)
    start(folders[1], "--trials", "8").communicate(timeout=PATIENCE)
    assert metrics_of(folders[0]) == metrics_of(folders[1])
    assert result_of(folders[0]) == result_of(folders[1])
    best = [(folder / "runs/iris/search-0001/best.yaml").read_text() for folder in folders]
    assert best[0] == best[1]


def test_only_the_same_search_that_is_not_finished_is_carried_on_with(tmp_path):
    files = {"config.yaml": b"name: iris\n"}
    fields: dict[str, Any] = {"config": "iris.yaml", "seed": 1, "metric": "val_loss", "trials": 8, "minutes": None}
    fields |= {
        "factor": 3,
        "first": None,
        "seeds": 1,
        "workers": 1,
        "threads": None,
        "storage": None,
        "keep_all": False,
    }
    assert unfinished_search(tmp_path, "iris", files, **fields) is None
    folder = create_search(tmp_path, "iris", files, **fields)

    def found(files: dict[str, bytes] = files, **changed: Any) -> Path | None:
        same = unfinished_search(tmp_path, "iris", files, **{**fields, **changed})
        return None if same is None else same.path

    assert found() == folder.path
    assert found(trials=9) is None
    assert found({"config.yaml": b"name: iris # other\n"}) is None
    folder.update(result={"winner": 0})
    assert found() is None


def test_the_newest_search_is_that_of_the_highest_number(tmp_path):
    fields: dict[str, Any] = {"config": "iris.yaml", "seed": 1, "metric": "val_loss", "trials": 8, "minutes": None}
    fields |= {"factor": 3, "first": None, "seeds": 1, "workers": 1, "threads": None, "storage": None}
    files, fields = {"config.yaml": b"name: iris\n"}, {**fields, "keep_all": False}
    create_search(tmp_path, "iris", files, **fields).path.rename(tmp_path / "iris/search-9999")
    newest = create_search(tmp_path, "iris", files, **fields)
    assert newest.path.name == "search-10000"
    found = unfinished_search(tmp_path, "iris", files, **fields)
    assert found is not None
    assert found.path == newest.path


@pytest.mark.slow
def test_a_killed_trial_that_cannot_resume_begins_again(tmp_path):
    """As its config names a file outside of its run."""
    text = IRIS.replace("trials: 6", "trials: 2").replace("epochs: 9", "epochs: 2")
    text = text.replace("  batch_size", f"  callbacks: [{{CSVLogger: {tmp_path}/log.csv}}]\n  batch_size")
    (tmp_path / "iris.yaml").write_text(text)
    assert command("search", tmp_path / "iris.yaml", "--runs", tmp_path / "runs", "--quiet", "--keep-all") == 0
    metrics, result, search = metrics_of(tmp_path), result_of(tmp_path), search_in(tmp_path)
    search.write(search.record().model_copy(update={"status": "running", "result": None}))
    run = search.run(1)
    assert run is not None
    run.update("running")
    run.results.unlink()
    assert command("resume", search.path, "--quiet") == 0
    # The number of a run that was removed is not used again.
    assert [*metrics_of(tmp_path).values()] == [*metrics.values()]
    assert result_of(tmp_path) == result


@pytest.mark.slow
def test_an_interrupted_search_says_how_to_go_on(tmp_path):
    (tmp_path / "iris.yaml").write_text(IRIS)
    process = start(tmp_path)
    wait_for(tmp_path / "runs/iris/search-0001/trials/0002/0001", process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert "next  dltool resume runs/iris/search-0001" in said.replace(f"{tmp_path}/", "")
    assert "best  trial" in resume(tmp_path)


def workers_of(process: "subprocess.Popen[str]") -> list[int]:
    """The processes that a search has started, by /proc."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(each) for each in children if WORKER in Path(f"/proc/{each}/environ").read_text()]


def check_whole(folder: Path, trials: int) -> None:
    """Check that no trial was lost or begun twice, and that all stopped where trials are compared."""
    search = search_in(folder)
    record = search.record()
    assert record.measured is not None
    runs = [open_run(path) for path in sorted(search.trials.glob("*/0*"))]
    assert [run.path.parent.name for run in runs] == [f"{number:04d}" for number in range(trials)]
    configs = {run.read(run.resolved).decode().partition("\n")[2] for run in runs}
    assert len(configs) == trials
    for run in runs:
        epochs = [line["epoch"] for line in run.read_metrics()]
        assert epochs == list(range(1, len(epochs) + 1))
        assert len(epochs) in record.measured.rungs
        assert len(run.read_json(run.record).get("resumed", [])) <= record.measured.rungs.index(len(epochs)) + 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_the_trials_also_when_one_is_killed(workers, tmp_path):
    (tmp_path / "iris.yaml").write_text(IRIS)
    process = start(tmp_path, "--trials", "10", "--workers", str(workers))
    wait_for(tmp_path / "runs/iris/search-0001/trials/0005/0001", process)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert "worker 2 ended with exit code -9" in said
    check_whole(tmp_path, 10)
    assert search_in(tmp_path).record().threads == max(1, len(os.sched_getaffinity(0)) // workers)


@pytest.mark.slow
def test_another_process_joins_a_running_search_and_one_of_them_finishes_it(tmp_path):
    (tmp_path / "iris.yaml").write_text(IRIS)
    process = start(tmp_path, "--trials", "8")
    wait_for(tmp_path / "runs/iris/search-0001/trials/0001/0001", process)
    said = resume(tmp_path)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    check_whole(tmp_path, 8)
    assert f"best  trial {result_of(tmp_path)['winner']} of 8" in said


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """A server of its own without a network; the URL of its database."""
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    if shutil.which("initdb") is None or shutil.which("postgres") is None:
        pytest.skip("PostgreSQL is not installed")
    # It does not run as root.
    options: dict[str, Any] = {"cwd": "/", "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    folder = Path(subprocess.run(["mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip())
    if os.getuid() == 0:
        shutil.chown(folder, "nobody")
        options["user"] = "nobody"
    data = str(folder / "data")
    subprocess.run(["initdb", "-D", data, "-U", "dltool", "-A", "trust", "-N"], check=True, **options)
    server = subprocess.Popen(["postgres", "-D", data, "-k", str(folder), "-c", "listen_addresses=", "-F"], **options)
    try:
        wait_for(folder / ".s.PGSQL.5432", server)
        yield f"postgresql+psycopg://dltool@/postgres?host={folder}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def mysql(tmp_path: Path) -> Iterator[str]:
    """A server of its own without a network, MariaDB; the URL of its database."""
    pymysql = pytest.importorskip("pymysql", reason="the driver of MySQL is not installed")
    if shutil.which("mariadb-install-db") is None or shutil.which("mariadbd") is None:
        pytest.skip("MariaDB is not installed")
    place = tmp_path / "sql"
    common = ["--no-defaults", f"--datadir={tmp_path / 'data'}", f"--user={getpass.getuser()}"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    install = ["mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(install, check=True, **quiet)
    server = subprocess.Popen(["mariadbd", *common, f"--socket={place}", "--skip-networking"], **quiet)
    try:
        wait_for(place, server)
        with pymysql.connect(unix_socket=str(place), user="root") as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE optuna")
        settings = tmp_path / "my.cnf"
        settings.write_text(f"[client]\nuser = root\nsocket = {place}\n")
        yield f"mysql+pymysql:///optuna?read_default_file={settings}"
    finally:
        server.terminate()
        server.wait(timeout=60)


SERVER = """\
import sys
from optuna.storages import get_storage, run_grpc_proxy_server

run_grpc_proxy_server(get_storage(sys.argv[1]), host="localhost", port=int(sys.argv[2]))
"""


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[str]:
    """Optuna's gRPC proxy in a process of its own, before SQLite; its URL."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    arguments = [sys.executable, "-c", SERVER, f"sqlite:///{tmp_path / 'proxied.db'}", str(port)]
    server = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    yield f"grpc://localhost:{port}"
    server.kill()
    server.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "workers"), [("postgres", 2), ("postgres", 4), ("mysql", 2), ("proxy", 2)], indirect=["database"]
)
def test_workers_share_a_database(workers, database, tmp_path):
    (tmp_path / "iris.yaml").write_text(IRIS)
    process = start(tmp_path, "--trials", "8", "--workers", str(workers), "--storage", database)
    wait_for(tmp_path / "runs/iris/search-0001/trials/0003/0001", process)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    check_whole(tmp_path, 8)
    import optuna

    record = search_in(tmp_path).record()
    with quiet_optuna():
        found = optuna.load_study(study_name=record.study, storage=opened(optuna, Path(), database))
    assert {trial.state.name for trial in found.trials} <= {"COMPLETE", "PRUNED"}
    assert found.best_value == record.result["value"] if record.result else False


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.mark.slow
@pytest.mark.parametrize(("machines", "killed"), [(2, 0), (4, 2)])
def test_machines_that_share_the_folder_and_a_storage_do_without_one_that_dies(machines, killed, proxy, tmp_path):
    """Each is a process group of its own that begins the search or joins it by `dltool resume`."""
    (tmp_path / "iris.yaml").write_text(IRIS)
    groups = [start(tmp_path, "--trials", "8", "--storage", proxy)]
    wait_for(tmp_path / "runs/iris/search-0001/trials/0001/0001", groups[0])
    groups += [start_command(tmp_path, "resume", "runs/iris/search-0001") for _ in range(machines - 1)]
    wait_for(tmp_path / "runs/iris/search-0001/trials/0004/0001", groups[0])
    os.killpg(groups[killed].pid, signal.SIGKILL)
    for number, group in enumerate(groups):
        _, said = group.communicate(timeout=PATIENCE)
        assert group.returncode == (-signal.SIGKILL if number == killed else 0), said
    check_whole(tmp_path, 8)
    assert result_of(tmp_path)["trials"] == 8


@pytest.mark.slow
def test_a_storage_that_has_lost_its_trials_is_refused(tmp_path, dltool):
    (tmp_path / "iris.yaml").write_text(IRIS)
    process = start(tmp_path)
    wait_for(tmp_path / "runs/iris/search-0001/trials/0002/0001", process)
    process.kill()
    process.communicate()
    search_in(tmp_path).journal.unlink()
    outcome = dltool("resume", search_in(tmp_path).path)
    assert (outcome.code, "the storage has lost the trials of this search" in outcome.stderr) == (5, True)


@pytest.mark.slow
def test_a_storage_that_cannot_be_used_is_refused(project, dltool, monkeypatch):
    monkeypatch.setattr(study, "PROXY_SECONDS", 0.5)
    for url, words in (
        ("sqlite:////nowhere/a.db", "the storage cannot be opened"),
        ("postgresql://me:secret@host/db", "the password would be written into search.json"),
        ("nonsense", "the storage cannot be opened"),
        ("grpc://localhost", "grpc://localhost is not grpc://HOST:PORT"),
        ("grpc://localhost:1", "no proxy answers at localhost:1"),
    ):
        outcome = dltool("search", project / "iris.yaml", "--runs", project / "refused", "--storage", url)
        assert outcome.code in (2, 5)
        assert words in outcome.stderr
        assert "secret" not in outcome.stdout + outcome.stderr.replace("postgresql://me:secret@host/db", "")
        assert not (project / "refused").exists()


@pytest.mark.slow
def test_a_full_disk_stops_the_search_and_fails_no_trial(tmp_path, dltool, monkeypatch):
    (tmp_path / "iris.yaml").write_text(IRIS)
    write, begun, is_full = checkpoint_file.write_checkpoint, set[str](), [True]

    def third_fills_the_disk(directory: Path, *arguments: Any, **options: Any) -> Any:
        """Which the thread that writes checkpoints finds, while the trial pauses."""
        begun.add(str(directory))
        if len(begun) == 3 and arguments[0] and is_full:
            is_full.clear()
            with disk_errors(tmp_path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(directory, *arguments, **options)

    monkeypatch.setattr(checkpoint_file, "write_checkpoint", third_fills_the_disk)
    outcome = dltool("search", tmp_path / "iris.yaml", "--runs", tmp_path / "runs", "--trials", "4")
    assert (outcome.code, len(begun)) == (5, 3)
    assert "no space left on device" in outcome.stderr
    assert f"dltool resume {search_in(tmp_path).path}" in outcome.stderr
    assert command("resume", search_in(tmp_path).path, "--quiet") == 0
    assert (result_of(tmp_path)["trials"], result_of(tmp_path)["failed"]) == (4, {})


@pytest.mark.slow
def test_failed_trials_are_shown_with_their_reasons_and_never_win(tmp_path):
    space = ["training.optimizer.Adam.learning_rate: {choice: [0.01, 1e30]}"]
    space += ["model.layers[1]: {choice: {none: Identity, huge: {Dense: {units: 1000000000}}}}"]
    (tmp_path / "iris.yaml").write_text(with_space(*space).replace("epochs: 9", "epochs: 2"))
    assert command("search", tmp_path / "iris.yaml", "--runs", tmp_path / "runs", "--quiet") == 0
    result = result_of(tmp_path)
    reasons = " ".join(result["failed"].values())
    assert "the loss is NaN" in reasons
    assert "too large" in reasons
    assert str(result["winner"]) not in result["failed"]
    # All four combinations were tried, none twice; the config as written has none of them.
    assert result["trials"] == 5


@pytest.mark.slow
def test_other_seeds_tell_how_lucky_the_winner_is(tmp_path):
    text = IRIS.replace("trials: 6", "trials: 4\n  seeds: 2").replace("epochs: 9", "epochs: 3")
    (tmp_path / "iris.yaml").write_text(text)
    assert command("search", tmp_path / "iris.yaml", "--runs", tmp_path / "runs", "--quiet") == 0
    result, search = result_of(tmp_path), search_in(tmp_path)
    assert len(result["other_seeds"]) == 2
    splits = []
    for number in result["other_seeds"]:
        first, second = search.run(int(number)), search.run(int(number), 2)
        assert first is not None
        assert second is not None
        assert (first.read_json(first.record)["seed"], second.read_json(second.record)["seed"]) == (0, 1)
        splits += [first.read(first.split), second.read(second.split)]
    assert all(a == b for a, b in pairwise(splits))
    assert "with 1 other seed" in search.page.read_text()


@pytest.mark.slow
def test_after_its_time_no_trial_begins_and_the_best_is_trained_to_its_end(tmp_path):
    (tmp_path / "iris.yaml").write_text(IRIS)
    assert command("search", tmp_path / "iris.yaml", "--runs", tmp_path / "runs", "--quiet", "--minutes", "0.05") == 0
    result = result_of(tmp_path)
    assert result["trials"] < 6
    winner = search_in(tmp_path).run(result["winner"])
    assert winner is not None
    assert winner.is_complete()


@pytest.mark.slow
def test_without_optuna_the_message_says_what_to_install(project, dltool, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    outcome = dltool("search", project / "iris.yaml", "--runs", project / "none")
    assert outcome.code == 5
    assert "needs Optuna, which is not installed" in outcome.stderr
    assert "optuna>=5.0" in outcome.stderr or "make setup" in outcome.stderr


def test_the_run_of_a_trial_is_found_also_if_its_first_number_is_missing(tmp_path, monkeypatch):
    """A process that is stopped while it creates a run removes it; the next run has another number."""
    monkeypatch.setattr(search_folder, "open_run", Run)
    folder = SearchFolder(tmp_path)
    assert folder.run(7) is None
    for name in ("0002", "0003"):
        (folder.trial_folder(7) / name).mkdir(parents=True)
    assert folder.run(7) == Run(folder.trial_folder(7) / "0002")
    assert folder.run(7, 2) == Run(folder.trial_folder(7) / "0003")
    assert folder.run(7, 3) is None


def test_the_config_as_written_has_its_values_also_in_the_process_that_measured_it(tmp_path):
    folder = SearchFolder(tmp_path)
    run = folder.trial_folder(0) / "0001"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"format": 1, "status": "completed"}')
    (run / "metrics.jsonl").write_text('{"epoch": 1, "val_loss": 0.5}\n')
    assert folder.reached(Trial(0, {}), "val_loss") == Trial(0, {}, (0.5,), True)
    assert folder.reached(Trial(0, {"vars.units": 8}), "val_loss") == Trial(0, {"vars.units": 8}, (0.5,), True)


def test_beaten_and_failed_trials_give_their_disk_back_while_the_search_goes_on(tmp_path):
    folder = SearchFolder(tmp_path)
    weights = {}
    for number, value in enumerate([0.5, 0.2, 0.4, 0.3, 0.9]):
        run = folder.trial_folder(number) / "0001"
        (run / "checkpoints").mkdir(parents=True)
        (run / "run.json").write_text('{"format": 1, "status": "%s"}' % ("failed" if number == 3 else "completed"))
        (run / "metrics.jsonl").write_text(f'{{"epoch": 1, "val_loss": {value}}}\n')
        weights[number] = run / "checkpoints" / "best.weights.h5"
        weights[number].touch()
        folder.reached(Trial(number, {}, reason="nan" if number == 3 else ""), "val_loss")
    folder.free_beaten("min", 2)
    assert [number for number, file in weights.items() if file.exists()] == [0, 1, 2]

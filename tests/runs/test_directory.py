import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dltool.errors import ConfigError, MachineError, RunError
from dltool.runs.directory import FORMAT, create, list_runs, open_run
from dltool.runs.files import MetricsLog, Run, encode_json

FILES = {"config.yaml": b"name: mnist\n", "preprocessing/mean.npy": b"0"}


def created(runs: Path, name: str = "mnist") -> Run:
    with create(runs, name, {"command": "train"}, FILES) as run:
        return run


def everything_below(path: Path) -> list[str]:
    return sorted(found.relative_to(path).as_posix() for found in path.rglob("*"))


# --- creating ---


def test_a_new_run_holds_its_files_and_latest_points_at_it(tmp_path):
    run = created(tmp_path / "runs")
    assert run.path == tmp_path / "runs" / "mnist" / "0001"
    assert (run.name, run.number) == ("mnist", "0001")
    assert run.read(run.config) == b"name: mnist\n"
    assert (run.preprocessing / "mean.npy").read_bytes() == b"0"
    record = run.read_json(run.record)
    assert record["format"] == FORMAT
    assert record["status"] == "running"
    assert record["command"] == "train"
    assert os.readlink(tmp_path / "runs" / "mnist" / "latest") == "0001"


def test_numbers_grow_and_are_not_used_again(tmp_path):
    paths = [created(tmp_path).path for _ in range(3)]
    assert [path.name for path in paths] == ["0001", "0002", "0003"]
    subprocess.run(["rm", "-r", *map(str, paths)], check=True)
    assert created(tmp_path).number == "0004"


def test_after_9999_comes_10000(tmp_path):
    (tmp_path / "mnist" / "9999").mkdir(parents=True)
    assert created(tmp_path).number == "10000"
    assert open_run(tmp_path / "mnist").number == "10000"


def test_a_run_is_locked_until_its_body_ends(tmp_path):
    with create(tmp_path, "mnist", {}, {}) as run:
        assert run.is_locked()
    assert not run.is_locked()


def test_a_file_system_without_links_gets_a_text_file(tmp_path, monkeypatch):
    def no_links(*_arguments):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "symlink", no_links)
    created(tmp_path)
    second = created(tmp_path)
    assert (tmp_path / "mnist" / "latest").read_text() == "0002\n"
    assert open_run(tmp_path / "mnist" / "latest") == second


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b", "a\nb", "x" * 101])
def test_a_bad_name_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="a run's name is"), create(tmp_path, name, {}, {}):
        pass
    assert everything_below(tmp_path) == []


def test_a_file_in_place_of_the_runs_folder_is_refused(tmp_path):
    (tmp_path / "runs").touch()
    with pytest.raises(ConfigError, match="is a file"):
        created(tmp_path / "runs")


@pytest.mark.parametrize("runs", ["mnist/0001", "mnist/0001/evaluation/deeper", "mnist", "link"])
def test_no_run_is_made_inside_another(tmp_path, runs):
    first = created(tmp_path)
    (tmp_path / "link").symlink_to(first.path)
    before = everything_below(tmp_path)
    with pytest.raises(ConfigError, match="0001 is a run; runs cannot be nested"):
        created(tmp_path / runs, "0001" if runs == "mnist" else "other")
    assert everything_below(tmp_path) == before
    assert open_run(first.path) == first


@pytest.mark.parametrize("call", ["fsync", "rename", "replace"])
def test_a_disk_that_refuses_leaves_no_rubbish(tmp_path, monkeypatch, call):
    """Each of the first calls fails in turn, until all succeed."""
    real = getattr(os, call)
    succeeded = False
    for failing_call in range(30):
        calls = iter(range(100))

        def fail(*arguments, calls=calls, failing_call=failing_call, **options):
            if next(calls) == failing_call:
                raise OSError(errno.ENOSPC, "full")
            return real(*arguments, **options)

        runs = tmp_path / f"{failing_call}" / "runs"
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            try:
                created(runs)
            except MachineError as error:
                message = str(error)
            else:
                succeeded = True
                break
        assert message.startswith("no space left on device: cannot create a run in")
        left = [path for path in everything_below(tmp_path / f"{failing_call}") if not path.endswith("latest")]
        assert left in ([], ["runs", "runs/mnist"])
        assert created(runs).path.is_dir()
    assert succeeded
    assert failing_call > 0


def test_a_read_only_folder_is_a_machine_error(tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(errno.EROFS, "refused")

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(MachineError, match="read-only file system: cannot create a run in"):
        created(tmp_path / "runs")


def python(code: str, *arguments: Path | str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


CREATE = """
import sys
from pathlib import Path
from dltool.runs.directory import create
for _ in range(int(sys.argv[2])):
    with create(Path(sys.argv[1]), "mnist", {}, {}) as run:
        print(run.number)
"""


@pytest.mark.parametrize(("count", "runs"), [(4, 20), pytest.param(20, 4, marks=pytest.mark.slow)])
def test_processes_that_create_at_once_get_different_numbers(tmp_path, count, runs):
    processes = [python(CREATE, tmp_path, str(runs)) for _ in range(count)]
    numbers = [int(number) for process in processes for number in process.communicate(timeout=60)[0].split()]
    assert sorted(numbers) == list(range(1, 81))
    assert os.readlink(tmp_path / "mnist" / "latest") == "0080"
    assert not [name for name in os.listdir(tmp_path / "mnist") if name.startswith(".")]
    assert len(list_runs(tmp_path)) == 80


@pytest.mark.parametrize("days", [-400, -2, 2, 400])
def test_a_file_system_whose_clock_differs_from_ours_loses_no_new_run(tmp_path, monkeypatch, days):
    """Folders of another run that is being created, and of one that a killed process left the week before."""
    skew = days * 86_400
    for name, age in ((".new-other", 1), (".new-dead", 7 * 86_400)):
        (tmp_path / "mnist" / ".new" / name).mkdir(parents=True)
        os.utime(tmp_path / "mnist" / ".new" / name, (time.time() - age,) * 2)
    monkeypatch.setattr(time, "time", lambda now=time.time: now() - skew)
    assert created(tmp_path).number == "0001"
    assert os.listdir(tmp_path / "mnist" / ".new") == [".new-other"]


def test_a_run_that_is_being_created_stays_whatever_its_time(tmp_path):
    from dltool.runs.files import run_lock

    slow = tmp_path / "mnist" / ".new" / ".new-slow"
    slow.mkdir(parents=True)
    with run_lock(slow):
        os.utime(slow, (0, 0))
        created(tmp_path)
        assert slow.is_dir()
    created(tmp_path)
    assert not slow.exists()


def test_a_link_to_a_run_is_opened_as_the_run(tmp_path):
    run = created(tmp_path / "runs")
    (tmp_path / "mine").symlink_to(run.path)
    opened = open_run(tmp_path / "mine")
    opened.write_json(opened.results, {"ok": True})
    assert run.read_json(run.results) == {"ok": True}


# --- the lock ---

HOLD = """
import sys
from pathlib import Path
from dltool.runs.files import Run
with Run(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.readline()
"""


def test_a_second_writer_is_refused_with_the_first_one_named(tmp_path):
    run = created(tmp_path)
    holder = python(HOLD, run.path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    begin = time.monotonic()
    with pytest.raises(RunError, match=f"in use by process {holder.pid} on "), run.locked():
        pass
    assert time.monotonic() - begin < 1
    assert run.is_locked()
    holder.communicate("\n", timeout=10)
    with run.locked():
        assert run.is_locked()


def test_a_killed_writer_leaves_no_lock(tmp_path):
    run = created(tmp_path)
    holder = python(HOLD, run.path)
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.send_signal(signal.SIGKILL)
    holder.communicate(timeout=10)
    assert not run.is_locked()
    with run.locked():
        pass


def test_a_new_writer_removes_what_a_killed_one_left(tmp_path):
    run = created(tmp_path)
    run.directory(run.checkpoints)
    for folder in (run.path, run.checkpoints):
        (folder / ".tmp-1234-run.json").touch()
    with run.locked():
        assert not [path for path in everything_below(run.path) if ".tmp-" in path]


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    run = created(tmp_path)
    (tmp_path / "canary").write_text("untouched")
    (run.path / "lock").unlink()
    (run.path / "lock").symlink_to(tmp_path / "canary")
    with pytest.raises(RunError, match="is not a file"), run.locked():
        pass
    assert (tmp_path / "canary").read_text() == "untouched"


# --- opening ---


@pytest.mark.parametrize("path", ["mnist/0002", "mnist/latest", "mnist"])
def test_a_run_is_found_by_number_by_latest_and_by_name(tmp_path, path):
    created(tmp_path)
    newest = created(tmp_path)
    assert open_run(tmp_path / path).path == newest.path


def test_without_latest_the_newest_number_is_meant(tmp_path):
    created(tmp_path)
    newest = created(tmp_path)
    (tmp_path / "mnist" / "latest").unlink()
    assert open_run(tmp_path / "mnist").path == newest.path


@pytest.mark.parametrize(("path", "meant"), [("mnits", "mnist"), ("mnist/0009", "mnist/0001"), ("mnits/0001", "mnist")])
def test_a_missing_run_comes_with_a_near_name(tmp_path, path, meant):
    created(tmp_path)
    with pytest.raises(RunError, match="does not exist") as raised:
        open_run(tmp_path / path)
    assert raised.value.problems[0].hint == f'did you mean "{tmp_path / meant}"?'


def test_a_latest_whose_run_is_gone_says_so(tmp_path):
    run = created(tmp_path)
    subprocess.run(["rm", "-r", str(run.path)], check=True)
    with pytest.raises(RunError, match=r"latest points to 0001, which does not exist"):
        open_run(tmp_path / "mnist")


@pytest.mark.parametrize("target", ["../other/0001", "/etc", "0001/../../other/0001"])
def test_a_latest_that_leads_elsewhere_is_refused(tmp_path, target):
    created(tmp_path, "other")
    created(tmp_path)
    (tmp_path / "mnist" / "latest").unlink()
    (tmp_path / "mnist" / "latest").symlink_to(target)
    with pytest.raises(RunError, match="does not point to a run beside it"):
        open_run(tmp_path / "mnist" / "latest")


def test_a_folder_that_is_no_run_says_what_it_holds(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(RunError, match=r"is not a run: it has no run.json; it holds a.txt"):
        open_run(tmp_path)
    (tmp_path / "a.txt").unlink()
    with pytest.raises(RunError, match="it is empty"):
        open_run(tmp_path)


def test_a_file_is_no_run(tmp_path):
    (tmp_path / "model.keras").touch()
    with pytest.raises(RunError, match="is a file, not a run directory"):
        open_run(tmp_path / "model.keras")


def test_a_newer_format_names_both_versions(tmp_path):
    run = created(tmp_path)
    run.write_json(run.record, {"format": FORMAT + 1, "dltool": "9.8.7"})
    with pytest.raises(RunError, match=rf"dltool 9.8.7 wrote it in run format {FORMAT + 1}, .* reads format {FORMAT}"):
        open_run(run.path)


@pytest.mark.parametrize("record", [b"", b"[]", b"{", b"[" * 100_000, b'{"format": true}', b'{"format": "1"}', b"\xff"])
def test_a_damaged_record_is_a_run_error(tmp_path, record):
    run = created(tmp_path)
    run.record.write_bytes(record)
    with pytest.raises(RunError, match=r"run.json"):
        open_run(run.path)


def test_a_run_that_holds_a_link_is_refused(tmp_path):
    run = created(tmp_path)
    (run.path / "best").symlink_to("/etc/passwd")
    with pytest.raises(RunError, match=r"best is neither a file nor a folder"):
        open_run(run.path)


def test_all_runs_are_listed_in_order(tmp_path):
    runs = [created(tmp_path, name) for name in ("b", "a", "b")]
    (tmp_path / "notes.txt").touch()
    (tmp_path / "b" / "notes").mkdir()
    assert [(run.name, run.number) for run in list_runs(tmp_path)] == [("a", "0001"), ("b", "0001"), ("b", "0002")]
    assert runs[0] in list_runs(tmp_path)
    assert list_runs(tmp_path / "missing") == []


# --- what is inside ---


def test_an_update_keeps_what_it_does_not_name(tmp_path):
    run = created(tmp_path)
    run.update("completed", seconds=1.5)
    record = run.read_json(run.record)
    assert (record["status"], record["seconds"], record["command"]) == ("completed", 1.5, "train")


def test_why_a_run_failed_is_forgotten_when_it_goes_on(tmp_path):
    run = created(tmp_path)
    run.update("failed", reason="no space left on device", exit_code=5)
    assert run.read_json(run.record)["reason"] == "no space left on device"
    run.update("running")
    assert not {"reason", "exit_code"} & run.read_json(run.record).keys()


def append(run: Run, *lines):
    with MetricsLog(run) as log:
        for line in lines:
            log.append(line)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(), st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)))
)
def test_metrics_are_read_as_they_were_written(tmp_path_factory, lines):
    run = Run(tmp_path_factory.mktemp("run"))
    append(run, *lines)
    assert run.read_metrics() == lines
    run.write_metrics(lines[:1])
    assert run.read_metrics() == lines[:1]


def test_a_torn_last_line_is_dropped_then_replaced(tmp_path):
    run = created(tmp_path)
    append(run, {"epoch": 1})
    whole = run.metrics.read_bytes()
    line = b'{"epoch": 2, "loss": 0.5}\n'
    for length in range(len(line)):
        run.metrics.write_bytes(whole + line[:length])
        assert run.read_metrics() == [{"epoch": 1}]
    append(run, {"epoch": 2})
    assert run.metrics.read_bytes() == whole + b'{"epoch": 2}\n'


def test_a_long_torn_line_is_removed_whole(tmp_path):
    run = Run(tmp_path)
    append(run, {"epoch": 1})
    with run.metrics.open("ab") as file:
        file.write(b"x" * 200_000)
    append(run, {"epoch": 2})
    assert run.read_metrics() == [{"epoch": 1}, {"epoch": 2}]


def test_a_damaged_line_before_the_last_is_named(tmp_path):
    run = Run(tmp_path)
    run.metrics.write_bytes(b'{"epoch": 1}\n{"epo\n{"epoch": 3}\n')
    with pytest.raises(RunError, match=r"metrics.jsonl:2 is not valid JSON"):
        run.read_metrics()


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    run = Run(tmp_path)
    append(run, {"epoch": 1})

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match="no space left on device"), MetricsLog(run) as log:
        log.append({"epoch": 2})
    assert run.metrics.read_bytes() == b'{"epoch": 1}\n'


def test_json_has_no_nan():
    text = encode_json({"loss": float("nan"), "more": [float("inf"), {"x": (1.0, -float("inf"))}]})
    assert json.loads(text, parse_constant=pytest.fail) == {"loss": None, "more": [None, {"x": [1.0, None]}]}


def test_a_folder_of_a_run_is_made_and_never_through_a_link(tmp_path):
    run = created(tmp_path / "runs")
    assert run.directory(run.evaluation / "test").is_dir()
    (tmp_path / "outside").mkdir()
    run.checkpoints.symlink_to(tmp_path / "outside")
    with pytest.raises(RunError, match="is or stands behind a link"):
        run.directory(run.checkpoints / "deeper")
    assert everything_below(tmp_path / "outside") == []

"""A run directory that holds links, FIFOs, folders for files, or another repository."""

import os
import shutil
from pathlib import Path

import pytest

FOLDERS = ("checkpoints", "preprocessing", "preprocessing/0-Normalization", "evaluation", "evaluation/test", "figures")
FILES = (
    *("run.json", "resolved.yaml", "config.yaml", "metrics.jsonl", "log.txt", "lock", "split.npz", "model.keras"),
    *("origins.json", "report.html", "report.json"),
    *("results.json", "checkpoints/best.weights.h5", "preprocessing/0-Normalization/arrays.npz"),
)
COMMANDS = ("evaluate", "resume", "predict", "report")
READ_BY_ALL = ("run.json", "checkpoints", "preprocessing/0-Normalization/arrays.npz")
"""All commands read a run in one way: what one refuses of any name, all refuse of these."""


def moved_outside(attack, name: str) -> Path:
    """The entry, taken out of the run; a file of the same contents is outside."""
    entry, target = attack.run / name, attack.outside / Path(name).name
    if entry.exists():
        shutil.move(entry, target)
    else:
        target.write_text("{}\n")
    return target


@pytest.mark.parametrize(
    ("name", "command"),
    [
        *((name, "resume") for name in [*FOLDERS, *FILES]),
        *((name, command) for name in READ_BY_ALL for command in COMMANDS if command != "resume"),
    ],
)
def test_a_link_is_refused(name, command, attack, refused) -> None:
    (attack.run / name).symlink_to(moved_outside(attack, name))
    assert Path(name).name in refused(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_link_for_a_checkpoint_is_refused(command, attack, refused) -> None:
    newest = attack.newest
    newest.symlink_to(moved_outside(attack, str(newest.relative_to(attack.run))))
    assert newest.name in refused(command)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["run.json", "lock", "log.txt", "resolved.yaml", "checkpoints/best.weights.h5"])
def test_a_fifo_is_refused_and_nobody_waits_for_it(name, command, attack, refused) -> None:
    (attack.run / name).unlink(missing_ok=True)
    os.mkfifo(attack.run / name)
    assert Path(name).name in refused(command)


@pytest.mark.parametrize("name", ["log.txt", "lock", "metrics.jsonl"])
def test_a_file_that_is_written_in_place_has_no_second_name(name, attack, refused) -> None:
    os.link(attack.outside / "canary.txt", linked := attack.outside / "second.txt")
    (attack.run / name).unlink()
    os.link(linked, attack.run / name)
    if name == "metrics.jsonl":
        # It is replaced as a whole before anything is appended.
        from dltool.errors import RunError
        from dltool.runs.files import MetricsLog, Run

        with pytest.raises(RunError, match="hard link"), MetricsLog(Run(attack.run)):
            pytest.fail("it was opened")
        assert linked.read_text() == "untouched\n"
    else:
        assert "hard link" in refused("resume")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["lock", "results.json", "run.json", "checkpoints"])
def test_a_folder_for_a_file_and_the_reverse_are_refused(name, command, attack, refused) -> None:
    entry = attack.run / name
    if entry.is_dir():
        shutil.rmtree(entry)
        entry.write_text("")
    else:
        entry.unlink(missing_ok=True)
        entry.mkdir()
    refused(command)


def test_a_repository_in_a_run_is_refused_because_git_would_run_its_programs(attack, refused) -> None:
    (attack.run / ".git").mkdir()
    assert "git repository" in refused("evaluate")


def test_a_log_that_becomes_a_link_later_is_not_followed(attack, capfd) -> None:
    from dltool.console.capture import captured_chatter
    from dltool.errors import RunError

    (attack.run / "log.txt").unlink()
    (attack.run / "log.txt").symlink_to(attack.outside / "canary.txt")
    with captured_chatter() as capture, pytest.raises(RunError, match=r"log\.txt"):
        capture.move_to(attack.run / "log.txt")
    assert (attack.outside / "canary.txt").read_text() == "untouched\n"


def test_a_list_of_runs_shows_a_hostile_one_as_broken(attack, dltool) -> None:
    (attack.run / "metrics.jsonl").unlink()
    (attack.run / "metrics.jsonl").symlink_to("/etc/passwd")
    outcome = dltool("runs", "--runs", attack.run.parents[1])
    assert outcome.code == 0
    assert "broken" in outcome.stdout
    assert "root:" not in outcome.stdout + outcome.stderr

"""A run with folds that is killed anywhere and resumed is the run that was never killed."""

from pathlib import Path
from typing import Any

import pytest
from tests.exactness.conftest import Server
from tests.exactness.essence import digest, essence, timeless, weights
from tests.exactness.test_kills import KILLED
from tests.folds.test_folds import CONFIG, write_rows


def write_folds(folder: Path, split: str) -> Path:
    write_rows(folder, 60)
    text = CONFIG.replace("{folds: 2, validation: 0.2}", split).replace("rows.csv", str(folder / "rows.csv"))
    (folder / "tiny.yaml").write_text(text.replace("epochs: 2", "epochs: 3\n  checkpoint: {every: 2 steps}"))
    return folder / "tiny.yaml"


def whole_essence(run: Path) -> dict[str, Any]:
    """The essence of the run and of its folds, which have neither model nor checkpoints."""
    import json

    folds = {}
    for path in sorted((run / "folds").iterdir()):
        folds[path.name] = {
            "weights": weights((path / "checkpoints" / "best.weights.h5").read_bytes()),
            "files": sorted(each.name for each in path.iterdir()),
            "metrics": [timeless(json.loads(line)) for line in (path / "metrics.jsonl").read_text().splitlines()],
            "results": timeless(json.loads((path / "results.json").read_bytes())),
            "outputs": digest((path / "outputs.npz").read_bytes()),
        }
    return {**essence(run), "folds": folds}


@pytest.mark.slow
def test_killed_before_in_and_after_folds_a_run_goes_on_to_the_same_bits(server: Server, tmp_path: Path) -> None:
    config = write_folds(tmp_path, "{folds: 5, validation: 0.2}")
    ended = server.run("train", config, "--runs", tmp_path / "straight")
    assert ended.code == 0, ended.output
    expected = whole_essence(tmp_path / "straight" / "tiny" / "0001")
    command: tuple[str | Path, ...] = ("train", config, "--runs", tmp_path / "runs")
    run = tmp_path / "runs" / "tiny" / "0001"
    # In the run itself, at the beginning of a fold, in the middle of the third, in the test of the fifth, at the end.
    kills: list[tuple[str, dict[str, Any]]] = [
        ("at_step", {"step": 5}),
        ("in_part", {"part": 2, "step": 0}),
        ("in_part", {"part": 3, "step": 7}),
        ("in_part", {"part": 3, "step": 3}),
        ("in_phase", {"phase": "test", "count": 4}),
        ("in_phase", {"phase": "last file", "count": 2}),
    ]
    for hook, options in kills:
        ended = server.run(*command, hook=hook, **options)
        assert ended.code == KILLED, (hook, options, ended.output)
        command = ("resume", run)
    ended = server.run(*command)
    assert ended.code == 0, ended.output
    assert whole_essence(run) == expected


@pytest.mark.slow
def test_interrupted_in_a_fold_a_run_says_how_to_resume_it(server: Server, tmp_path: Path) -> None:
    import signal

    config = write_folds(tmp_path, "{folds: 3, validation: 0.2}")
    ended = server.run(
        "train", config, "--runs", tmp_path / "runs", hook="in_part", part=2, step=4, number=signal.SIGINT
    )
    run = tmp_path / "runs" / "tiny" / "0001"
    assert ended.code == 128 + signal.SIGINT
    assert f"next  dltool resume {run}" in ended.output
    assert "fold 2: stopped in epoch" in ended.output
    assert server.run("resume", run).code == 0

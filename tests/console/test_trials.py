"""The rows of a search, and what is said about the rest of it."""

import io
from pathlib import Path

from dltool.config.search_options import MOST_TRIALS
from dltool.console.capture import Capture
from dltool.console.progress import TrainingProgress
from dltool.console.results import show
from dltool.console.trials import SearchProgress
from dltool.search.finish import SearchOutcome, outcome_of
from dltool.search.rungs import Trial
from dltool.search.search_folder import Measured, SearchFolder, SearchRecord

RECORD = SearchRecord(
    name="iris",
    study="iris-1",
    config="iris.yaml",
    seed=0,
    metric="val_loss",
    trials=4,
    minutes=None,
    factor=3,
    first=None,
    seeds=1,
    workers=1,
    threads=None,
    storage=None,
    keep_all=False,
    measured=Measured(mode="min", rungs=(2, 6), threads=1),
)
ROWS = """\
4 trials, compared after 2 of 6 epochs
trial  epochs   val_loss  state      values
    0       6     0.8833  completed  the config as written
    1       2     0.5012  paused     units 4, learning_rate 0.03541
    2       0             failed     the loss is NaN in epoch 1
"""


def test_each_trial_has_a_row_and_the_live_line_names_the_best_and_the_time_left():
    terminal = io.StringIO()
    shown = SearchProgress(TrainingProgress(Capture(terminal, io.StringIO())))
    shown.begins(RECORD, "min")
    assert shown.outlook() == ""
    shown.row(Trial(0, {}, (1.0, 0.9, 0.8833, 0.9, 0.95, 1.0), True))
    shown.row(Trial(1, {"vars.units": 4, "training.optimizer.Adam.learning_rate": 0.03541}, (0.6, 0.5012)))
    shown.row(Trial(2, {"vars.units": 5}, reason="the loss is NaN in epoch 1"))
    assert terminal.getvalue() == ROWS
    shown.began -= 120
    assert shown.outlook() == "; best val_loss 0.5012 (trial 1); about 1 min 00 s left"


def test_the_time_left_of_a_resumed_search_follows_from_the_trials_since_then():
    shown = SearchProgress(TrainingProgress(Capture(io.StringIO(), io.StringIO())))
    shown.begins(RECORD.model_copy(update={"trials": 10}), "min")
    for number in range(5):
        shown.row(Trial(number, {}, (0.5,)))
    for number in (5, 6):
        with shown.listening(f"trial {number}"):
            assert "left" not in shown.outlook() or number == 6
        shown.row(Trial(number, {}, (0.5,)))
    shown.began -= 60
    assert shown.outlook().endswith("; about 1 min 30 s left")


def test_the_result_of_a_search_that_found_nothing_better_says_so(capsys):
    result = {"trials": 4, "winner": 0, "value": 0.5, "as_written": 0.5, "values": {}, "test": {}, "intervals": {}}
    result |= {"against_written": None, "failed": {"2": "the loss is NaN"}, "best": "runs/iris/search-0001/best.yaml"}
    result |= {"other_seeds": {}}
    show(SearchOutcome(Path("runs/iris/search-0001"), "val_loss", result), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "best  the config as written: val_loss 0.5000, none of 4 trials is better"
    assert lines[1] == "      1 trial failed: see search.json"


def test_what_other_seeds_measured_of_the_winner_is_shown(capsys):
    result = {"trials": 9, "winner": 3, "value": 0.5, "as_written": 0.9, "values": {"vars.units": 4}, "test": {}}
    result |= {"against_written": None, "failed": {}, "best": "best.yaml"}
    result |= {"other_seeds": {"3": [0.61, 0.58], "7": [0.7, 0.7], "1": [0.9, 0.7]}}
    show(SearchOutcome(Path("runs/iris/search-0001"), "val_loss", result), as_json=False)
    words = "      val_loss with 2 other seeds: 0.6100, 0.5800; the best mean of 3 trials wins"
    assert words in capsys.readouterr().out.splitlines()


def test_a_search_by_time_names_its_time_and_not_the_most_trials_there_may_be():
    for settings, words in (
        ({"minutes": 0.5, "trials": MOST_TRIALS}, "trials for 30.0 s, compared after 2 of 6 epochs\n"),
        ({"minutes": 10}, "4 trials for 10 min 00 s, compared after 2 of 6 epochs\n"),
    ):
        terminal = io.StringIO()
        record = RECORD.model_copy(update=settings)
        SearchProgress(TrainingProgress(Capture(terminal, io.StringIO()))).begins(record, "min")
        assert terminal.getvalue().startswith(words)


def test_a_search_whose_winner_misses_a_bound_has_missed_it(tmp_path):
    folder = SearchFolder(tmp_path)
    run = folder.trial_folder(1) / "0001"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"format": 1, "status": "completed"}')
    (run / "results.json").write_text('{"expectations": {"loss": {"bound": "< 0.1", "value": 0.5, "met": false}}}')
    outcome = outcome_of(folder, RECORD.model_copy(update={"result": {"winner": 1}}))
    assert outcome.missed == ("expected loss < 0.1, got 0.5",)
    assert outcome.record()["missed"] == [*outcome.missed]

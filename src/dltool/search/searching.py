"""The story of a search: the config as written first, then trials that are asked for, paused and promoted."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol, cast

from dltool.config.load import Document, build_config, read_document, with_option
from dltool.data.shared import SharedSource
from dltool.errors import ConfigError, DiskError, Interrupted, MachineError, TrainingDiverged
from dltool.experiment.new_training import Terms, train_until_stopped
from dltool.experiment.resuming import resume_locked
from dltool.experiment.signals import StopNow, StopRequests
from dltool.experiment.stages import Stages
from dltool.keras_names import ALLOWED
from dltool.machine import forget_models
from dltool.runs.checkpoint_file import newest_checkpoint
from dltool.runs.configs import recorded_epochs
from dltool.runs.files import Run
from dltool.runs.records import read_record
from dltool.search.rungs import Job, Mode, Trial, make_rungs, next_job, winner
from dltool.search.search_folder import Measured, SearchFolder, SearchRecord
from dltool.search.space import read_space, values_as_written, with_metric, with_values_at
from dltool.search.study import StoredStudy, suggested
from dltool.text import counted

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress
    from dltool.training.state import EpochRecord

PAUSE = 0
"""Asks a run to stop as a signal does; it is no number of a signal."""
STAGE_SECONDS = 2.0
"""Of training in the first stage. Building a model and resuming a trial takes about as long."""
MOST_FAILURES = 10
SECONDS_BETWEEN_LOOKS = 0.5
WORKER = "DLTOOL_SEARCH_WORKER"
"""The environment variable of a worker: the process that started it."""


class Watch(Protocol):
    """Shows a search: on the console, or to a test."""

    def warn(self, message: str) -> None: ...
    def begins(self, record: SearchRecord, mode: Mode) -> None: ...
    def row(self, trial: Trial) -> None: ...
    def listening(self, title: str) -> "AbstractContextManager[Progress]": ...


class Pausing:
    """Forwards the events of a run, and asks it to stop after an epoch."""

    def __init__(self, progress: "Progress", stops: StopRequests, epochs: int | None) -> None:
        self.progress, self.stops, self.epochs = progress, stops, epochs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.progress, name)

    def epoch_ends(self, record: "EpochRecord", is_best: bool) -> None:
        self.progress.epoch_ends(record, is_best)
        if self.epochs is not None and record.epoch >= self.epochs:
            self.stops.received.append(PAUSE)


@dataclass
class Search:
    """A search in this process. Other processes may work on the same folder."""

    folder: SearchFolder
    watch: Watch
    stops: StopRequests
    read: SharedSource

    def __post_init__(self) -> None:
        self.record = self.folder.record()
        self.document = read_document(self.folder.config)
        self.config = build_config(self.document)
        self.space = read_space(self.document)
        self.parent, self.began = os.environ.get(WORKER), time.monotonic() - self.record.seconds
        self.study: StoredStudy | None = None
        self.failed_in_a_row = 0
        self.is_exhausted = False
        self.shown: dict[int, Trial] = {}

    @property
    def measured(self) -> Measured:
        assert self.record.measured is not None
        return self.record.measured

    # --- the trials so far ---

    def trials(self) -> list[Trial]:
        """Return all trials with what they have reached. For the holder of the lock."""
        if self.study is None:
            journal, url, mode = self.folder.journal, self.record.storage, self.measured.mode
            self.study = StoredStudy(journal, url, self.record.study, self.space.parameters, mode)
            if not self.study.trials():
                if self.folder.run(1) is not None:
                    raise MachineError("the storage has lost the trials of this search", "restore it")
                self.study.add(values_as_written(self.document, self.space))
        return [self.folder.reached(each, self.record.metric) for each in self.study.trials()]

    def busy(self, trials: Sequence[Trial]) -> list[int]:
        """Return the trials that some process trains now."""
        resting = (each for each in trials if not (each.is_complete or each.reason))
        return [each.number for each in resting if Run(self.folder.trial_folder(each.number)).is_locked()]

    def document_of(self, trial: Trial, settings: Mapping[str, Any] | None = None) -> Document:
        """Return the config of a trial, with further `settings` by path. The first one is the config as written."""
        document = self.space.applied(self.document, trial.values) if trial.number else self.document
        threads = self.record.threads if self.record.measured is None else self.measured.threads
        own = dict(settings or {})
        if threads is not None and (trial.number or self.record.threads) and self.config.training.threads is None:
            own["training.threads"] = threads
        return with_values_at(with_metric(document, self.record.metric), own)

    # --- one job ---

    def train(self, document: Document, name: str, run: Run | None, epochs: int | None, title: str) -> None:
        """Train a run of a trial until it has `epochs` epochs, or to its end; begin it if there is none.

        Raises DltoolError: the training fails; StopNow: a signal asked to stop."""
        terms = Terms(is_kept=False, is_tested=False, read=self.read)
        if run is not None and not read_record(run).resumable:
            # It was stopped, and begins again.
            shutil.rmtree(run.path)
            run = None
        try:
            with self.watch.listening(title) as progress:
                stages = Stages(cast("Progress", Pausing(progress, self.stops, epochs)), self.stops)
                if run is None:
                    train_until_stopped(with_option(document, "name", name), self.folder.trials, stages, terms)
                else:
                    with run.locked():
                        resume_locked(run, None, False, (), stages, terms)
        except (StopNow, Interrupted):
            self.stops.received[:] = [number for number in self.stops.received if number != PAUSE]
            if self.stops.received:
                raise StopNow(self.stops.received[0]) from None
        finally:
            forget_models()

    def carry_out(self, job: Job) -> Trial:
        """Train a trial, record how it ended, and return it. Raises DltoolError: as many trials have failed."""
        number, rungs = job.trial.number, self.record.measured.rungs if self.record.measured else ()
        folder, reason = self.folder.trial_folder(number), ""
        until = job.epochs if number and job.epochs < rungs[-1] else None
        try:
            title = f"trial {number}" if number else "the config as written"
            self.train(self.document_of(job.trial), folder.name, self.folder.run(number), until, title)
            self.failed_in_a_row = 0
        except (ConfigError, MachineError, TrainingDiverged, MemoryError) as error:
            self.failed_in_a_row += 1
            if not number or isinstance(error, DiskError):
                # The disk fails for every trial; the next attempt resumes this one.
                raise
            reason = (str(error) or "out of memory").splitlines()[0]
        with self.folder.locked():
            trial = self.folder.reached(job.trial, self.record.metric)
            if not (reason or trial.is_complete or trial.epochs > job.trial.epochs):
                # Otherwise it would be tried again for ever.
                reason = "it ended without an epoch"
            trial = replace(trial, reason=reason)
            if self.study is not None and (reason or trial.is_complete):
                self.study.end(trial)
            if self.record.measured is not None and not self.record.keep_all:
                self.folder.free_beaten(self.measured.mode, self.record.seeds)
            if self.parent is None:
                self.record = self.folder.update(seconds=time.monotonic() - self.began)
        if self.failed_in_a_row == MOST_FAILURES:
            raise ConfigError(f"{MOST_FAILURES} trials in a row have failed: {reason}", "narrow the search space")
        return trial

    # --- the whole ---

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of the first trial: one process at a time measures, and one finishes the search."""
        with ExitStack() as stack:
            while not self.folder.claim(0, stack):
                time.sleep(SECONDS_BETWEEN_LOOKS)
            self.record = self.folder.record()
            yield

    def measure(self) -> None:
        """Train the config as written, and record what decides about the other trials."""
        first = Trial(0, {})
        if not self.folder.reached(first, self.record.metric).is_complete:
            self.carry_out(Job(first, 0))
        run = self.folder.run(0)
        assert run is not None
        checkpoint, _ = newest_checkpoint(run.checkpoints)
        record, lines = read_record(run), run.read_metrics()
        total = recorded_epochs(run) or len(lines)
        rungs: tuple[int, ...] = (total,)
        if self.record.factor is not None and not record.resumable:
            self.watch.warn("trials cannot pause, as this config names something outside of its runs")
        elif self.record.factor is not None:
            seconds = max(median(line["seconds"] for line in lines), 1e-3)
            rungs = make_rungs(self.record.first or round(STAGE_SECONDS / seconds) or 1, self.record.factor, total)
        mode, threads = checkpoint.state["best"]["direction"], int(record.pinned["intra_op_threads"])
        measured = Measured(mode=mode, rungs=rungs, threads=threads)
        with self.folder.locked():
            self.record = self.folder.update(measured=measured)

    def next(self, claim: ExitStack) -> tuple[Job | None, bool]:
        """Return the next job, held by `claim`, and whether a later one may come from jobs of other processes."""
        with self.folder.locked():
            self.record = self.folder.record()
            trials = self.trials()
            self.show(trials)
            busy, deadline = self.busy(trials), self.record.deadline
            is_open = len(trials) < self.record.trials and not self.is_exhausted
            is_open = is_open and (deadline is None or time.time() < deadline)
            factor, rungs, mode = self.record.factor or 2, self.measured.rungs, self.measured.mode
            job = next_job(trials, rungs, factor, mode, busy, is_closing=not is_open)
            if job is None and is_open:
                values = suggested(self.space.parameters, trials, mode, self.record.seed, busy)
                if values is None:
                    self.is_exhausted = True
                    return None, True
                assert self.study is not None
                job = Job(self.study.add(values), rungs[0])
            if job is not None and not self.folder.claim(job.trial.number, claim):
                return None, True
            return job, bool(busy)

    def run_trials(self) -> None:
        """Train until no job is left, in any process; in a worker as long as the process that started it lives."""
        while self.parent is None or os.getppid() == int(self.parent):
            with ExitStack() as claim:
                job, may_follow = self.next(claim)
                if job is not None:
                    self.carry_out(job)
                elif not may_follow:
                    return
                else:
                    time.sleep(SECONDS_BETWEEN_LOOKS)

    def show(self, trials: Sequence[Trial]) -> None:
        """Show the trials that have come to rest since the last look."""
        busy = self.busy(trials)
        for trial in trials:
            if trial.number not in busy and trial != self.shown.get(trial.number) and (trial.epochs or trial.reason):
                self.shown[trial.number] = trial
                self.watch.row(trial)

    def carry_on(self) -> Trial:
        """Train everything that is left, with the other workers, and return the best trial.

        Raises DltoolError: the config as written fails, or trial after trial; Interrupted: a signal asked to stop."""
        with self.alone() if self.record.measured is None else ExitStack():
            if self.record.measured is None:
                self.measure()
        self.watch.begins(self.record, self.measured.mode)
        if self.parent is None and self.record.minutes is not None:
            left = max(0.0, self.record.minutes * 60 - self.record.seconds)
            with self.folder.locked():
                self.record = self.folder.update(deadline=time.time() + left)
        with self.other_workers() if self.parent is None else ExitStack():
            self.run_trials()
        with self.folder.locked():
            trials = self.trials()
            self.show(trials)
        best = winner(trials, self.measured.mode)
        if best is None:
            raise TrainingDiverged(f"{self.record.metric} was never a number in {counted(len(trials), 'trial')}")
        return best

    @contextmanager
    def other_workers(self) -> Iterator[None]:
        """Start the other workers of this machine; end them with the block."""
        code = [part for file in ALLOWED for part in ("--allow-code", file.shown_as)]
        command = [sys.executable, "-m", "dltool", "resume", str(self.folder.path), "--quiet", *code]
        environment = {**os.environ, WORKER: str(os.getpid())}
        workers = []
        try:
            for number in range(2, self.record.workers + 1):
                log = self.folder.path / f"worker-{number}.txt"
                with open(log, "w", encoding="utf-8") as file:
                    workers.append(
                        subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
                    )
            yield
        finally:
            for worker in workers:
                worker.terminate()
            for number, worker in enumerate(workers, 2):
                code_of_exit = worker.wait()
                if code_of_exit not in (0, 143, -15):
                    self.watch.warn(f"worker {number} ended with exit code {code_of_exit}: see worker-{number}.txt")

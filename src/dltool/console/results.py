"""The final output of the commands."""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dltool.config.text.tree import format_path
from dltool.console.consoles import StreamConsole, data_text, show_json, stderr_console, stdout_console
from dltool.console.explanations import show_explanation
from dltool.console.exports import show_ejection, show_exports, show_forecast
from dltool.console.part_table import fold_sizes, part_lines
from dltool.console.problems import problems_as_json, render_error
from dltool.console.table_layout import aligned_table, plain_table, show_columns, show_curve, show_drift, show_groups
from dltool.errors import DltoolError
from dltool.runs.files import Run
from dltool.runs.repeats import repeats
from dltool.text import counted, duration, joined, number, numbers, shape, short, size_text, value_text

if TYPE_CHECKING:
    from dltool.commands.check import CheckOutcome
    from dltool.commands.evaluate import EvaluationOutcome
    from dltool.commands.predict import PredictionOutcome
    from dltool.commands.report import ReportOutcome
    from dltool.commands.reproduce import Reproduction
    from dltool.commands.resume import AlreadyComplete
    from dltool.config.load import Document
    from dltool.experiment.finishing import TrainingOutcome
    from dltool.search.finish import SearchOutcome

MOST_CLASSES = 20
SHORTEST = 0.1  # seconds of an epoch
PARTS_OF_MEMORY = {"activations": "activations of a batch"}


def show_error(error: DltoolError, document: "Document | None", as_json: bool) -> None:
    """Print all problems on stderr; with `as_json` also as one document on stdout."""
    stderr_console().print(error_text(error, document))
    if as_json:
        found = {"ok": False, "exit_code": error.exit_code, "problems": problems_as_json(error, document)}
        show_json({**found, "run": error.kept or None, "next": resume_command(error)})


def error_text(error: DltoolError, document: "Document | None") -> Text:
    """Format all problems of `error`, what was written, and the next step."""
    text = render_error(error, document)
    if not error.kept:
        return text.append(f"{counted(len(error.problems), 'problem')}; nothing was written", "dim")
    text.append_text(data_text(f"completed work is kept in {error.kept}"))
    next_step = resume_command(error)
    return text.append_text(Text("\n") + data_text(f"next  {next_step}")) if next_step else text


def resume_command(error: DltoolError) -> str | None:
    return f"dltool resume {with_code(error.kept)}" if error.kept and error.can_resume else None


def show(outcome: Any, *, as_json: bool, is_quiet: bool = False) -> None:
    """Print an outcome on stdout: its `record()` as one JSON document, or text with the next step. With `is_quiet`, a
    training run or a curve has no text. Missed expectations and warnings go to stderr."""
    kind = type(outcome).__name__
    for line in getattr(outcome, "missed", ()):
        stderr_console().print(Text("expectation missed: ", "bold red") + data_text(line))
    if warning := getattr(outcome, "warning", ""):
        stderr_console().print(Text("warning: ", "yellow") + data_text(warning))
    if as_json:
        show_json(outcome.record())
    elif kind != "Followed" and not (is_quiet and kind in ("TrainingOutcome", "SearchOutcome", "CurveOutcome")):
        IN_WORDS[kind](outcome, stdout_console())


def show_training(outcome: "TrainingOutcome", console: StreamConsole) -> None:
    results = outcome.results
    if results["epochs"]:
        console.print(data_text(best_words(results)))
    lines = [*metric_lines(results, console.width), *part_lines(results)]
    for line in [*lines, *threshold_lines(results.get("thresholds", {}))]:
        console.print(data_text(line), soft_wrap=True)
    if spent := results.get("privacy"):
        words = f"epsilon {spent['epsilon']:.3g} at delta {spent['delta']:g}"
        console.print(data_text(f"spent {words}: {outcome.published}"), soft_wrap=True)
    console.print(data_text(f"took  {duration(results['seconds']['total'])}"))
    if outcome.profile is not None:
        show_profile(outcome.profile, outcome.run, console)
    if not outcome.is_kept:
        console.print("smoke test passed: trained, saved, reloaded and evaluated; nothing was kept")
        return
    console.print(data_text(f"run   {outcome.run}"), soft_wrap=True)
    if (report := outcome.run / "report.html").exists():
        console.print(data_text(f"see   {report}"), soft_wrap=True)
    # A run may have trained its folds alone.
    run = with_code(outcome.run if results["epochs"] or "ensemble" in results else outcome.run / "folds" / "1")
    commands = [*([f"evaluate {run}"] if results["test"] else []), f"predict {run} FILE"]
    for head, command in zip(("next", "or"), commands, strict=False):
        console.print(data_text(f"{head:<4}  dltool {command}"), soft_wrap=True)


def best_words(results: Mapping[str, Any]) -> str:
    best = results["best"]
    if not results["epochs"]:
        count = results.get("ensemble")
        return f"the mean of {count} models" if count else "no model of its own beside its folds"
    if best["value"] is None:
        return f"no best epoch of {results['epochs']}: {best['monitor']} was never a number"
    if best["monitor"] == "epoch":
        return f"the last of {results['epochs']} epochs counts: there is no validation split"
    return f"best epoch {best['epoch']} of {results['epochs']} by {best['monitor']} ({number(best['value'])})"


def metric_lines(results: Mapping[str, Any], width: int) -> list[str]:
    """Return the test metrics, with intervals if any, in as few lines as fit."""
    intervals = results.get("intervals", {})
    lines: list[str] = []
    hidden = repeats([results["test"]])
    for name, value in results["test"].items():
        if name in hidden:
            continue
        measured, *ends = numbers([value, *(intervals.get(name) or ())])
        words = f"{name} {measured} ({' to '.join(ends)})" if ends else f"{name} {measured}"
        if lines and cell_len(f"{lines[-1]}  {words}") <= width:
            lines[-1] += f"  {words}"
        else:
            lines.append(f"{'' if lines else 'test':<4}  {words}")
    return lines


def threshold_lines(thresholds: Mapping[str, Any]) -> list[str]:
    """Return a line for each output with a decision threshold."""
    from dltool.runs.records import ThresholdRecord

    starts = {name: f"{name}: " if len(thresholds) > 1 else "" for name in thresholds}
    return [f"{starts[name]}{ThresholdRecord.model_validate(each).words}" for name, each in thresholds.items()]


def show_profile(times: Mapping[str, float], run: Path, console: Console) -> None:
    total = max(times["total"], 1e-9)
    table = plain_table("activity", "seconds", "share")
    for name, value in times.items():
        share = name.startswith("idle")
        table.add_row(name, "" if share else f"{value:.2f}", f"{value if share else value / total:.0%}")
    console.print(table)
    console.print(data_text(f"trace {run / 'profile'}, for tensorboard --logdir with its profile plugin"))


def show_complete(outcome: "AlreadyComplete", console: StreamConsole) -> None:
    console.print(data_text(f"{outcome.run} is complete: nothing to do"))
    if outcome.can_extend:
        console.next_step(f"dltool resume {with_code(outcome.run)} --epochs N trains it further")


def with_code(path: Path | str) -> str:
    # Not imported at the start.
    from dltool import keras_names

    return keras_names.with_code(path)


def show_reproduction(outcome: "Reproduction", console: StreamConsole) -> None:
    if outcome.difference:
        console.print(Text("different  ", "bold red") + data_text(outcome.difference))
    else:
        console.print(data_text(f"identical  {counted(outcome.epochs, 'epoch')}, all weights and metrics"))
    if outcome.again is not None:
        console.print(data_text(f"kept in    {outcome.again}"))


def show_evaluation(outcome: "EvaluationOutcome", console: StreamConsole) -> None:
    from dltool.evaluation.findings import MODEL

    found = outcome.assessment
    console.print(data_text(f"{outcome.run}: {found.split}, {counted(found.examples, 'example')}"))
    table = aligned_table("metric", numbers=("value", "95 % interval"))
    hidden = repeats([{name: each.value for name, each in found.metrics.items()}])
    for name, each in found.metrics.items():
        value, *ends = numbers(end for end in (each.value, each.low, each.high) if end is not None)
        if name not in hidden:
            table.add_row(data_text(name), value, " to ".join(ends))
    console.print(table)
    for words in threshold_lines(outcome.thresholds):
        console.print(data_text(words), soft_wrap=True)
    for groups in found.groups:
        if groups.were_named:
            show_groups(groups, console)
    for line in found.baselines:
        if line.name == MODEL:
            continue
        value = number(line.value) if line.value is not None else f"not computed: {line.note}"
        console.print(data_text(f"{line.name}: {line.metric} {value}"), style="dim")
    if not outcome.warning:
        console.print(Text("in    ", "bold") + data_text(outcome.folder))
    whole = Run(outcome.run).whole
    folder = (outcome.run if whole is None else whole.path).parent.parent
    console.next_step(f"dltool runs --runs {shlex.quote(str(folder))}")


def show_report(outcome: "ReportOutcome", console: StreamConsole) -> None:
    console.print(data_text(outcome.numbers["verdict"]["words"]))
    for finding in outcome.numbers["warnings"]:
        console.print(Text("look  ", "bold") + data_text(f"{finding['title']}: {finding['next_step']}"), soft_wrap=True)
    console.print(data_text(f"{outcome.file}: the report of {outcome.run}"))
    console.next_step(f"open {shlex.quote(str(outcome.file))} in a browser")


def show_predictions(outcome: "PredictionOutcome", console: StreamConsole) -> None:
    """Print where the predictions are, or the predictions themselves with everything else on stderr."""
    from dltool.evaluation.predictions import write_csv

    predictions = counted(len(outcome.columns["file"]), "prediction")
    if outcome.out:
        console.print(data_text(f"{outcome.out}: {predictions} of {outcome.run}"))
        from dltool.runs.records import read_results

        is_tested = bool(read_results(Run(outcome.run)).test)
        console.next_step(f"dltool evaluate {with_code(outcome.run)}{'' if is_tested else ' --data FILE'}")
    else:
        write_csv(outcome.columns, sys.stdout)
        stderr_console().print(data_text(f"{predictions} of {outcome.run}"))
        stderr_console().next_step("--out predictions.csv writes a file; .jsonl and .parquet work too")


def show_check(outcome: "CheckOutcome", console: StreamConsole) -> None:
    if outcome.lists_origins:
        for origin in outcome.origins:
            written = f"  ({origin.written})" if origin.written else ""
            value = data_text(f"{format_path(origin.path)} = {value_text(origin.value)}")
            console.print(value, Text(f"  {origin.origin}{written}", "dim"))
    if outcome.columns:
        show_columns(outcome.columns, console)
    if outcome.classes:
        console.print(class_table(outcome))
    if outcome.layers:
        console.print(layer_table(outcome))
    for line in fact_lines(outcome):
        console.print(data_text(line))
    for warning in outcome.warnings:
        stderr_console().print(Text("warning: ", "yellow") + data_text(warning))
    built = outcome.plan is not None
    what = joined(["config"] + ["data"] * outcome.read_data + ["model"] * built, "and")
    if outcome.svg is not None:
        console.print(data_text(f"{outcome.svg}: the graph of the model"))
    console.print(data_text(f"{outcome.shown_as}: no errors found in {what}"))
    further = "" if built else " --build" if outcome.read_data else " --data --build"
    console.next_step(f"dltool {'check' if further else 'train'} {with_code(outcome.shown_as)}{further}")


def layer_table(outcome: "CheckOutcome") -> Table:
    """Make a row for each layer. Lines of the config itself omit its name."""
    table = aligned_table("layer", "line", "output", numbers=("parameters", "FLOPs"))
    for row in outcome.layers:
        line = row.line.removeprefix(f"{outcome.shown_as}:")
        output = "" if row.output_shape is None else shape(row.output_shape)
        flops = "?" if row.flops is None else short(row.flops)
        table.add_row(data_text(row.name), data_text(line), output, f"{row.parameters:,}", flops)
    if (plan := outcome.plan) is not None:
        # The sum, or a lower bound if a layer's are unknown.
        known = f"≥ {short(sum(row.flops or 0 for row in outcome.layers))}" if plan.flops is None else short(plan.flops)
        table.add_row(*(Text(cell, "bold") for cell in ("total", "", "", f"{plan.parameters:,}", known)))
    return table


def fact_lines(outcome: "CheckOutcome") -> list[str]:
    """Return a line each for the data, its splits, the memory for training, and an epoch's steps and time."""
    facts, steps, plan = outcome.facts, outcome.steps_per_epoch, outcome.plan
    if facts is None or steps is None:
        return []
    lines = [facts.in_words, f"{', '.join(f'{size:,} {name}' for name, size in facts.sizes.items())} examples"]
    if outcome.folds:
        lines.append(f"{counted(len(outcome.folds), 'fold')}: {', '.join(fold_sizes(outcome.folds))} examples each")
    if plan is not None:
        memory = {PARTS_OF_MEMORY.get(name, name): size for name, size in asdict(plan.memory).items()}
        parts = ", ".join(f"{name} {size_text(size)}" for name, size in memory.items() if size is not None)
        lines.append(f"memory for training about {size_text(plan.memory.total)}: {parts}")
    seconds = None if plan is None else plan.seconds
    lines.append(f"{counted(steps, 'step')} an epoch{time_text(seconds, steps)}")
    return lines if outcome.privacy is None else [*lines, f"private training spends {outcome.privacy.words}"]


def time_text(seconds: float | None, steps: int) -> str:
    if seconds is None:
        return ""
    step = f"{1000 * seconds:.3g} ms" if seconds < 0.9 else duration(seconds)
    epoch = f"about {duration(seconds * steps)}" if seconds * steps >= SHORTEST else f"less than {duration(SHORTEST)}"
    return f": {epoch} without validation, at {step} a step"


def class_table(outcome: "CheckOutcome") -> Table:
    targets = outcome.facts.targets.values() if outcome.facts else ()
    are_labels = any(target.task.takes_several for target in targets)
    table = aligned_table("label" if are_labels else "class", numbers=("training", "validation", "test"))
    for name, counts in list(outcome.classes.items())[:MOST_CLASSES]:
        table.add_row(data_text(name), *(f"{count:,}" for count in counts))
    if len(outcome.classes) > MOST_CLASSES:
        table.add_row(f"… and {len(outcome.classes) - MOST_CLASSES:,} more", "", "", "")
    return table


def show_search(outcome: "SearchOutcome", console: StreamConsole) -> None:
    """Print the winner of a search, its values, its test, and what to do with it. A worker has none of these."""
    found = outcome.result
    if found:
        best, written = numbers([found["value"], found["as_written"]])
        line = f"best  trial {found['winner']} of {found['trials']}: {outcome.metric} {best}, as written {written}"
        if not found["winner"]:
            line = f"best  the config as written: {outcome.metric} {best}, none of {found['trials']} trials is better"
        console.print(data_text(line))
        for name, value in found["values"].items() if found["winner"] else ():
            console.print(data_text(f"      {name}: {value}"))
        others = found["other_seeds"].get(str(found["winner"]), ())
        if others:
            text = f"{outcome.metric} with {counted(len(others), 'other seed')}: {', '.join(numbers(others))}"
            console.print(data_text(f"      {text}; the best mean of {len(found['other_seeds'])} trials wins"))
        for line in metric_lines(found, console.width):
            console.print(data_text(line), soft_wrap=True)
        if compared := found["against_written"]:
            written = number(compared["as_written"])
            console.print(data_text(f"      {compared['metric']} as written {written}: {compared['verdict']}"))
        if found["failed"]:
            console.print(data_text(f"      {counted(len(found['failed']), 'trial')} failed: see search.json"))
        console.print(data_text(f"see   {outcome.folder / 'search.html'}"), soft_wrap=True)
        console.next_step(f"dltool train {with_code(found['best'])}")


IN_WORDS: Mapping[str, Callable[[Any, StreamConsole], None]] = {
    "TrainingOutcome": show_training,
    "SearchOutcome": show_search,
    "AlreadyComplete": show_complete,
    "Reproduction": show_reproduction,
    "EvaluationOutcome": show_evaluation,
    "ReportOutcome": show_report,
    "PredictionOutcome": show_predictions,
    "CheckOutcome": show_check,
    "ExplanationOutcome": show_explanation,
    "CurveOutcome": show_curve,
    "DriftOutcome": show_drift,
    "ExportForecast": show_forecast,
    "ExportOutcome": show_exports,
    "EjectionOutcome": show_ejection,
}
"""By class name: importing all classes would be slow."""

"""What the report of a run says of its folds or seeds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.figures.figure import Figure
from dltool.evaluation.findings import MODEL
from dltool.evaluation.resampled_t import within_t
from dltool.evaluation.tasks import images
from dltool.folds.part_configs import recorded_parts
from dltool.folds.part_figures import curves_figure, dots_figure
from dltool.report.sections import ReportSection
from dltool.report.verdict import less_is_better, with_interval
from dltool.report.warnings import Finding
from dltool.runs.files import Run
from dltool.runs.part_records import MetricSpread, PartResults, part_results
from dltool.runs.records import Results, read_results
from dltool.runs.repeats import repeats
from dltool.text import counted, numbers

MOST_FIGURES = 3
CHANCE = 0.01
"""An outlier lies farther from the mean of the others than one of all parts would in so many runs."""
LEAST_OTHERS, MOST_SHOWN = 3, 100
ROUNDING = 1e-6
WIDE, APART = 3, 5
"""Best epochs vary if the last is this multiple of the first, and so many epochs later."""


def part_sections(run: Run) -> tuple[ReportSection, ...]:
    """Return the section of the report on the folds or seeds of a complete run. Raises RunError: a part is damaged."""
    results = read_results(run)
    found = part_results(results)
    if found is None:
        return ()
    runs = run.parts if found.are_folds else [run, *run.parts]
    words = [each.words for each in recorded_parts(run)] if found.are_folds else [f"seed {s}" for s in found.seeds]
    named = dict(zip(words, runs, strict=False))
    hidden = repeats([{name: each.shown or 0.0 for name, each in found.metrics.items()}])
    # Comparable metrics first, the loss last.
    metrics = {name: each for name, each in found.metrics.items() if name not in hidden}
    metrics = dict(sorted(metrics.items(), key=lambda each: each[0].endswith("loss")))
    title = "Folds" if found.are_folds else "Seeds"
    return (
        ReportSection(
            "parts",
            title,
            list(sentences(found, metrics, results)),
            figures(found, metrics, named),
            f"Values of each {title[:-1].lower()}",
            table(found, metrics, words),
            [*outliers(metrics, named), *best_epoch_findings(found)],
        ),
    )


def sentences(found: PartResults, metrics: Mapping[str, MetricSpread], results: Results) -> Iterator[str]:
    for name, each in metrics.items():
        if each.shown is None or each.sd is None:
            continue
        value = with_interval(Interval(each.shown, *(each.interval or ())))
        what = "out of fold" if found.are_folds else "in the mean"
        yield f"{name} is {value} {what}; the standard deviation is {found.spread_words(each)}."
    if not found.are_folds:
        yield (
            "The interval is that of another run, with another seed and other test examples. The saved model has the "
            "first seed."
        )
        return
    training = f"{min(found.training):,}" if found.training else "other"
    saved = "; its saved model is another one, trained on more examples" if results.epochs else ""
    yield (
        f"Each of {counted(found.examples, 'example')} was predicted by a model that was not trained on it, with "
        f"{training} training examples. This is the result to expect of such a run{saved}."
    )
    several = [word for word, there in (("repeat", found.repeats > 1), ("seed", bool(found.seeds))) if there]
    if several:
        yield f"The figures of the results show each example once: with the first {' and the first '.join(several)}."
    if results.ensemble:
        tested = "the test split measures the mean" if results.test else "no example is left to measure the mean"
        yield (
            f"The saved model is the mean of these {results.ensemble} models. The values above are those of one of "
            f"them; {tested}. A prediction costs {results.ensemble} times as much as that of one."
        )


def figures(found: PartResults, metrics: Mapping[str, MetricSpread], named: Mapping[str, Run]) -> list[Figure]:
    """Return the dots of the first metrics, and the curves of all parts. One that cannot be drawn is left out."""
    makers: list[Any] = []
    for name, spread in list(metrics.items())[:MOST_FIGURES]:
        others = [
            each for each in found.baselines if each.metric == name and each.name != MODEL and each.value is not None
        ]
        best = (min if less_is_better(name) else max)(others, key=lambda each: each.value or 0.0, default=None)
        values = [] if best is None or None in best.each else [float(value or 0.0) for value in best.each]
        makers.append(
            lambda name=name, spread=spread, values=values, best=best: dots_figure(
                name, spread, values, "" if best is None else best.name, found.words
            )
        )
    lines = {words: run.read_metrics() for words, run in named.items()}
    best_epochs = [int(each) if each else None for each in found.best_epochs] or [None] * len(lines)
    curves = {words: (each, best) for (words, each), best in zip(lines.items(), best_epochs, strict=False)}
    # The curve that chose the best epochs, if any did.
    monitor = next((read_results(run).best.monitor for run in named.values()), None)
    curve = monitor if monitor and monitor != "epoch" else "loss"
    makers.append(lambda: curves_figure(curve, curves))
    return [figure for figure in images(makers, lambda _: None) if figure is not None]


def table(found: PartResults, metrics: Mapping[str, MetricSpread], words: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each part."""
    columns: dict[str, Sequence[Any]] = {
        "training": found.training,
        "test": found.test,
        "best epoch": found.best_epochs,
        **{name: each.each for name, each in metrics.items()},
    }
    return [
        {"part": part, **{name: values[index] for name, values in columns.items() if len(values) > index}}
        for index, part in enumerate(words)
    ]


def outliers(metrics: Mapping[str, MetricSpread], named: Mapping[str, Run]) -> Iterator[Finding]:
    """Yield the parts that are far worse than the others, by the first metric that shows it."""
    reported = set()
    for name, spread in metrics.items():
        values = np.array([np.nan if value is None else value for value in spread.each], float)
        sign = 1 if less_is_better(name) else -1
        for index, (words, run) in enumerate(named.items()):
            others = np.delete(values, index)
            if words in reported or index >= len(values) or len(others) < LEAST_OTHERS:
                continue
            far = sign * (values[index] - others.mean()) / max(others.std(ddof=1), 1e-12)
            # A prediction interval for one more value.
            within = within_t(float(far) / np.sqrt(1 + 1 / len(others)), len(others) - 1)
            if np.isfinite(far) and abs(values[index] - others.mean()) > ROUNDING and within > 1 - CHANCE / len(values):
                reported.add(words)
                value, mean = numbers([values[index], others.mean()])
                how = f"{far:.1f} standard deviations of the others" if far < MOST_SHOWN else "far"
                text = f"{name} is {value} in {words}, {how} worse than their mean {mean}."
                step = f"Look at its worst errors: dltool evaluate {run.path}"
                yield Finding("part", f"{words.capitalize()} is much worse than the others", text, step)


def best_epoch_findings(found: PartResults) -> Iterator[Finding]:
    known = [int(epoch) for epoch in found.best_epochs if epoch is not None]
    if len(known) > 1 and max(known) >= WIDE * min(known) and max(known) - min(known) >= APART:
        text = f"The best epoch lies between {min(known)} and {max(known)}: which one it is depends on the split."
        step = "Fix the number of epochs, lower the learning rate, or use more validation examples."
        yield Finding("part", "The best epoch varies", text, step, is_note=True)

"""The contents of a report as an HTML page."""

from collections.abc import Iterator

from markupsafe import Markup

from dltool.config.tasks import TASKS, Task
from dltool.report.contents import Contents, OutputContents, ShownMistake
from dltool.report.page import PageSection, render, render_page

MOST_EPOCHS = 200
MOST_NAMES = 60
MOST_ROWS = 100
MOST_CLASSES = 100
FOUND = ("default", "")
"""Origins of values that the config omits."""


def html(report: Contents) -> str:
    """Return the whole page: first how good the model is, then warnings, details, and how it was made."""
    title = f"{report.name} {report.number}: report"
    return render_page(title, render("header.html", report=report), [*sections(report)])


def sections(report: Contents) -> Iterator[PageSection]:
    yield PageSection("verdict", "Is it any good?", render("verdict.html", report=report))
    yield PageSection("warnings", "What to look at", render("warnings.html", report=report))
    if report.lines:
        names = list(dict.fromkeys(name for line in report.lines[:MOST_EPOCHS] for name in line))[:MOST_NAMES]
        learning = render("learning.html", report=report, names=names, most=MOST_EPOCHS)
        yield PageSection("learning", "Learning", learning)
    for index, output in enumerate(report.outputs):
        title = "Results" if len(report.outputs) == 1 else f"Results: {output.name}"
        yield PageSection(f"results-{index + 1}", title, results(output, f"results-{index + 1}"))
    if report.examples:
        yield PageSection("examples", "Examples, as the model sees them", render("examples.html", report=report))
    yield PageSection("layers", "Layers", render("layers.html", report=report))
    yield PageSection("data", "Data", data(report))
    yield PageSection("config", "Config", config(report))
    about = render("about.html", report=report, total=report.seconds.get("total", 0))
    yield PageSection("about", "How it was made", about)


def results(output: OutputContents, place: str) -> Markup:
    names, task = list(dict.fromkeys(name for row in output.table for name in row)), TASKS[output.kind]
    has_images = all(any(look.image for look in shown.looks) for shown in output.mistakes)
    return render(
        "output.html",
        output=output,
        place=place,
        names=names,
        task=task,
        is_wide=not has_images or not task.has_labels,
        mistake_words=mistake_words,
        most=MOST_ROWS,
    )


def mistake_words(task: Task, shown: ShownMistake) -> str:
    mistake = shown.mistake
    words = f"{task.sureness(mistake.confidence)} · {shown.place}"
    if not task.has_labels:
        return words
    return f"{mistake.target or task.nothing}, predicted {mistake.prediction or task.nothing} · {words}"


def data(report: Contents) -> Markup:
    training = max(1, sum(counts[0] for counts in report.data.classes.values()))
    return render("data.html", report=report, classes=[*report.data.classes.items()][:MOST_CLASSES], training=training)


def config(report: Contents) -> Markup:
    has_origins = any(setting.origin for setting in report.settings)
    defaults = [setting for setting in report.settings if has_origins and setting.origin in FOUND]
    written = [setting for setting in report.settings if not (has_origins and setting.origin in FOUND)]
    return render("config.html", written=written, defaults=defaults, config_lines=report.config_text.splitlines())

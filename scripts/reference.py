"""Writes the reference pages, the layout page and the page of awkward files of the documentation from the code.

    python scripts/reference.py            write the pages
    python scripts/reference.py --check    exit 1 if a page is not what the code says

Every page has one source: the schema of configs, the options of the command line, and tables of the modules that own
files, exit codes and environment variables, or of the tests. A sentence to change is a sentence in the code.
"""

import ast
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from dltool import cli
from dltool.config.columns import COLUMN_TYPES, TARGET_TYPES
from dltool.config.describe import described_choice, key_arguments, section_of
from dltool.config.json_schema import json_schema, own_schema
from dltool.config.keras.objects import KerasObject
from dltool.config.losses import BINARY, FAMILIES, MARGIN, ONE_HOT, OVERLAP, SEQUENCES, SPARSE, LossFamily
from dltool.config.metric_forms import FORMS as FORM_WORDS
from dltool.config.metric_forms import METRIC_FORMS, ONE_HOT_LOSS, Compared, Form, adapted
from dltool.config.section import Section
from dltool.config.sources import SOURCES
from dltool.config.tasks import TASKS, TargetFacts, Task
from dltool.errors import EXIT_CODES, DltoolError, Interrupted, Problem
from dltool.machine import OTHER_VARIABLES, VARIABLES
from dltool.runs.files import CONTENTS

ROOT = Path(__file__).resolve().parents[1]
DOCS, SOURCE = ROOT / "docs", ROOT / "src" / "dltool"
COMMAND = "python scripts/reference.py"
NOTE = f"<!-- Written by `{COMMAND}` from the code. Do not edit. -->\n"
ANY_TARGET = TargetFacts("number", (3,), ("a", "b"))
Table = Sequence[Sequence[str]]


def table(heads: Sequence[str], rows: Table) -> str:
    lines = [heads, ["-"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def one_line(text: object) -> str:
    return " ".join(str(text or "").split())


# --- keys of configs ---


def option_rows(section: Mapping[str, Any]) -> Table:
    """Return a row for each key of a section: key, type, default, description."""
    properties = section.get("properties", {})
    return [
        [code(each.name), each.type, code(each.default), one_line(properties[each.name].get("description"))]
        for each in key_arguments(dict(section))
    ]


KEY_HEADS = ("key", "type", "default", "description")


def config_sections() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every section of a config with its path: `data`, `data.split`, `model.blocks.NAME`, …"""
    own = own_schema()
    sections = own["definitions"]

    def below(section: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for name, schema in section.get("properties", {}).items():
            inner = section_of(schema, sections)
            if inner:
                place = f"{path}{name}" + (".NAME" if "additionalProperties" in schema else "")
                yield place, inner
                yield from below(inner, f"{place}.")

    yield from below(own, "")


def config_page() -> str:
    extra = {name: schema for name, schema in json_schema()["properties"].items() if name in ("extends", "vars")}
    further = [[code(name), "", "", one_line(schema.get("description"))] for name, schema in extra.items()]
    parts = [
        "# Config keys\n",
        "`dltool describe KEY` prints the same for one key. Layers, optimizers, losses, metrics and callbacks are",
        "Keras's: `dltool describe Conv2D` lists their arguments, and so does [keras.io](https://keras.io/api/).",
        "[The config language](../guides/config-language.md) explains the rules for all keys.\n",
        "## The whole config\n",
        table(KEY_HEADS, [*option_rows(own_schema()), *further]),
        "Keys that begin with `x-` are yours, in every section.\n",
    ]
    for path, section in config_sections():
        parts += [f"## {path}\n", f"{one_line(section.get('description'))}\n", table(KEY_HEADS, option_rows(section))]
    return "\n".join(parts)


def choices_of(noun: str, choices: Mapping[str, type[Section]]) -> Iterator[str]:
    """Yield a heading, a description, an example and the options of each choice; equal ones share a heading."""
    by_section: dict[type[Section], list[str]] = {}
    for name, section in choices.items():
        by_section.setdefault(section, []).append(name)
    for options, names in by_section.items():
        schema = own_schema()["definitions"][options.__name__]
        yield f"### {', '.join(names)}\n"
        yield f"{one_line(schema.get('description') or described_choice(names[0], noun, options).summary)}\n"
        yield f"For example `{described_choice(names[0], noun, options).example.splitlines()[-1].strip()}`.\n"
        rows = option_rows(schema)
        yield table(("option", *KEY_HEADS[1:]), rows) if rows else "It has no options.\n"


def sources_page() -> str:
    intro = [
        "# Data sources\n",
        "`data.source`, `data.validation` and `data.test` name a source, alone or with options:",
        "`source: digits`, `source: {csv: adult.csv}` or `source: {csv: {path: adult.csv, delimiter: ;}}`.",
        "A single value is the first option. [Data](../guides/data.md) explains how to choose one.\n",
        "## Sources\n",
    ]
    return "\n".join([*intro, *choices_of("data source", SOURCES)])


def columns_page() -> str:
    intro = [
        "# Column types\n",
        "`data.inputs` gives columns of a table a type, alone or with options: `age: number` or",
        "`age: {number: {scale: log}}`. All other columns have the type that `dltool check CONFIG --data` shows.\n",
        "## Inputs\n",
    ]
    targets = ["## Targets\n", "`data.target` takes these, under the name of a column or alone.\n"]
    inputs = choices_of("column type", COLUMN_TYPES)
    return "\n".join([*intro, *inputs, *targets, *choices_of("target type", TARGET_TYPES)])


# --- commands ---

PLACEHOLDERS = {"<str>": "TEXT", "<int>": "N"}


def commands(group: TyperGroup, name: str) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    for each, command in group.commands.items():
        assert isinstance(command, TyperCommand | TyperGroup)
        yield f"{name} {each}", command
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{name} {each}")


def placeholder(parameter: Any, command: Any) -> str:
    text = str(parameter.make_metavar(typer.Context(command)))
    return PLACEHOLDERS.get(text, text)


def parameter_rows(command: TyperCommand | TyperGroup) -> Table:
    rows = []
    for each in command.params:
        if not isinstance(each, TyperOption):
            rows.append([code(placeholder(each, command)), one_line(getattr(each, "help", ""))])
        elif each.name != "help":
            value = "" if each.is_flag else f" {placeholder(each, command)}"
            rows.append([code(", ".join(each.opts) + value), one_line(each.help)])
    return rows


def usage(name: str, command: TyperCommand | TyperGroup) -> str:
    arguments = [placeholder(each, command) for each in command.params if not isinstance(each, TyperOption)]
    return " ".join([name, *arguments, "[OPTIONS]"])


def commands_page() -> str:
    app = typer.main.get_command(cli.app)
    assert isinstance(app, TyperGroup)
    parts = [
        "# Commands\n",
        "`dltool COMMAND --help` prints the same. Results go to stdout, progress and messages to stderr.",
        "With `--json`, stdout is one JSON document.\n",
    ]
    if rows := parameter_rows(app):
        parts += ["## dltool\n", table(("option", "description"), rows)]
    for name, command in commands(app, "dltool"):
        rows = parameter_rows(command)
        parts += [f"## {name}\n", f"{one_line(command.help)}\n", f"```text\n{usage(name, command)}\n```\n"]
        parts += [table(("argument or option", "description"), rows)] if rows else []
    return "\n".join(parts)


# --- tables that modules own ---


def exit_codes_page() -> str:
    raised: dict[int, list[str]] = {128 + number: ["`Interrupted`"] for number in (signal.SIGINT, signal.SIGTERM)}
    for each in DltoolError.__subclasses__():
        if each is not Interrupted:
            raised.setdefault(each.exit_code, []).append(f"`{each.__name__}`")
    rows = [[str(number), text, ", ".join(raised.get(number, ()))] for number, text in EXIT_CODES.items()]
    intro = "In Python, the exceptions of `dltool.errors` carry these codes.\n"
    return "\n".join(["# Exit codes\n", intro, table(("code", "meaning", "exception"), rows)])


def run_directory_page() -> str:
    parts = [
        "# The run directory\n",
        "`dltool train` makes a numbered directory for each run: `runs/NAME/0001`, `runs/NAME/0002`, …",
        "Numbers are never used again. `runs/NAME/latest` points to the newest run.",
        "A run directory is created whole or not at all, and one process at a time writes it.\n",
        table(("file or folder", "contents"), [[code(name), text] for name, text in CONTENTS.items()]),
        "Every later command reads these files; [Moving runs](../guides/moving.md) lists what each command needs.",
        "Nothing in a run directory is ever executed; see [Security](../how-it-works/security.md).\n",
    ]
    return "\n".join(parts)


def environment_page() -> str:
    recorded = table(("variable", "meaning"), [[code(name), text] for name, text in VARIABLES.items()])
    others = table(("variable", "meaning"), [[code(name), text] for name, text in OTHER_VARIABLES.items()])
    parts = [
        "# Environment variables\n",
        "A config reads any variable as `$(env.NAME)`; the run records the expression, not the value.\n",
        "## Variables of dltool and its packages\n",
        others,
        "## Variables that may change results\n",
        "They belong to TensorFlow and its libraries. `run.json` records those that are set.",
        "`dltool resume` refuses to continue if one of them has changed.\n",
        recorded,
    ]
    return "\n".join(parts)


# --- the layout of the source ---


def summary(path: Path) -> str:
    """Return the first sentence of the docstring of a module."""
    text = one_line((ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n\n")[0])
    text = re.sub(r":\w+:`~?([\w.]+\.)?(\w+)`", r"`\2`", text)
    return re.split(r"(?<=\.) (?=[A-Z])", text)[0].removesuffix(".") + "."


def layout_page() -> str:
    folders = sorted({path.parent for path in SOURCE.rglob("*.py")}, key=lambda path: path.relative_to(SOURCE).parts)
    names = {folder: ".".join(["dltool", *folder.relative_to(SOURCE).parts]) for folder in folders}
    contents = [
        [f"[`{name}`](#{name.replace('.', '')})", summary(folder / "__init__.py")] for folder, name in names.items()
    ]
    parts = [
        "# Layout of the source\n",
        "A module imports only from its own row and the rows above it; `tests/test_structure.py` has the rows.",
        "[The spine](../how-it-works/spine.md) is the place to start reading.\n",
        table(("package", "what it is"), contents),
    ]
    beside = {ROOT / name: name for name in ("benchmarks", "benchmarks/scripts", "scripts", "scripts/keras_names")}
    for folder, name in {**names, **beside}.items():
        modules = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
        if modules:
            parts += [f"## {name}\n", table(("module", "what it is"), [[code(p.stem), summary(p)] for p in modules])]
    return "\n".join(parts)


# --- losses and metrics ---

OUTPUTS = {
    SPARSE: "`softmax`, or logits with `from_logits: true`",
    ONE_HOT: "`softmax`, or logits with `from_logits: true` where the loss has it",
    OVERLAP: "`softmax` for each class, or one `sigmoid`",
    BINARY: "`sigmoid`, or logits with `from_logits: true`",
    SEQUENCES: "none: logits for each step",
    MARGIN: "`tanh` or no activation: the sign is the class",
}


def grouped(rows: Table) -> Table:
    """Join the first cells of rows that are otherwise the same."""
    found: dict[tuple[str, ...], list[str]] = {}
    for first, *others in rows:
        found.setdefault(tuple(others), []).append(first)
    return [[", ".join(firsts), *others] for others, firsts in found.items()]


def loss_rows() -> Table:
    """Return a row for each loss: the form of the targets by kind of target, and the last activation."""
    return [
        [
            code(name),
            *(FORM_WORDS[family.forms[task.name]] if takes(task, family) else "refused" for task in TASKS.values()),
            OUTPUTS.get(family, "any"),
        ]
        for name, family in FAMILIES.items()
    ]


def takes(task: Task, family: LossFamily) -> bool:
    refused = {each for entry in task.invalid if entry.applies(ANY_TARGET) for each in entry.families}
    return task.name in family.forms and family not in refused


def metric_cell(name: str, form: Form) -> str:
    """Return "yes", or the remedy; "*" if logits are converted, "½" if dltool sets the threshold 0.5."""
    flags = {"sparse_y_true": form == "index", "sparse_y_pred": False}
    made = KerasObject("metric", name, flags if name in ("IoU", "MeanIoU") else {}, name == "accuracy")
    found = adapted(made, Compared(form, None if form == "numbers" else "logits"))
    if isinstance(found, Problem):
        short = {ONE_HOT_LOSS: "a loss of one-hot targets", "remove it": "no"}
        return short.get(found.hint, found.hint.removeprefix("write "))
    is_converted = found.activation or found.metric.arguments.get("from_logits")
    has_threshold = found.metric.arguments.get("threshold")
    return "yes" + " *" * bool(is_converted) + " ½" * bool(has_threshold)


def losses_page() -> str:
    forms: tuple[Form, ...] = ("index", "one_hot", "binary", "labels", "numbers")
    rows = [[code(name), *(metric_cell(name, form) for form in forms)] for name in METRIC_FORMS]
    return f"""# Losses and metrics

A loss decides in which form the targets are compared, and what the last layer must give. A metric that would compare
something else is refused before training, at its line; one that only needs probabilities gets them from logits. The
same holds for monitors, expectations, intervals and `dltool evaluate --metrics`.

## Losses

The form in which each loss takes a kind of target, and the last activation, wherever it is in the model.

{table(["loss", *(code(f"target: {name}") for name in TASKS), "last activation"], grouped(loss_rows()))}
## Metrics

By the form in which the loss takes the targets. "yes": the number is what the name says; the tests compare each with
scikit-learn or NumPy. "\\*": logits are converted to probabilities. "½": the threshold is 0.5 unless the config sets
one, because Keras would take the largest output for the class. Other cells name what to write instead.

{table(["metric", *(FORM_WORDS[form] for form in forms)], grouped(rows))}
`accuracy` of several labels is `BinaryAccuracy`. Of two classes, `AUC`, `Precision`, `Recall` and the other metrics in
their row are those of the second, with two outputs too. Masked steps count in no metric. `IoU` and `MeanIoU` need
`sparse_y_pred: false`, and with one-hot targets `sparse_y_true: false`. Metrics of your own code get targets and
outputs as the loss does.
"""


# --- files as people have them ---


def awkward_files_page() -> str:
    from tests.drafting.awkward_cases import GROUPS

    parts = [
        "# My file does not fit\n",
        "`dltool init FILE` reads the whole file and drafts a config that says how it is written.",
        'This page lists what files have, and what a config says then. The last column is "yes" if `init` finds it.',
        "It takes the rest by `--set`: `--set 'data.source.csv.names=[age, income]'`, or",
        "`--set 'data.inputs.x={category: {case: lower}}'`.",
        "Every row is a test, which writes the file and reads it as the config says.\n",
        "`dltool check CONFIG --data` shows how columns were read, and names the option for cells that do not fit.",
        "No cell changes its meaning in silence.\n",
    ]
    for group in GROUPS:
        rows = [[each.file, code(each.write), "yes" if each.is_found else ""] for each in group.cases]
        parts += [f"## {group.title}\n", f"{group.intro}\n", table(("the file", "what to write", "`init`"), rows)]
    return "\n".join(parts)


PAGES: Mapping[str, Callable[[], str]] = {
    "guides/awkward-files.md": awkward_files_page,
    "reference/config.md": config_page,
    "reference/commands.md": commands_page,
    "reference/data-sources.md": sources_page,
    "reference/column-types.md": columns_page,
    "reference/losses-and-metrics.md": losses_page,
    "reference/exit-codes.md": exit_codes_page,
    "reference/run-directory.md": run_directory_page,
    "reference/environment.md": environment_page,
    "contributing/layout.md": layout_page,
}


def page(name: str) -> str:
    """Return the text of a generated page."""
    return NOTE + "\n" + PAGES[name]().strip() + "\n"


def main(arguments: Sequence[str]) -> int:
    outdated = []
    for name in PAGES:
        path, text = DOCS / name, page(name)
        if path.exists() and path.read_text("utf-8") == text:
            continue
        outdated.append(name)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    for name in outdated:
        what = f"is outdated: run {COMMAND}" if "--check" in arguments else "written"
        sys.stdout.write(f"docs/{name} {what}\n")
    return int(bool(outdated) and "--check" in arguments)


if __name__ == "__main__":
    # The tests have the table of awkward files.
    sys.path.append(str(ROOT))
    sys.exit(main(sys.argv[1:]))

"""The run that teaches a model: found, compared with the model's config and data, and recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from dltool.config.checks import compared_by, target_of
from dltool.config.metric_forms import Compared
from dltool.config.outputs import OutputSpec, heads_of
from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.errors import ConfigError, ConfigPath, Problem, RunError
from dltool.keras_names import ALLOWED, options_for
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.runs.recorded import recorded_config, recorded_facts
from dltool.runs.records import MOST_ITEMS, Lenient, Words, read_record
from dltool.text import and_more, listed, shape_text

TEACHER: ConfigPath = ("training", "teacher")
PLACE: ConfigPath = (*TEACHER, "run")


class TeacherRecord(Lenient):
    """The teacher of a run. `sha256` is that of its weights."""

    source: Words = ""
    sha256: str = ""
    weight: float = 0.0
    warnings: list[Words] = Field(default_factory=list)

    @property
    def words(self) -> str:
        return f"is taught by {self.source} (weight {self.weight:g})"


@dataclass(frozen=True)
class TeacherRun:
    """A run that can teach a model. `outputs` names the teacher's output for each of the model's, and `compared` what
    it is."""

    run: Run
    config: Config
    facts: Facts
    outputs: Mapping[str, str]
    compared: Mapping[str, Compared]


def teacher_run(config: Config, facts: Facts, source: str | None = None) -> TeacherRun | None:
    """Return the run that teaches the model of `config` on data of these `facts`, or None. `source` is the recorded
    path of the run, which a link that the config names may have left.

    Raises ConfigError: the run cannot be read, needs other code, or does not predict what the model shall."""
    options = config.training.teacher
    if options is None:
        return None
    try:
        run = open_run(Path(source or options.run))
        refuse_missing_code(run)
        theirs = recorded_config(run)
        found = recorded_facts(read_record(run).data, theirs.data, str(run.record))
    except RunError as error:
        raise ConfigError(Problem(PLACE, each.message, each.hint) for each in error.problems) from None
    ours, others = heads_of(config), {head.name: head for head in heads_of(theirs)}
    only = next(iter(others)) if len(ours) == len(others) == 1 else None
    ConfigError.refuse(input_problems(facts, found))
    outputs, compared = {}, {}
    for head in ours:
        other = others.get(only or head.name)
        if other is None:
            hint = f"its outputs are {listed(others, MOST_ITEMS)}"
            raise ConfigError(Problem(PLACE, f"the teacher has no output {head.name}", hint))
        outputs[head.name] = other.name
        compared[head.name] = refuse_other_output((config, head, facts), (theirs, other, found))
    if options.temperature is not None and all(each.form == "numbers" for each in compared.values()):
        raise ConfigError(Problem((*TEACHER, "temperature"), "numbers have no temperature", "remove it", at_key=True))
    return TeacherRun(run, theirs, found, outputs, compared)


def refuse_missing_code(run: Run) -> None:
    """Raise ConfigError if the run was trained with files that `--allow-code` does not name."""
    allowed = {code.sha256 for code in ALLOWED}
    missing = [str(code.file) for code in read_record(run).code if code.sha256 not in allowed]
    if missing:
        message = f"the teacher needs code that is not in its run: {and_more(missing, MOST_ITEMS)}"
        raise ConfigError(Problem(PLACE, message, f"add{options_for(missing[:MOST_ITEMS])}"))


def input_problems(facts: Facts, theirs: Facts) -> Iterator[Problem]:
    """Find inputs of the teacher that the data of the model does not have."""
    for name, needed in theirs.inputs.items():
        there = facts.inputs.get(name)
        wanted = f"the teacher takes {name}, {shape_text(needed.shape)} of {needed.dtype}"
        if there is None:
            yield Problem(
                PLACE, f"{wanted}, which is not in the data", f"it has {and_more(list(facts.inputs), MOST_ITEMS)}"
            )
        elif (there.shape, there.dtype) != (needed.shape, needed.dtype):
            message = f"{wanted}, and the data has {shape_text(there.shape)} of {there.dtype}"
            yield Problem(PLACE, message, "read the data as the teacher did; preprocessing may differ")
        elif there.column and needed.column and there.column.name != needed.column.name:
            message = f"the teacher takes {name} as {needed.column.name}, and the data has it as {there.column.name}"
            yield Problem(PLACE, message, f"{name}: {needed.column.name}")


Side = tuple[Config, OutputSpec, Facts]


def refuse_other_output(ours: Side, theirs: Side) -> Compared:
    """Return what the teacher's output is. Raises ConfigError: it is not comparable with that of the model."""
    targets = [target_of(head, facts.targets) for _, head, facts in (ours, theirs)]
    own, other = (
        compared_by(config, head, target) for (config, head, _), target in zip((ours, theirs), targets, strict=True)
    )
    for head, found in ((ours[1], own), (theirs[1], other)):
        is_known = found is not None and (found.form == "numbers" or found.outputs in ("probabilities", "logits"))
        if head.target is None or not is_known:
            who = "the teacher" if head is theirs[1] else "the model"
            message = f"the output of {who} with the loss {head.loss.name} is neither probabilities nor numbers"
            raise ConfigError(
                Problem(PLACE, message, "a teacher and its model need a crossentropy, or a loss of numbers")
            )
    names, others = (() if target is None else target.class_names for target in targets)
    if names != others:
        message = f"the teacher's classes are {and_more(list(others), MOST_ITEMS) or 'numbers'}"
        message += f", and those of the data are {and_more(list(names), MOST_ITEMS) or 'numbers'}"
        raise ConfigError(Problem(PLACE, message, "both need the same classes in the same order"))
    assert own is not None
    assert other is not None
    if (own.form == "numbers", own.activation) != (other.form == "numbers", other.activation):
        message = f"the teacher has {other.activation} outputs, and the model {own.activation} outputs"
        raise ConfigError(Problem(PLACE, message, "both need the same kind of last layer and loss"))
    return other

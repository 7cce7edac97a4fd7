"""The run that teaches a model: found, compared with the model's config and data, and recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from dltool.config.checks import compared_by, target_of
from dltool.config.metric_forms import FORMS, Compared
from dltool.config.outputs import OutputSpec, heads_of
from dltool.config.schema import Config
from dltool.data.facts import Facts, InputFacts
from dltool.errors import ConfigError, ConfigPath, Problem, RunError
from dltool.keras_names import ALLOWED, options_for
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.runs.recorded import recorded_config, recorded_facts
from dltool.runs.records import MOST_ITEMS, Lenient, RunRecord, Words, read_record
from dltool.runs.start_record import StartRecord
from dltool.text import and_more, listed, shape_text

TEACHER: ConfigPath = ("training", "teacher")
PLACE: ConfigPath = (*TEACHER, "run")
PROBABLE = ("probabilities", "logits")


class TeacherRecord(Lenient):
    """The teacher of a run. `sha256` is that of its weights."""

    source: Words = ""
    sha256: str = ""
    weight: float = 0.0
    warnings: list[Words] = Field(default_factory=list)

    @property
    def words(self) -> str:
        return f"is taught by {self.source} (weight {self.weight:g}): its training loss includes the distance to it"


def learned_from(record: RunRecord) -> tuple[StartRecord, TeacherRecord]:
    """Return the runs that a run has learned from, of which each may be missing."""
    return StartRecord.model_validate(record.start), TeacherRecord.model_validate(record.teacher)


@dataclass(frozen=True)
class TeacherRun:
    """A run that can teach a model. `outputs` names the teacher's output for each of the model's, and `compared` what
    it is."""

    run: Run
    config: Config
    facts: Facts
    outputs: Mapping[str, str]
    compared: Mapping[str, Compared]


def teacher_run(config: Config, facts: Facts | None, source: str | None = None) -> TeacherRun | None:
    """Return the run that teaches the model of `config` on data of these `facts`; None if there is none, or nothing is
    known of the data. `source` is the recorded path of the run, which a link that the config names may have left.

    Raises ConfigError: the run cannot be read, needs other code, or does not predict what the model shall."""
    options = config.training.teacher
    if options is None or facts is None:
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
            hint = f"its outputs are {listed([*others], MOST_ITEMS)}"
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
    """Find inputs of the teacher that the data of the model does not have in the same form."""
    for name, needed in theirs.inputs.items():
        wanted, there = in_words(needed), in_words(facts.inputs[name]) if name in facts.inputs else "no such input"
        if wanted != there:
            message = f"the teacher takes {name}, {wanted}, and the data has {there}"
            yield Problem(PLACE, message, "read the data as the teacher did; preprocessing may differ")


def in_words(found: InputFacts) -> str:
    kind = "" if found.column is None else f" as {found.column.name}"
    return f"{shape_text(found.shape)} of {found.dtype}{kind}"


Side = tuple[Config, OutputSpec, Facts]


def refuse_other_output(ours: Side, theirs: Side) -> Compared:
    """Return what the teacher's output is. Raises ConfigError: it is not comparable with that of the model."""
    kinds, classes = list[Compared](), list[tuple[str, ...]]()
    for who, (config, head, facts) in (("the model", ours), ("the teacher", theirs)):
        target = target_of(head, facts.targets)
        found = compared_by(config, head, target)
        if found is None or head.target is None or (found.form != "numbers" and found.outputs not in PROBABLE):
            message = f"the output of {who} with the loss {head.loss.name} is neither probabilities nor numbers"
            raise ConfigError(Problem(PLACE, message, "both need a crossentropy, or a loss of numbers"))
        kinds.append(found)
        classes.append(() if target is None else target.class_names)
    if classes[0] != classes[1]:
        own, other = (and_more(names, MOST_ITEMS) or "numbers" for names in classes)
        message = f"the teacher's classes are {other}, and those of the data are {own}"
        raise ConfigError(Problem(PLACE, message, "both need the same classes in the same order"))
    if len({(each.form == "numbers", each.activation) for each in kinds}) > 1:
        message = f"the teacher's loss takes {FORMS[kinds[1].form]}, and the model's {FORMS[kinds[0].form]}"
        raise ConfigError(Problem(PLACE, message, "both need the same kind of loss and last layer"))
    return kinds[1]

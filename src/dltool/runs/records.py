"""The JSON files of a run directory as typed values; none is trusted.

Unknown keys are ignored, invalid values count as absent: damaged runs can be listed. Readers refuse what they lack."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from dltool.errors import RunError
from dltool.machine import MOST_THREADS
from dltool.runs.files import Run
from dltool.text import and_more, number, plural

R = TypeVar("R", bound="Lenient")
LONGEST = 300
"""Most characters of a string: an untrusted run may have any number, here and below."""
LARGEST, MOST_EPOCHS = 1e300, 10_000
MOST_NUMBERS, MOST_ITEMS, MOST_ORIGINS, MOST_AXES = 100, 50, 5_000, 8


def one_line(value: Any) -> str:
    """Format a recorded value in one short line; empty for None."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(one_line(item) for item in value[:MOST_ITEMS])[:LONGEST]
    if isinstance(value, Mapping):
        parts = (f"{name} {one_line(item) or 'none'}" for name, item in list(value.items())[:MOST_ITEMS])
        return ", ".join(parts)[:LONGEST]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (f"{value:,}" if isinstance(value, int) and value > 9999 else str(value))[:LONGEST]


def in_sentence(value: Any) -> str:
    """Format a recorded value in a sentence."""
    if value is None:
        return "not set"
    text = ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"


def numbers(value: Any) -> dict[str, float]:
    """Return the entries of a mapping that are numbers of printable size."""
    return {
        name[:LONGEST]: number
        for name, number in (list(value.items())[:MOST_NUMBERS] if isinstance(value, Mapping) else ())
        if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < LARGEST
    }


def first_mappings(most: int) -> BeforeValidator:
    """Keep the mappings among the first `most` items of a list."""
    return BeforeValidator(
        lambda value: [each for each in value[:most] if isinstance(each, Mapping)] if isinstance(value, list) else []
    )


Whole = Annotated[int, Field(gt=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Size = Annotated[int, Field(ge=0, lt=2**31)]
Number = Whole | Annotated[float, Field(gt=-LARGEST, lt=LARGEST)]
Numbers = Annotated[dict[str, float], PlainValidator(numbers)]
Words = Annotated[str, PlainValidator(one_line)]
Shape = Annotated[list[Size], Field(max_length=MOST_AXES)]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Lenient(Strict):
    """A record whose invalid fields get their defaults, except those in `refused`, which maps them to messages."""

    refused: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def nothing_but_mappings(cls, value: Any) -> Any:
        return value if isinstance(value, Mapping) else {}

    @field_validator("*", mode="wrap")
    @classmethod
    def default_if_invalid(cls, value: Any, handler: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        try:
            return handler(value)
        except ValidationError:
            if name in cls.refused:
                raise
            return cls.model_fields[name].get_default(call_default_factory=True)


class RecordedFile(Lenient):
    """A file outside the run that its training used."""

    file: str | None = None
    sha256: str | None = None


class InputRecord(Strict):
    shape: Shape
    dtype: str
    is_column: bool


class ScaleRecord(Strict):
    center: Annotated[float, Field(gt=-LARGEST, lt=LARGEST)]
    spread: Annotated[float, Field(gt=0, lt=LARGEST)]
    is_log: bool


class TargetRecord(Strict):
    kind: str
    shape: Shape
    class_names: list[str]
    scale: ScaleRecord | None = None


class RecordedPart(Lenient):
    """Digests of the contents of a split."""

    rows: int | None = None
    inputs: dict[str, Any] | None = None
    targets: dict[str, Any] | None = None


class DataRecord(Lenient):
    """The description of the data."""

    fingerprint: str | None = None
    contents: dict[str, RecordedPart] = {}
    split: str | None = None
    examples: Size | None = None
    validation_examples: Size | None = None
    test_examples: Size | None = None
    shuffled: Size | None = None
    inputs: dict[str, InputRecord] | None = None
    targets: dict[str, TargetRecord] | None = None
    warnings: list[Words] = []


class StrategyRecord(Strict):
    """How the training steps were computed."""

    jit_compile: bool
    rewrites: bool
    grappler: bool = True
    why: dict[str, Any]


class RunRecord(Lenient):
    """run.json."""

    refused = {"most_rows": "most_rows is not a number of rows", "code": "code is not a list of files"}
    id: str | None = None
    status: str = ""
    reason: Words = ""
    exit_code: int | None = None
    started: str | None = None
    resumable: bool = True
    resolved: str | None = None
    replaced: str | None = None
    seed: int | None = None
    most_rows: Annotated[Count, Field(gt=0)] | None = None
    data: DataRecord = DataRecord()
    machine: dict[str, Any] = {}
    pinned: dict[str, Any] = {}
    strategy: StrategyRecord | None = None
    weights: dict[str, RecordedFile] = {}
    start: dict[str, Any] | None = None
    teacher: dict[str, Any] | None = None
    preprocessing: dict[str, Any] = {}
    resumed: list[Any] = []
    git: dict[str, Any] | None = None
    code: list[RecordedFile] = []
    environment: dict[str, Any] = {}


class BestEpoch(Lenient):
    epoch: int | None = None
    monitor: str | None = None
    value: Number | None = None


class Expectation(Lenient):
    bound: str | None = None
    value: Number | None = None
    met: bool | None = None


Probability = Annotated[float, Field(ge=0, le=1)]


class ThresholdRecord(Lenient):
    """The decision threshold of an output, or that of each label, and the `metric` that chose it on validation."""

    value: Probability | dict[str, Probability] | None = None
    metric: Words = ""

    @property
    def words(self) -> str:
        each = self.value.items() if isinstance(self.value, Mapping) else [("", self.value)]
        values = [f"{one_line(name)} {'unknown' if value is None else number(value)}".strip() for name, value in each]
        by = f", chosen on validation by {self.metric}" if self.metric else ""
        return f"{plural(len(values), 'threshold')} {and_more(values, MOST_ITEMS)}{by}"


class Results(Lenient):
    """results.json, the last file of a run."""

    test: Numbers = {}
    intervals: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]] = {}
    validation: Numbers = {}
    best: BestEpoch = BestEpoch()
    epochs: Count | None = None
    parameters: Count | None = None
    seconds: Numbers = {}
    expectations: dict[str, Expectation] = {}
    thresholds: dict[str, ThresholdRecord] = {}
    privacy: Numbers = {}
    folds: dict[str, Any] = {}
    seeds: dict[str, Any] = {}
    ensemble: Count | None = None
    cost: dict[str, Any] = {}


class KeptFigure(Lenient):
    name: Words = ""
    title: Words = ""
    description: Words = ""


class KeptMistake(Lenient):
    row: Number = 0
    target: Words = ""
    prediction: Words = ""
    confidence: Number | None = None


class KeptBaseline(Lenient):
    name: Words = ""
    metric: Words = ""
    value: Number | None = None
    note: Words = ""


class KeptOutput(Lenient):
    name: Words = ""
    kind: str = ""
    figures: Annotated[list[KeptFigure], first_mappings(20)] = []
    table: Annotated[list[dict[str, Any]], first_mappings(1000)] = []
    mistakes: Annotated[list[KeptMistake], first_mappings(MOST_NUMBERS)] = []


class Evaluation(Lenient):
    """metrics.json of an evaluation. `targets` is a digest of the true targets."""

    examples: Number = 0
    outputs: Annotated[list[KeptOutput], first_mappings(20)] = []
    baselines: Annotated[list[KeptBaseline], first_mappings(MOST_NUMBERS)] = []
    targets: str | None = None


def read(run: Run, file: Path, kind: type[R]) -> R:
    """Read one of the run's JSON files. Raises RunError, also for an invalid field that is refused."""
    try:
        return kind.model_validate(run.read_json(file))
    except ValidationError as error:
        raise RunError(f"{file}: {kind.refused[str(error.errors()[0]['loc'][0])]}") from None


def read_record(run: Run) -> RunRecord:
    return read(run, run.record, RunRecord)


def read_results(run: Run) -> Results:
    """Read the results; empty before the run is complete."""
    return read(run, run.results, Results) if run.results.exists() else Results()


def recorded_threads(run: Run, record: RunRecord) -> int | None:
    """Return the number of threads the run began with, which determines how sums are divided; None if not recorded."""
    threads = record.pinned.get("intra_op_threads")
    if threads is not None and (type(threads) is not int or not 0 < threads <= MOST_THREADS):
        raise RunError(f"{run.record}: pinned.intra_op_threads is not a number of threads")
    return threads


@dataclass(frozen=True)
class RunContents:
    """The records of a run: run.json, results.json, the lines of metrics.jsonl, and the origin of each config value.

    `results` is empty before the run is complete. `origins` maps config paths to origins, and may be empty."""

    path: str
    name: str
    number: str
    run: RunRecord
    results: Results
    lines: tuple[Mapping[str, Any], ...]
    origins: Mapping[str, str]
    config_text: str

    @property
    def best_epoch(self) -> int | None:
        """Return the best epoch, from 1."""
        epoch = self.results.best.epoch
        return epoch if epoch is not None and 0 < epoch <= len(self.lines) else None


def living_record(run: Run, is_ours: bool = False) -> RunRecord:
    """Read run.json; a run that no process writes is not running, nor is one whose lock `is_ours`. Raises RunError."""
    # Test the lock first: a writer that ends in between has then written its final status.
    is_locked, record = not is_ours and run.is_locked(), read_record(run)
    return record if is_locked or record.status != "running" else record.model_copy(update={"status": "interrupted"})


def read_contents(run: Run, is_ours: bool = False) -> RunContents:
    """Read the records of a run, see :func:`living_record`; results.json and origins.json may be missing."""
    origins = run.read_json(run.origins) if run.origins.exists() else {}
    return RunContents(
        str(run.path),
        run.name,
        run.number,
        living_record(run, is_ours),
        read_results(run),
        tuple(run.read_metrics()[:MOST_EPOCHS]),
        {place[:LONGEST]: one_line(origin) for place, origin in list(origins.items())[:MOST_ORIGINS]},
        run.read(run.config).decode("utf-8", "replace") if run.config.exists() else "",
    )


def origin_of(place: str, origins: Mapping[str, str]) -> str:
    """Return the origin of the first value at a config path or below it."""
    below = f"{place}.", f"{place}["
    return next((origin for path, origin in origins.items() if path == place or path.startswith(below)), "")

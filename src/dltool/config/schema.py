"""The typed, frozen config: what every key may hold.

These classes are the single description of dltool's own keys. Loading validates against them, `dltool schema` prints
them for editors, and the rest of the program reads nothing else. Keras objects (layers, optimizers, …) are described
not here but in the table of :mod:`dltool.keras_names`; a field made by :func:`as_keras` says of which kind it is.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from dltool.config.byte_sizes import ByteSize
from dltool.config.columns import ONE_TARGET, TARGET_CHOICES, ColumnType, Target, parse_column_type, parse_target
from dltool.config.keras.objects import UNKNOWN, KerasObject, parse_entry, parse_keras_object, shared_layers
from dltool.config.section import FORM, PASS_UNKNOWN, Section
from dltool.config.sources import ArraysSource, Source, kind_of, parse_source
from dltool.config.window_options import Windows
from dltool.errors import ConfigPath, Problem
from dltool.keras_names import KINDS

DATA_FACTS = (
    "classes",
    "examples",
    "validation_examples",
    "test_examples",
    "input_shape",
    "target_shape",
)
"""What a config may name of its data; `epochs` and `steps_per_epoch` follow from these and the config."""
TARGET_FACTS = ("classes", "target_shape")
"""Those of one target. Of several they are named after them: `classes_digit`. `classes` is there too where only one of
them has classes."""


OWN_NAMES = (*DATA_FACTS, "epochs", "steps_per_epoch", "env")
"""What `$` stands before, and the user's own names cannot be."""

MOST_EPOCHS = 100_000
"""Each has a line in metrics.jsonl, and is in every checkpoint's history."""


ENTRY = "entry"
"""Of a list of layers in the model: a layer or a backbone."""


def as_keras(kind: str) -> PlainValidator:
    """The validator of a field that names a Keras object of `kind`. An object that is one already passes."""

    def parse(value: Any) -> Any:
        if isinstance(value, KerasObject):
            return value
        if value is UNKNOWN:
            what = KINDS["layer" if kind == ENTRY else kind]
            raise PydanticCustomError("unknown_whole", "unknown", {"expected": f"the name of {what}"})
        keras_object, problems = parse_entry(value) if kind == ENTRY else parse_keras_object(kind, value)
        if problems:
            raise PydanticCustomError("problems", "not a valid Keras object", {"problems": problems})
        return keras_object

    return PlainValidator(parse, json_schema_input_type=Any)


def schema_of(kind: str) -> WithJsonSchema:
    return WithJsonSchema({"$ref": f"#/$defs/{kind}"})


Layer = Annotated[KerasObject, as_keras("layer"), schema_of("layer")]
Entry = Annotated[KerasObject, as_keras(ENTRY), schema_of(ENTRY)]
Optimizer = Annotated[KerasObject, as_keras("optimizer"), schema_of("optimizer")]
Loss = Annotated[KerasObject, as_keras("loss"), schema_of("loss")]
Metric = Annotated[KerasObject, as_keras("metric"), schema_of("metric")]
Callback = Annotated[KerasObject, as_keras("callback"), schema_of("callback")]


def near_type(name: str) -> str:
    near = get_close_matches(name, ("category", "number"), 1)
    return f'did you mean "{near[0]}"?' if near else ""


Fraction = Annotated[float, Field(ge=0, lt=1)]


class SplitOptions(Section):
    """How examples are divided. The fractions are of the source's training examples."""

    validation: Fraction = 0.0
    """The fraction that measures each epoch."""
    test: Fraction | None = None
    """The fraction that measures the best epoch, once; unless given, the source's own test part."""
    stratify: bool | None = None
    """Whether each part has the same share of every class; yes for classes unless given. Of several targets, the first
    one with classes counts."""
    group: str | None = None
    """A column: rows with the same value of it are all in one part."""
    order: str | None = None
    """A column: the rows with its smallest values are for training, those with its largest for the test. `time` means,
    where no column has that name, the table's date column, or else the order of the rows."""
    column: str | None = None
    """A column that names the part of each row: train, validation or test."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """What decides who is in which part; the config's seed unless given."""

    @model_validator(mode="after")
    def leaves_training(self) -> Self:
        # One of them may be absent, or wait for the data.
        fractions = [value for value in (self.validation, self.test) if isinstance(value, float)]
        if sum(fractions) >= 1:
            message = f"validation and test together take {sum(fractions):g} of the examples: none is left for training"
            problem = Problem(("test",), message, related=((("validation",), f"validation: {self.validation:g}"),))
            raise PydanticCustomError("problems", "split sum", {"problems": [problem]})
        return self

    @model_validator(mode="after")
    def one_rule(self) -> Self:
        rule, *others = self.rules or ("",)
        problems = [exclusive(other, rule) for other in others]
        if rule == "column":
            problems += [
                exclusive(part, rule) for part in ("validation", "test") if getattr(self, part) not in (None, 0)
            ]
        if rule in ("order", "column") and self.stratify is True:
            problems.append(exclusive("stratify", rule))
        if problems:
            raise PydanticCustomError("problems", "exclusive keys", {"problems": problems})
        return self

    @property
    def rules(self) -> tuple[str, ...]:
        """Which keys say how rows are divided other than at random."""
        return tuple(rule for rule in ("column", "order", "group") if getattr(self, rule) is not None)

    @property
    def may_be_stratified(self) -> bool:
        """Whether the rules leave a choice of which rows go where."""
        return self.order is None and self.column is None


def exclusive(key: str, rule: str) -> Problem:
    """`key` makes no sense beside `rule`; both are keys of the split."""
    says = {
        "column": "the column already names the part of each row",
        "order": "the order already decides which rows go where",
    }
    return Problem(
        (key,),
        f"{key} and {rule} exclude each other",
        f"{says[rule]}; remove one of the two",
        at_key=True,
        related=(((rule,), f"{rule} is given here"),),
    )


DataSource = Annotated[Source, PlainValidator(parse_source), schema_of("source")]


def are_alike(source: Source, first: Source) -> bool:
    """Whether two sources of arrays have inputs and targets of the same names. One that names none has those of the
    first."""
    options = source.options
    if isinstance(options, ArraysSource) and options.x is None and options.y is None:
        return True
    given, names = (
        [
            frozenset(names) if isinstance(names := getattr(each.options, key, None), dict) else None
            for key in ("x", "y")
        ]
        for each in (source, first)
    )
    return given == names


class Data(Section):
    """The examples: where they come from, how they are divided, and what is done to them."""

    source: DataSource
    """A built-in data set by name, or your own files: `csv`, `tsv`, `json_lines`, `parquet`, `images`, `audio`, `text`
    or `arrays`."""
    validation: DataSource | None = None
    """A source of its own for validation, instead of a fraction of `source`."""
    test: DataSource | None = None
    """A source of its own for the test."""
    inputs: dict[str, Annotated[ColumnType, PlainValidator(parse_column_type), schema_of("column_type")]] | None = None
    """The columns of a table that are not as they seem, with their types: `number`, `category`, `boolean`, `date`,
    `text`, `image`, `audio` or `ignore`. Every other column that is not the target is an input, its type inferred."""
    target: Annotated[Target | tuple[Target, ...], PlainValidator(parse_target), schema_of("target")] | None = None
    """The column of a table that is to be predicted. Without columns, whether labels are a `category` or a `number`:
    whole numbers and text are classes unless given. `input`: the input itself, as the preprocessing leaves it. Several
    targets by name, each with its type: `{digit: category, size: number}`."""
    windows: Windows | None = None
    """Of a table with a row for each moment: examples are windows over its rows, and the target lies after them."""
    split: SplitOptions = SplitOptions()
    """How the examples of `source` are divided."""
    preprocessing: Annotated[tuple[Layer, ...], Field(strict=False)] = ()
    """Keras layers that become part of the saved model. Those that learn see the training examples alone."""
    augmentation: Annotated[tuple[Layer, ...], Field(strict=False)] = ()
    """Keras layers for training only, after the preprocessing."""
    cache: ByteSize = 4 * 10**9
    """How much room decoded pictures and the like may take in dltool's cache folder, or `off`."""

    @model_validator(mode="after")
    def parts_are_alike(self) -> Self:
        problems = [
            Problem(
                (role,), f"{other.name} cannot be a part of {self.source.name}", "all parts come from one kind of file"
            )
            for role, other in (("validation", self.validation), ("test", self.test))
            if other is not None and kind_of(other) != kind_of(self.source)
        ]
        problems += [
            Problem((role,), "it has other inputs or targets than the source", "the same names under x and y")
            for role, other in (("validation", self.validation), ("test", self.test))
            if other is not None and not problems and not are_alike(other, self.source)
        ]
        if problems:
            raise PydanticCustomError("problems", "kinds of sources", {"problems": problems})
        return self

    @property
    def targets(self) -> dict[str, Target]:
        """What is to be predicted, by name; the only target is called "target" unless it has a name of its own.

        There is none where it is the input.
        """
        given, names = self.given_targets, self.named_targets
        if given[0].is_input:
            return {}
        if names:
            types = {name: each.type for each in given for name in each.columns or names}
            return {name: Target((name,), types.get(name)) for name in names}
        return {each.columns[0]: each for each in given} if isinstance(self.target, tuple) else {ONE_TARGET: given[0]}

    @property
    def given_targets(self) -> tuple[Target, ...]:
        """What `target` says, at least one."""
        return self.target if isinstance(self.target, tuple) else (self.target or Target(),)

    @property
    def named_targets(self) -> tuple[str, ...]:
        """The targets to which the source gives names."""
        return self.source.options.target_names if isinstance(self.source.options, ArraysSource) else ()

    @property
    def target_columns(self) -> tuple[str, ...]:
        """The columns of all targets."""
        return tuple(name for target in self.targets.values() for name in target.columns)

    @model_validator(mode="after")
    def targets_are_there(self) -> Self:
        """Of a source without columns, only arrays have targets with names."""
        if kind_of(self.source) == "table" or self.target is None:
            return self
        several, given, names = isinstance(self.target, tuple), self.given_targets, self.named_targets
        problems = []
        if len(names) > 1 and not given[0].columns and not given[0].is_input:
            hint = f"target: {{{names[0]}: category}}"
            problems.append(Problem(("target",), f"there are {len(names)} targets: say it of each", hint))
        for target in given:
            if not names and several:
                message = f"{self.source.name} has one target, without a name"
                problems.append(Problem(("target",), message, "target: category, or number"))
                break
            if names and target.columns and target.columns[0] not in names:
                near = get_close_matches(target.columns[0], names, 1, 0.5)
                hint = f'did you mean "{near[0]}"?' if near else f"the targets are {', '.join(names)}"
                place = ("target", target.columns[0]) if target.type else ("target",)
                message = f'there is no target "{target.columns[0][:60]}"'
                problems.append(Problem(place, message, hint, at_key=target.type is not None))
        if problems:
            raise PydanticCustomError("problems", "targets", {"problems": problems})
        return self

    @model_validator(mode="after")
    def target_is_a_column(self) -> Self:
        """In a table `target: category` is the column of that name."""
        target, has_columns = self.target, kind_of(self.source) == "table"
        problem = None
        if self.windows is not None and has_columns:
            return self.with_windows(self.windows)
        if self.windows is not None:
            problem = Problem(
                ("windows",), f"{self.source.name} has no columns to slide over", "remove it", at_key=True
            )
        elif has_columns and target is None:
            problem = Problem((), "a table needs a target", f"for example {TARGET_CHOICES.example}")
        elif has_columns and isinstance(target, Target) and not target.columns and target.type is not None:
            return self.model_copy(update={"target": Target((target.type.name,))})
        elif has_columns and set(self.target_columns) & set(self.inputs or ()):
            name = next(name for name in self.target_columns if name in (self.inputs or ()))
            hint = f"say how it is read there: target: {{{name}: category}}"
            problem = Problem(("inputs", name), "the target is no input", hint, at_key=True)
        elif not has_columns and isinstance(target, Target) and target.columns and not self.named_targets:
            name = self.source.name
            message = f"{name} has no columns: expected category or number, not {target.columns[0][:60]}"
            problem = Problem(("target",), message, near_type(target.columns[0]))
        elif not has_columns and self.inputs is not None:
            problem = Problem(("inputs",), f"{self.source.name} has no columns", "remove it", at_key=True)
        if problem is not None:
            raise PydanticCustomError("problems", "target", {"problems": [problem]})
        return self

    def with_windows(self, windows: Windows) -> Self:
        """The target of windows is named there, and rows are divided by their time alone."""
        given = self.given_targets[0]
        target = Target((windows.target,), given.type)
        problems = []
        if len(self.given_targets) > 1 or given.is_input or given.columns not in ((), (windows.target,)):
            related = ((("windows", "target"), "the target of the windows"),)
            problems.append(Problem(("target",), "windows have one target", "remove it", related=related))
        if self.split.group is not None:
            problem = Problem(("split", "group"), "windows are divided by time", "windows.key keeps series apart")
            problems.append(problem)
        if self.split.stratify:
            problems.append(Problem(("split", "stratify"), "windows are divided by time", "remove it", at_key=True))
        if problems:
            raise PydanticCustomError("problems", "windows", {"problems": problems})
        return self.model_copy(update={"target": target})


def with_shared_layers(value: Any) -> Any:
    """The list in which layers that are used again, by their names, are told from those of Keras."""
    if not isinstance(value, list | tuple):
        return value
    layers, problems = shared_layers(value)
    if problems:
        raise PydanticCustomError("problems", "shared layers", {"problems": problems})
    return layers


class BlockOptions(Section):
    """Layers that are used in several places of the model, as `- NAME` or `- NAME: {PARAMETER: VALUE}`."""

    parameters: dict[str, Any] = Field(default_factory=dict)
    """What differs between its uses, with the values unless given; `null` where one must be given. `$NAME` in its
    layers."""
    layers: Annotated[tuple[Annotated[Any, schema_of("entry")], ...], Field(strict=False, min_length=1)]
    """As in `model.layers`. `from: input` is what the block was given; names are its own."""


class OutputOptions(Section):
    """One of several outputs of the model, and what it is trained for."""

    layer: str | None = Field(default=None, alias="from")
    """The layer whose output it is, by its `name`; the one of the output's name unless given."""
    target: str | None = None
    """What it is compared with: the target of the output's name, or the only one, unless given. `input` is the input
    itself, as the preprocessing leaves it."""
    loss: Loss
    """A Keras loss."""
    metrics: Annotated[tuple[Metric, ...], Field(strict=False)] = ()
    """Keras metrics of this output."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """By what its loss is multiplied in the sum that is minimized."""


class Model(Section):
    """The model."""

    blocks: dict[str, BlockOptions] = Field(default_factory=dict)
    """Lists of layers by name, to be used in `layers` like a layer."""
    layers: Annotated[tuple[Entry, ...], Field(strict=False, min_length=1), BeforeValidator(with_shared_layers)]
    """Keras layers, each of which takes the output of the one before or what its `from` names; blocks;
    `repeat: {times: 3, layers: [...]}`; and `backbone: {NAME: {weights: imagenet}}`, a whole network of
    keras.applications without its classifier, which takes images of 0 to 255."""
    outputs: dict[str, OutputOptions] = Field(default_factory=dict)
    """Where there are several: each by a name of its own, with its loss and metrics. Unless given, the output of the
    last layer."""

    @model_validator(mode="after")
    def outputs_can_be_named(self) -> Self:
        problems = [
            Problem(
                ("outputs", name),
                'the name of an output cannot be empty, contain "/" or begin with "val_"',
                "choose another name",
                at_key=True,
            )
            for name in self.outputs
            if not name or "/" in name or name.startswith("val_")
        ]
        if problems:
            raise PydanticCustomError("problems", "names of outputs", {"problems": problems})
        return self


Interval = Annotated[
    str,
    Field(
        pattern=r"^[1-9][0-9]{0,8} (steps?|epochs?|minutes?)$",
        json_schema_extra={FORM: "an interval such as 500 steps, 2 epochs or 10 minutes"},
    ),
]


class CheckpointOptions(Section):
    """What is kept of a training."""

    monitor: str | None = None
    """What decides which epoch is the best: `val_loss` unless given, or `loss` where nothing is validated."""
    every: Interval | None = None
    """How often the complete state is written: `500 steps`, `2 epochs` or `10 minutes`. Unless given, after each
    epoch, and every ten minutes within one. It is written once a second at most, and at the end."""


MOST_THREADS = 4096

Epochs = Annotated[int, Field(ge=1, le=MOST_EPOCHS)]


class Phase(Section):
    """A part of the training."""

    epochs: Epochs
    """How often to go through the training examples in this phase."""
    optimizer: Optimizer
    """A Keras optimizer, which starts anew with the phase."""
    trainable: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    """The names of the layers that learn, also of those inside a backbone; `*` stands for any characters. All others
    are frozen. Unless given, the `trainable` of each layer decides."""


class Training(Section):
    """How the model learns."""

    optimizer: Optimizer | None
    """A Keras optimizer. Clipping, accumulation, weight decay and averaging are its own arguments. Not with
    `phases`."""
    loss: Loss | None = None
    """A Keras loss. With `model.outputs`, each of them has its own."""
    metrics: Annotated[tuple[Metric, ...], Field(strict=False)] = ()
    """Keras metrics, measured in training, validation and test."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """The number of examples in a step."""
    epochs: Epochs | None
    """How often to go through the training examples. Not with `phases`."""
    phases: Annotated[tuple[Phase, ...], Field(strict=False, min_length=1)] | None = None
    """Instead of `optimizer` and `epochs`: parts of the training, one after the other, each with its own."""
    callbacks: Annotated[tuple[Callback, ...], Field(strict=False)] = ()
    """Keras callbacks, such as EarlyStopping and ReduceLROnPlateau."""
    class_weights: Literal["balanced"] | dict[str, Annotated[float, Field(ge=0), PASS_UNKNOWN]] | None = None
    """The weight of each class by its name; `balanced` makes all classes count the same."""
    precision: Literal["float32", "float64", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Keras's dtype policy."""
    jit_compile: bool | None = None
    """Whether XLA compiles the training steps, as in Keras's `compile`. Unless given, a rule decides, see run.json. XLA
    does not notice an index that is too large for an Embedding."""
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] | None = None
    """How many threads TensorFlow uses; their number changes last bits. Unless given, one for each core, or a single
    one where a step computes too little to be shared, see run.json."""
    rewrites: bool | None = None
    """Whether steps may be computed in cheaper ways that differ in their last bits. Unless false, where they can."""
    checkpoint: CheckpointOptions = CheckpointOptions()
    """What is kept."""

    @model_validator(mode="before")
    @classmethod
    def need_not_repeat_phases(cls, value: Any) -> Any:
        has_phases = isinstance(value, Mapping) and value.get("phases") is not None
        return {"optimizer": None, "epochs": None, **value} if has_phases else value

    @model_validator(mode="after")
    def has_phases_or_is_one(self) -> Self:
        problems = []
        for key, value in (("optimizer", self.optimizer), ("epochs", self.epochs)):
            if self.phases is not None and value is not None:
                hint, related = f"each phase has its own {key}; remove this", ((("phases",), "phases are given here"),)
                problems.append(
                    Problem((key,), f"{key} and phases exclude each other", hint, at_key=True, related=related)
                )
            elif self.phases is None and value is None:
                what = f"the name of {KINDS['optimizer']}" if key == "optimizer" else "a whole number"
                problems.append(Problem((key,), f"expected {what}, not null"))
        if not problems and self.total_epochs is not UNKNOWN and self.total_epochs > MOST_EPOCHS:
            message = f"together the phases have {self.total_epochs:,} epochs, and {MOST_EPOCHS:,} are allowed"
            problems.append(Problem(("phases",), message))
        if problems:
            raise PydanticCustomError("problems", "phases", {"problems": problems})
        return self

    @property
    def parts(self) -> tuple[Phase, ...]:
        """The phases; without any, the whole training as one."""
        if self.phases is not None:
            return self.phases
        assert self.optimizer is not None
        assert self.epochs is not None
        return (Phase(epochs=self.epochs, optimizer=self.optimizer),)

    @property
    def total_epochs(self) -> Any:
        """Those of all phases; UNKNOWN where the data has yet to tell."""
        epochs: list[Any] = [part.epochs for part in self.parts]
        return UNKNOWN if UNKNOWN in epochs else sum(epochs)

    def place_of(self, part: int) -> ConfigPath:
        """Where the config has the keys of the phase with that number, counted from 0."""
        return ("training",) if self.phases is None else ("training", "phases", part)


RunName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        json_schema_extra={FORM: "a name of letters, digits, -, _ and ."},
    ),
]
Expectation = Annotated[
    str,
    Field(
        pattern=r"^\s*(>=|<=|>|<|==)\s*[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?\s*$",
        json_schema_extra={FORM: 'a bound such as ">= 0.97"'},
    ),
    PASS_UNKNOWN,
]


class Config(Section):
    """One experiment, with every value in force."""

    name: RunName
    """The run's name, and that of its folder; the file's name unless given."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """What decides the split, the initial weights, the order of the examples, dropout and augmentation."""
    data: Data
    """The examples."""
    model: Model
    """The model."""
    training: Training
    """How the model learns."""
    track: Annotated[tuple[Literal["tensorboard", "mlflow"], ...], Field(strict=False)] = ()
    """Where the epochs are shown besides: `tensorboard` writes event files into the run; `mlflow` writes to the server
    of MLFLOW_TRACKING_URI, or else to mlflow.db beside the runs."""
    expect: dict[str, Expectation] = Field(default_factory=dict)
    """Bounds on the test metrics, on `val_` metrics of the best epoch, on `seconds` and `parameters`; a miss is exit
    code 7."""

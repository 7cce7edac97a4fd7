"""The part of an ejected script that compiles, trains and tests its model."""

from collections.abc import Mapping
from typing import Any

from dltool.config.checks import metric_name
from dltool.config.keras.objects import KerasObject
from dltool.config.metric_forms import Adapted, adapted, metric_class
from dltool.config.outputs import OutputSpec
from dltool.config.schema import Phase
from dltool.config.wording import snake_case
from dltool.ejecting.ejected_run import Block, EjectedRun
from dltool.ejecting.python_text import Code, call, flat, keras_object, laid_out, mapping, sequence, text, value
from dltool.training.checkpointing import make_best
from dltool.training.numerics import evaluation_batch

BATCHES = [
    "class TrainingBatches(keras.utils.PyDataset):",
    '    """Batches of the training rows, in an order that seed and epoch alone decide."""',
    "",
    "    def __init__(self):",
    "        super().__init__()",
    "        self.begin(epoch=0)",
    "",
    "    def begin(self, epoch):",
    "        key = np.array([SEED, epoch], dtype=np.uint64)",
    "        order = np.arange(len(train), dtype=np.int32)",
    "        order = np.random.Generator(np.random.Philox(key=key)).permutation(order)",
    "        self.rows = train[order]",
    "",
    "    def __len__(self):",
    "        return math.ceil(len(train) / BATCH_SIZE)",
    "",
    "    def __getitem__(self, number):",
    "        rows = self.rows[number * BATCH_SIZE : (number + 1) * BATCH_SIZE]",
]


def training_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code from the compiled model to its test."""
    phases = ejected.config.training.phases
    blocks: list[Block] = []
    if phases is None:
        blocks.append(compile_lines(ejected, ejected.config.training.parts[0]))
    elif any(phase.trainable is not None for phase in phases):
        blocks.append(train_only())
    blocks += [batches_block(ejected), callback_lines(ejected)]
    if phases is None:
        blocks.append(fit_lines(ejected, 0, "EPOCHS"))
    else:
        done = 0
        for number, phase in enumerate(phases):
            lines = [f"# Phase {number + 1}: {phase.epochs} epochs."]
            lines += trainable_lines(phase)
            lines += compile_lines(ejected, phase)
            done += phase.epochs
            blocks.append([*lines, *fit_lines(ejected, done - phase.epochs, str(done))])
    return [*blocks, *test_blocks(ejected)]


def train_only() -> Block:
    return [
        "def layers_in(network):",
        '    """Return the layers of a model, those of the networks inside it too."""',
        "    for layer in network.layers:",
        "        if isinstance(layer, keras.Model):",
        "            yield from layers_in(layer)",
        "        else:",
        "            yield layer",
        "",
        "",
        "def train_only(*patterns):",
        '    """Freeze all layers but those with these names."""',
        "    model.trainable = True",
        "    for layer in layers_in(model):",
        "        layer.trainable = any(fnmatch(layer.name, each) for each in patterns)",
    ]


def trainable_lines(phase: Phase) -> Block:
    if phase.trainable is None:
        return []
    return laid_out(call("train_only", *map(text, phase.trainable)))


def batches_block(ejected: EjectedRun) -> Block:
    """Return the class of the training batches, with the weights of classes if there are any."""
    if all(head.class_weights is None for head in ejected.built.heads):
        return [*BATCHES, "        return examples(rows)"]
    if ejected.config.model.outputs:
        weights = "{name: each[rows] for name, each in training_weights.items()}"
        return [*BATCHES, f"        weights = {weights}", "        return (*examples(rows)[:2], weights)"]
    return [*BATCHES, "        return (*examples(rows)[:2], training_weights[rows])"]


def compile_lines(ejected: EjectedRun, phase: Phase) -> Block:
    """Return the call of `compile`."""
    heads = ejected.built.heads
    are_named = bool(ejected.config.model.outputs)
    losses = {head.name: loss_code(head.loss) for head in heads}
    metrics = {head.name: sequence(metric_codes(ejected, head)) for head in heads if head.metrics}
    arguments: dict[str, Code] = {"optimizer": keras_object(phase.optimizer)}
    lines: list[str] = []
    if ejected.config.training.no_weight_decay:
        lines = [*laid_out(keras_object(phase.optimizer), "optimizer = "), *decay_lines(ejected)]
        arguments["optimizer"] = "optimizer"
    arguments["loss"] = mapping(losses) if are_named else losses[heads[0].name]
    if any(head.weight != 1 for head in heads):
        arguments["loss_weights"] = mapping({head.name: repr(head.weight) for head in heads})
    if metrics:
        arguments["metrics"] = mapping(metrics) if are_named else metrics[heads[0].name]
    assert ejected.record.strategy is not None
    arguments["jit_compile"] = repr(ejected.record.strategy.jit_compile)
    return [*lines, *laid_out(call("model.compile", **arguments))]


def loss_code(loss: KerasObject) -> Code:
    return keras_object(loss)


def decay_lines(ejected: EjectedRun) -> Block:
    """Return the code that leaves weights out of the weight decay."""
    patterns = flat(sequence(map(text, ejected.config.training.no_weight_decay or ())))
    return [
        "optimizer.exclude_from_weight_decay(",
        "    [",
        "        weight",
        "        for layer in model._flatten_layers(include_self=False)",
        "        for weight in layer.weights",
        "        for name in (weight.name, layer.name, type(layer).__name__)",
        f"        if any(fnmatch(name, each) for each in {patterns})",
        "    ]",
        ")",
    ]


def metric_codes(ejected: EjectedRun, head: OutputSpec) -> list[Code]:
    """Return the metrics of an output that Keras computes alone, see :func:`converted_metrics`."""
    found = []
    for entry in head.metrics:
        each = as_made(ejected, head, entry)
        if not is_converted(each):
            found.append(metric_code(each.metric, metric_name(entry)))
    return found


def metric_code(metric: KerasObject, name: str) -> Code:
    """Return a metric; its name is given unless Keras gives it the same."""
    if metric.is_string or metric_class(metric) == "":
        return keras_object(metric)
    usual = snake_case(metric.name)
    return keras_object(metric, {} if name in (usual, metric.arguments.get("name")) else {"name": name})


def as_made(ejected: EjectedRun, head: OutputSpec, entry: KerasObject) -> Adapted:
    compared = ejected.built.compared.get(head.name)
    has_threshold = compared is not None and head.thresholds(compared.names) is not None
    found = adapted(entry, compared, is_trained=False, has_threshold=has_threshold)
    assert isinstance(found, Adapted)
    return found


def is_converted(found: Adapted) -> bool:
    """Return whether dltool converts targets or outputs before it computes the metric."""
    return found.one_hot or bool(found.activation) or found.decides or found.of_second


def converted_metrics(ejected: EjectedRun) -> list[str]:
    """Return the names of the metrics that the script leaves out."""
    heads = ejected.built.heads
    return [
        (f"{head.name}_" if len(heads) > 1 else "") + metric_name(entry)
        for head in heads
        for entry in head.metrics
        if is_converted(as_made(ejected, head, entry))
    ]


def callback_lines(ejected: EjectedRun) -> Block:
    """Return the callbacks: the order of the rows, the config's own, the best weights, and a table of the epochs."""
    config = ejected.config
    best = make_best(config, ejected.built, ejected.facts.validation_examples > 0)
    codes: list[Code] = ["shuffle"]
    codes += [callback_code(ejected, entry) for entry in config.training.callbacks]
    keep = call(
        "keras.callbacks.ModelCheckpoint",
        '"best.weights.h5"',
        monitor=text(best.monitor),
        mode=text(best.direction),
        save_best_only="True",
        save_weights_only="True",
    )
    codes += [keep, call("keras.callbacks.CSVLogger", '"history.csv"', append="True")]
    return [
        "batches = TrainingBatches()",
        "# Keras ends an epoch of the batches once before the first: a callback counts them.",
        "shuffle = keras.callbacks.LambdaCallback(",
        "    on_epoch_begin=lambda epoch, logs: batches.begin(epoch)",
        ")",
        *laid_out(sequence(codes), "callbacks = "),
    ]


def callback_code(ejected: EjectedRun, entry: KerasObject) -> Code:
    """Return a callback; with several outputs Keras does not know whether less or more of a metric is better."""
    from dltool.training.checkpointing import direction

    monitor = entry.arguments.get("monitor", "val_loss")
    more: Mapping[str, Any] = {}
    if len(ejected.built.heads) > 1 and entry.name in ("EarlyStopping", "ReduceLROnPlateau"):
        if entry.arguments.get("mode", "auto") == "auto" and isinstance(monitor, str):
            more = {"mode": direction(ejected.built, monitor, ())}
    return keras_object(entry, more)


def fit_lines(ejected: EjectedRun, first: int, epochs: str) -> Block:
    """Return the call of `fit` for the epochs from `first` on."""
    arguments: dict[str, Code] = {"epochs": epochs}
    if first:
        arguments["initial_epoch"] = str(first)
    if ejected.facts.validation_examples:
        arguments["validation_data"] = "examples(validation)"
        arguments["validation_batch_size"] = str(evaluation_batch(ejected.built, ejected.config.training.batch_size))
    arguments |= {"callbacks": "callbacks", "shuffle": "False", "verbose": "2"}
    return laid_out(call("model.fit", "batches", **arguments))


def test_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code that tests the best weights and saves the model."""
    lines = ['model.load_weights("best.weights.h5")']
    size = str(evaluation_batch(ejected.built, ejected.config.training.batch_size))
    if ejected.facts.test_examples:
        tested = call("model.evaluate", "*examples(test)", batch_size=size, return_dict="True", verbose="0")
        lines += [*laid_out(tested, "results = "), 'print("test:", results)']
    return [[*lines, 'model.save("model.keras")']]


__all__ = ["converted_metrics", "training_blocks", "value"]

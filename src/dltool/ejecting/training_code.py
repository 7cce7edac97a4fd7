"""The part of an ejected script that compiles, trains and tests its model."""

from typing import Any

from dltool.config.checks import metric_name
from dltool.config.keras.objects import KerasObject
from dltool.config.metric_forms import Adapted, adapted, metric_class
from dltool.config.outputs import OutputSpec
from dltool.config.schema import Phase
from dltool.config.wording import snake_case
from dltool.ejecting.column_functions import function
from dltool.ejecting.ejected_run import Block, EjectedRun
from dltool.ejecting.python_text import Code, call, keras_object, laid_out, mapping, sequence, text
from dltool.errors import ConfigError
from dltool.training.checkpointing import direction, make_best
from dltool.training.numerics import evaluation_batch


def training_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code from the compiled model to its test."""
    training = ejected.config.training
    weighted = ["weighted"] if ejected.built.heads[0].class_weights is not None else []
    blocks = [function("weight_decay")] if training.no_weight_decay else []
    blocks += [function("train_only")] if any(part.trainable is not None for part in training.parts) else []
    blocks += [function("batches", weighted), function("shuffle"), callbacks_block(ejected)]
    if training.phases is None:
        blocks += [compile_lines(ejected, training.parts[0]), fit_lines(ejected, 0, "EPOCHS")]
    done = 0
    for number, phase in enumerate(training.phases or (), 1):
        lines = [f"# Phase {number}."]
        if phase.trainable is not None:
            lines += laid_out(call("train_only", *map(text, phase.trainable)))
        done += phase.epochs
        fit = fit_lines(ejected, done - phase.epochs, str(done))
        blocks.append([*lines, *compile_lines(ejected, phase), *fit])
    return [*blocks, test_block(ejected)]


def compile_lines(ejected: EjectedRun, phase: Phase) -> Block:
    """Return the call of `compile`."""
    heads, is_one = ejected.built.heads, not ejected.config.model.outputs
    losses: dict[str, Code] = {head.name: keras_object(head.loss) for head in heads}
    metrics: dict[str, Code] = {head.name: sequence(codes) for head in heads if (codes := metric_codes(ejected, head))}
    optimizer, lines = keras_object(phase.optimizer), []
    if patterns := ejected.config.training.no_weight_decay:
        lines = laid_out(optimizer, "optimizer = ")
        excluded = call("without_weight_decay", *map(text, patterns))
        lines += laid_out(call("optimizer.exclude_from_weight_decay", excluded))
        optimizer = "optimizer"
    named: dict[str, Code] = {"optimizer": optimizer, "loss": losses[heads[0].name] if is_one else mapping(losses)}
    if any(head.weight != 1 for head in heads):
        named["loss_weights"] = mapping({head.name: repr(head.weight) for head in heads})
    if metrics:
        named["metrics"] = metrics[heads[0].name] if is_one else mapping(metrics)
    strategy = ejected.record.strategy
    named["jit_compile"] = repr(strategy is not None and strategy.jit_compile)
    return [*lines, *laid_out(call("model.compile", **named))]


def metric_codes(ejected: EjectedRun, head: OutputSpec) -> list[Code]:
    """Return the metrics of an output that plain Keras computes. A name is given unless Keras would give it."""
    codes: list[Code] = []
    for entry in head.metrics:
        found = as_made(ejected, head, entry)
        metric, name = found.metric, metric_name(entry)
        if is_converted(found):
            continue
        if (
            metric.is_string
            or not metric_class(metric)
            or name in (snake_case(metric.name), metric.arguments.get("name"))
        ):
            codes.append(keras_object(metric))
        else:
            codes.append(keras_object(metric, {"name": name}))
    return codes


def as_made(ejected: EjectedRun, head: OutputSpec, entry: KerasObject) -> Adapted:
    """Return a metric as it was made for the run, see :mod:`dltool.config.metric_forms`."""
    compared = ejected.built.compared.get(head.name)
    has_threshold = compared is not None and head.thresholds(compared.names) is not None
    found = adapted(entry, compared, is_trained=False, has_threshold=has_threshold)
    assert isinstance(found, Adapted)
    return found


def is_converted(found: Adapted) -> bool:
    """Return whether dltool converts targets or outputs before Keras computes the metric."""
    return found.one_hot or bool(found.activation) or found.decides or found.of_second


def converted_metrics(ejected: EjectedRun) -> list[str]:
    """Return the names of the metrics that the script leaves out."""
    heads = ejected.built.heads
    prefixes = [f"{head.name}_" if len(heads) > 1 else "" for head in heads]
    return [
        prefix + metric_name(entry)
        for prefix, head in zip(prefixes, heads, strict=True)
        for entry in head.metrics
        if is_converted(as_made(ejected, head, entry))
    ]


def callbacks_block(ejected: EjectedRun) -> Block:
    """Return the callbacks: the order of the rows, the config's own, the best weights, and a table of the epochs."""
    best = make_best(ejected.config, ejected.built, ejected.facts.validation_examples > 0)
    monitors = [best.monitor, *(entry.arguments.get("monitor") for entry in ejected.config.training.callbacks)]
    converted = converted_metrics(ejected)
    for name in (str(each).removeprefix("val_") for each in monitors):
        if name in converted:
            raise ConfigError(
                f"{name} cannot be ejected: dltool converts targets or outputs for it, and it is monitored"
            )
    keep: dict[str, Code] = {"monitor": text(best.monitor), "mode": text(best.direction)}
    keep |= {"save_best_only": "True", "save_weights_only": "True"}
    appended = {} if ejected.config.training.phases is None else {"append": "True"}
    codes = [
        "shuffle",
        *(callback(ejected, entry) for entry in ejected.config.training.callbacks),
        call("keras.callbacks.ModelCheckpoint", '"best.weights.h5"', **keep),
        call("keras.callbacks.CSVLogger", '"history.csv"', **appended),
    ]
    return laid_out(sequence(codes), "callbacks = ")


def callback(ejected: EjectedRun, entry: KerasObject) -> Code:
    """Return a callback. With several outputs Keras does not know whether less or more of a metric is better."""
    monitor, more = entry.arguments.get("monitor", "val_loss"), dict[str, Any]()
    if len(ejected.built.heads) > 1 and entry.name in ("EarlyStopping", "ReduceLROnPlateau"):
        more = {"mode": entry.arguments.get("mode", direction(ejected.built, monitor, ()))}
    return keras_object(entry, more)


def fit_lines(ejected: EjectedRun, first: int, epochs: str) -> Block:
    """Return the call of `fit` for the epochs from `first` on."""
    named: dict[str, Code] = {"epochs": epochs}
    named |= {"initial_epoch": str(first)} if first else {}
    if ejected.facts.validation_examples:
        size = evaluation_batch(ejected.built, ejected.config.training.batch_size)
        named |= {"validation_data": "examples(validation)", "validation_batch_size": str(size)}
    return laid_out(call("model.fit", "batches", **named, callbacks="callbacks", shuffle="False", verbose="2"))


def test_block(ejected: EjectedRun) -> Block:
    """Return the code that tests the best weights and saves the model."""
    lines = ['model.load_weights("best.weights.h5")']
    if ejected.facts.test_examples:
        size = str(evaluation_batch(ejected.built, ejected.config.training.batch_size))
        named: dict[str, Code] = {"batch_size": size, "return_dict": "True", "verbose": "0"}
        given = "*examples(test)"
        if ejected.config.data.weights is not None:
            lines.append("x, y, w = examples(test)")
            given, named = "x, y", {"sample_weight": "w", **named}
        lines += [*laid_out(call("model.evaluate", given, **named), "results = "), 'print("test:", results)']
    return [*lines, 'model.save("model.keras")']

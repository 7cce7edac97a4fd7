"""The score of a prediction, and its gradients: what every explanation is made of.

The score is the number before the softmax or sigmoid of the class in question; for numbers it is their mean. Of models
that give each place a class, it is the mean over the places that are predicted as the class, after Vinogradova, Dibrov
and Myers, "Towards Interpretable Semantic Segmentation via Gradient-Weighted Class Activation Mapping", 2020,
https://arxiv.org/abs/2002.11434."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.data.arrays.rows import Rows
from dltool.explain.explained import Question
from dltool.training.batches import tensor
from dltool.training.distillation import before_squashing
from dltool.training.numerics import evaluation_batch, takes_any_size
from dltool.training.state import evaluating

Arrays = Mapping[str, np.ndarray]
Tensors = dict[str, Any]
Call = tuple[int, int]
"""The identity of a node of Keras, behind that of the node of the network it is inside, 0 if it is in none."""
INDEXING = ("Embedding", "OneHot", "CategoryEncoding", "ReversibleEmbedding", "TokenAndPositionEmbedding")
"""Operations that turn indices into vectors, through which no gradient flows to the indices. The last two are those of
KerasHub's networks for texts."""
MOST_ROWS = 256


class Scores:
    """Compiled scores of a model, their gradients, and its probabilities, for preprocessed inputs by name.

    `entrances` are the float tensors that explanations change: a preprocessed input of floats itself, by its name; of
    an input of indices, the vectors that each embedding or one-hot encoding makes of them, by the names of the input
    and of that layer. `input_of` gives the input of each entrance."""

    def __init__(self, question: Question, at: Any = None) -> None:
        self.question, self.core = question, question.built.core
        self.nodes, target = nodes_of(self.core), question.target
        self.places = math.prod(target.shape) if target.task.is_index else 1
        # Keras sorts the inputs of a dict.
        given = self.core.input
        self.symbols = given if isinstance(given, dict) else {next(iter(question.facts.inputs)): self.core.inputs[0]}
        self.indexed: dict[Call, str] = {}
        self.input_of: dict[str, str] = {}
        if at is not None:
            self.indexed[0, id(at)] = at.operation.name
            self.input_of[at.operation.name] = next(iter(self.symbols))
        for name, symbol in self.symbols.items() if at is None else ():
            by_index = indexing(self.core, symbol)
            if by_index:
                self.indexed |= {call: f"{name}/{layer}" for call, layer in by_index.items()}
                self.input_of |= {f"{name}/{layer}": name for layer in by_index.values()}
            else:
                self.input_of[name] = name
        self.size = min(MOST_ROWS, evaluation_batch(question.built, question.config.training.batch_size))
        self.takes_any_size = takes_any_size(self.core)
        self.compiled: dict[str, Any] = {}

    # --- inside compiled functions ---

    def run(self, inputs: Tensors, entrances: Tensors | None) -> tuple[Any, Tensors]:
        """Return the output in question, and the entrances: those given, or those that the inputs make."""
        made: Tensors = {}
        values = {}
        for name, symbol in self.symbols.items():
            values[id(symbol)] = inputs[name]
            if name in self.input_of:
                made[name] = tf.cast(inputs[name], tf.float32) if entrances is None else entrances[name]
                values[id(symbol)] = made[name]
        self.compute(self.nodes, values, made, entrances)
        heads = self.core.output
        head = heads[self.question.head.name] if isinstance(heads, dict) else heads
        return values[id(head)], made

    def compute(
        self, nodes: list[Any], values: dict[int, Any], made: Tensors, entrances: Tensors | None, inside: int = 0
    ) -> None:
        """Add to `values` what each call gives, and to `made` the entrances. The calls are `inside` a network."""
        for node in nodes:
            if node.is_input:
                continue
            arguments, options = node.arguments.fill_in(values)
            if is_of_texts(node.operation):
                within = {id(node.operation.inputs[0]): arguments[0]}
                self.compute(nodes_of(node.operation), within, made, entrances, id(node))
                outputs = within[id(node.operation.outputs[0])]
            else:
                outputs = node.operation(*arguments, **evaluation_options(node.operation, options))
            key = self.indexed.get((inside, id(node)))
            if key is not None:
                made[key] = tf.cast(outputs, tf.float32) if entrances is None else entrances[key]
                outputs = like_masked(tf.cast(made[key], outputs.dtype), outputs)
            values |= {id(symbol): each for symbol, each in zip(node.outputs, tf.nest.flatten(outputs), strict=True)}

    def entrances_of(self, inputs: Tensors) -> Tensors:
        return self.run(inputs, None)[1]

    def scores_of(self, inputs: Tensors, entrances: Tensors, labels: Any) -> tuple[Any, Any, Any]:
        """Return scores (rows,), how sure the model is of the labels (rows,), and the share of the places of each class
        (rows, classes), or all numbers (rows, numbers)."""
        score, outputs = self.outputs_of(inputs, entrances)
        names = self.question.target.class_names
        if not names:
            return tf.reduce_mean(score, (1, 2)), tf.reduce_mean(outputs, (1, 2)), outputs[:, 0]
        pairs = (score, outputs)
        if score.shape[-1] == 1:
            pairs = (tf.concat([-score, score], 2), tf.concat([1 - outputs, outputs], 2))
        weights = self.weights_of(inputs, labels)
        picked = [tf.reduce_sum(weights * tf.gather(each, labels, axis=2, batch_dims=1), 1) for each in pairs]
        shares = tf.reduce_mean(tf.one_hot(self.predicted(outputs), len(names)), 1)
        return picked[0], picked[1], shares

    def outputs_of(self, inputs: Tensors, entrances: Tensors | None) -> tuple[Any, Any]:
        """Return scores and outputs, (rows, places, numbers) of float32 each."""
        output, _ = self.run(inputs, entrances)
        shape = (-1, self.places, math.prod(output.shape[1:]) // self.places)
        score, compared = before_squashing(output), self.question.built.compared.get(self.question.head.name)
        if compared is not None and compared.outputs == "logits":
            output = keras.activations.get(compared.activation)(output)
        score, output = (tf.reshape(tf.cast(each, tf.float32), shape) for each in (score, output))
        return score, output

    def weights_of(self, inputs: Tensors, labels: Any) -> Any:
        """Return how much each place counts in the score, (rows, places): alike those that the unchanged example has of
        the class, or all if there are none."""
        if self.places == 1:
            return 1.0
        are_chosen = self.predicted(self.outputs_of(inputs, None)[1]) == labels[:, tf.newaxis]
        weights = tf.cast(are_chosen | ~tf.reduce_any(are_chosen, 1, keepdims=True), tf.float32)
        return weights / tf.reduce_sum(weights, 1, keepdims=True)

    def predicted(self, outputs: Any) -> Any:
        """Return the class of each place, (rows, places) of int32, by outputs (rows, places, numbers)."""
        if outputs.shape[-1] > 1:
            return tf.argmax(outputs, 2, tf.int32)
        (threshold,) = self.question.head.thresholds([]) or [0.5]
        return tf.cast(outputs[..., 0] > threshold, tf.int32)

    def gradients_of(self, inputs: Tensors, entrances: Tensors, labels: Any) -> Tensors:
        with tf.GradientTape() as tape:
            tape.watch(entrances)
            score, _, _ = self.scores_of(inputs, entrances, labels)
        found = tape.gradient(score, entrances, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return {name: tf.convert_to_tensor(each) for name, each in found.items()}

    # --- for arrays of any number of rows ---

    def prepared(self, raw: Mapping[str, Rows]) -> Arrays:
        """Return the preprocessed inputs, (rows, …) by name."""
        models, count = self.question.built.preprocessors, len(next(iter(raw.values())))

        def part(first: int) -> Tensors:
            rows = {name: tensor(np.asarray(values[first : first + self.size])) for name, values in raw.items()}
            return {name: models[name](each, training=False) if name in models else each for name, each in rows.items()}

        parts = [part(first) for first in range(0, count, self.size)]
        return {name: np.concatenate([np.asarray(each[name]) for each in parts]) for name in raw}

    def entrances(self, inputs: Arrays) -> Arrays:
        """Return the entrances, (rows, …) of float32 by name, that preprocessed inputs make."""
        found: Arrays = self.in_batches("entrances_of", inputs)
        return found

    def scores(self, inputs: Arrays, entrances: Arrays, labels: np.ndarray) -> np.ndarray:
        """Return the scores (rows,) of the classes `labels` (rows,) of int32, in which numbers are all 0."""
        return self.all_of(inputs, entrances, labels)[0]

    def sureness(self, inputs: Arrays, entrances: Arrays, labels: np.ndarray) -> np.ndarray:
        """Return the probabilities (rows,) of the classes, or the numbers."""
        return self.all_of(inputs, entrances, labels)[1]

    def all_of(
        self, inputs: Arrays, entrances: Arrays, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = self.in_batches("scores_of", inputs, entrances, labels)
        return found[0], found[1], found[2]

    def gradients(self, inputs: Arrays, entrances: Arrays, labels: np.ndarray) -> Arrays:
        """Return the gradients of the scores by the entrances, (rows, …) by name."""
        found: Arrays = self.in_batches("gradients_of", inputs, entrances, labels)
        return found

    def labels(self, inputs: Arrays) -> np.ndarray:
        """Return the class of each example whose score is explained, (rows,) of int32: the one asked for, or the one
        predicted; of several places, the one with most of them, apart from the most common class of all examples, the
        background. It is 0 if numbers are predicted."""
        count, target = len(next(iter(inputs.values()))), self.question.target
        asked = np.full(count, self.question.label or 0, np.int32)
        if not target.class_names or self.question.label is not None:
            return asked
        shares = self.all_of(inputs, self.entrances(inputs), asked)[2]
        others = shares * (np.arange(shares.shape[1]) != shares.sum(0).argmax())
        return np.asarray(np.where(others.any(1, keepdims=True), others, shares).argmax(1), np.int32)

    def function(self, what: str, arrays: Any) -> Any:
        """Return a method of this class as a compiled function, traced once for batches of any size if the model has
        no fixed one."""
        if what not in self.compiled:
            self.compiled[what] = made = tf.function(getattr(self, what), autograph=False)
            if self.takes_any_size:
                specs = tf.nest.map_structure(lambda each: tf.TensorSpec((None, *each.shape[1:]), each.dtype), arrays)
                made.get_concrete_function(*specs)
        return self.compiled[what]

    def in_batches(self, what: str, *arrays: Any) -> Any:
        """Return the results for all rows: in batches of one size, so that each function is traced once. They are even,
        so that few rows are computed twice to fill the last one."""
        count = len(tf.nest.flatten(arrays)[0])
        size, parts = -(-count // max(1, -(-count // self.size))), []
        with evaluating(self.core, self.question.config.seed):
            function = self.function(what, arrays)
            for first in range(0, count, max(1, size)):
                rows = np.minimum(np.arange(first, first + size), count - 1)
                batch = tf.nest.map_structure(lambda each, rows=rows: tf.constant(each[rows]), arrays)
                found = function(*batch)
                parts.append(tf.nest.map_structure(lambda each, n=count - first: each.numpy()[:n], found))
        return tf.nest.map_structure(lambda *each: np.concatenate(each), *parts)


def nodes_of(core: keras.Model) -> list[Any]:
    """Return the calls of a model in an order in which they can be computed. Keras has no public access to them."""
    return [node for depth in sorted(core._nodes_by_depth, reverse=True) for node in core._nodes_by_depth[depth]]


def is_of_texts(operation: Any) -> bool:
    """Return whether a layer is a network that takes the tokens of a text."""
    inputs: Sequence[Any] = operation.inputs if hasattr(operation, "_nodes_by_depth") else ()
    return len(inputs) == 1 and inputs[0].dtype.startswith("int") and len(operation.outputs) == 1


def indexing(core: keras.Model, symbol: Any, inside: int = 0) -> dict[Call, str]:
    """Return the calls that turn an input of indices into vectors, and their layers, also inside networks for texts."""
    found: dict[Call, str] = {}
    for node in nodes_of(core) if symbol.dtype.startswith("int") else ():
        if [id(each) for each in node.input_tensors] != [id(symbol)]:
            continue
        if is_of_texts(node.operation):
            found |= indexing(node.operation, node.operation.inputs[0], id(node))
        elif type(node.operation).__name__ == "ConvertToTensor":
            # KerasHub's networks begin with it.
            found |= indexing(core, node.outputs[0], inside)
        elif type(node.operation).__name__ in INDEXING:
            found[inside, id(node)] = node.operation.name
    return found


def evaluation_options(operation: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a call in evaluation."""
    takes = "training" in getattr(operation, "_call_context_args", {})
    return {**options, "training": False} if takes else dict(options)


def like_masked(values: Any, masked: Any) -> Any:
    """Return the values with the mask that Keras has attached to other ones, if any."""
    mask = getattr(masked, "_keras_mask", None)
    if mask is not None:
        values._keras_mask = mask
    return values

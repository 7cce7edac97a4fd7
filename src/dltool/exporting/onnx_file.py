"""A model as one ONNX file: raw columns in, strings too, named outputs out."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf
from onnx import TensorProto, helper
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from dltool.errors import ExpectationMissed
from dltool.exporting.exportable import Exportable, ExportInput
from dltool.exporting.onnx_handlers import HANDLERS

OPSET = 18
BATCH = "batch"


def write_onnx(given: Exportable, path: Path, facts: Mapping[str, str], looks_up: bool = True) -> dict[str, str]:
    """Write the file, with `facts` as its metadata. Categories are looked up by nodes of the file if it `looks_up`; the
    inputs are then the columns. Return the names of the inputs in the file.

    Raises ExpectationMissed: an operation has no form in ONNX."""
    model = converted(given)
    graph = model.graph
    lookups = [each for each in given.inputs if each.is_lookup and looks_up]
    columns = [each.column for each in given.inputs]
    names = {
        each.name: each.column if each in lookups or columns.count(each.column) == 1 else each.name
        for each in given.inputs
    }
    # A column may have the name of another input, or of a value inside the graph.
    inner = {each.name: f"{each.name}/inner" for each in given.inputs}
    rename(graph, {name: f"{name}/value" for name in names.values()} | inner)
    for each in given.inputs:
        if each in lookups:
            add_lookup(graph, each, inner[each.name])
        else:
            rename(graph, {inner[each.name]: names[each.name]})
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    refuse_unknown_operations(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExpectationMissed(f"onnx: the converted model is invalid: {str(error).splitlines()[0][:200]}") from None
    onnx.save(model, str(path))
    return names


def converted(given: Exportable) -> Any:
    """Return the model in ONNX, its inputs and outputs by their names. What the function captured are constants."""
    import tf2onnx
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    names = [each.name for each in given.inputs]

    def call(*tensors: Any) -> dict[str, Any]:
        found = given(dict(zip(names, tensors, strict=True)))
        return {name: tf.identity(value, name=f"result_{index}") for index, (name, value) in enumerate(found.items())}

    with tf.device("/CPU:0"), quiet():
        specs = [tf.TensorSpec((None, *each.tensor.shape[1:]), each.tensor.dtype) for each in given.inputs]
        function = tf.function(call, autograph=False).get_concrete_function(*specs)
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False, aggressive_inlining=True)
        inputs, outputs = [x.name for x in frozen.inputs], [x.name for x in frozen.outputs]
        patch_tf2onnx()
        model, _ = tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(add_shapes=True),
            input_names=inputs,
            output_names=outputs,
            opset=OPSET,
            custom_op_handlers=dict(HANDLERS),
        )
    # TensorFlow sorts the keys of a dict.
    ordered = sorted(function.structured_outputs)
    graph = model.graph
    rename(graph, dict(zip(inputs, names, strict=True)) | dict(zip(outputs, ordered, strict=True)))
    for value in [*graph.input, *graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    return model


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep back what tf2onnx logs: the check of the nodes finds what it could not convert."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def rename(graph: Any, names: Mapping[str, str]) -> None:
    """Rename values of the graph."""
    for node in graph.node:
        for values in (node.input, node.output):
            for index, value in enumerate(values):
                if value in names:
                    values[index] = names[value]
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                rename(attribute.g, names)
    for value in [*graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        value.name = names.get(value.name, value.name)


def add_lookup(graph: Any, given: ExportInput, index: str) -> None:
    """Put a LabelEncoder before the input `index`: its input is then the column of strings."""
    assert given.values is not None
    indices = given.values["indices"]
    value = next(each for each in graph.input if each.name == index)
    shape = [each.dim_param or each.dim_value or None for each in value.type.tensor_type.shape.dim]
    kind = value.type.tensor_type.elem_type
    graph.input.remove(value)
    if given.column not in [each.name for each in graph.input]:
        graph.input.append(helper.make_tensor_value_info(given.column, TensorProto.STRING, shape))
    lookup = helper.make_node(
        "LabelEncoder",
        [given.column],
        [f"{index}_64"],
        domain="ai.onnx.ml",
        keys_strings=list(indices),
        values_int64s=list(indices.values()),
        default_int64=given.values["unknown"],
    )
    graph.node.insert(0, lookup)
    graph.node.insert(1, helper.make_node("Cast", [f"{index}_64"], [index], to=kind))


def refuse_unknown_operations(model: Any) -> None:
    """Raise ExpectationMissed if a node is no operation of ONNX: tf2onnx copies what it cannot convert."""
    domains = {"", "ai.onnx.ml"}
    if not any(each.domain == "ai.onnx.ml" for each in model.opset_import):
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    unknown = {
        node.op_type
        for node in nodes(model.graph)
        if node.domain not in domains or not onnx.defs.has(node.op_type, node.domain)
    }
    if unknown:
        raise ExpectationMissed(f"ONNX has no operation {', '.join(sorted(unknown))}", "export another format")


def nodes(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph, and those of the graphs inside them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from nodes(attribute.g)

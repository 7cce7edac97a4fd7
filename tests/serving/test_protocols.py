"""The Open Inference Protocol and TensorFlow Serving's REST interface."""

import json
import tracemalloc
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from tests.serving.conftest import ROW, Client

from dltool.evaluation.model_interface import OutputSchema
from dltool.serving.limits import Refused
from dltool.serving.protocol_v1 import array_of
from dltool.serving.protocol_v2 import metadata
from dltool.serving.served import Served, numbers

INPUTS: dict[str, tuple[str, list[Any]]] = {
    "place": ("BYTES", ["north", "south"]),
    "colour": ("BYTES", ["red", ""]),
    "seen": ("INT64", [1769817600, 1769817600]),
    "wild": ("FP32", [1.0, None]),
    "size": ("FP32", [1.5, 0.5]),
    "age": ("FP32", [3.0, None]),
}
INFER = "/v2/models/flowers/infer"


def tensors(binary: bool = False) -> list[dict[str, Any]]:
    found = []
    for name, (datatype, data) in INPUTS.items():
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": [2]}
        found.append(
            tensor | ({"parameters": {"binary_data_size": len(raw(datatype, data))}} if binary else {"data": data})
        )
    return found


def raw(datatype: str, data: list[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(len(text).to_bytes(4, "little") + text.encode() for text in data)
    dtype = {"INT64": "<i8", "FP32": "<f4"}[datatype]
    return np.array([np.nan if value is None else value for value in data], dtype).tobytes()


def test_the_metadata_are_those_of_the_model(table: Client) -> None:
    found = table("GET", "/v2/models/flowers").json()

    assert {each["name"]: each["datatype"] for each in found["inputs"]} == {
        name: kind for name, (kind, _) in INPUTS.items()
    }
    assert found["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1, 2]}]


def test_the_answer_of_a_reconstruction_is_its_error() -> None:
    output = OutputSchema("output", "input", (8, 8, 1))
    predictor = SimpleNamespace(inputs=(), outputs=(output,), engine="tensorflow")
    model = SimpleNamespace(name="m", version="1", predictor=predictor)

    assert metadata(cast("Served", model))["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1]}]


def test_json_and_binary_tensors_give_what_rows_give(table: Client) -> None:
    rows = [ROW, {**ROW, "place": "south", "colour": None, "wild": None, "size": 0.5, "age": None}]
    said = [[row["probability of a"], row["probability of b"]] for row in table.rows(*rows).json()["predictions"]]

    plain = table("POST", INFER, json={"id": "7", "inputs": tensors()})
    head = json.dumps({"inputs": tensors(binary=True), "parameters": {"binary_data_output": True}}).encode()
    body = head + b"".join(raw(*each) for each in INPUTS.values())
    binary = table("POST", INFER, content=body, headers={"inference-header-content-length": str(len(head))})

    assert plain.json()["id"] == "7"
    (output,) = plain.json()["outputs"]
    assert output["shape"] == [2, 2]
    assert np.reshape(output["data"], (2, 2)) == pytest.approx(np.array(said), abs=1e-6)
    length = int(binary.headers["inference-header-content-length"])
    (described,) = json.loads(binary.content[:length])["outputs"]
    assert described["parameters"]["binary_data_size"] == len(binary.content) - length
    assert np.frombuffer(binary.content[length:], "<f4").reshape(2, 2) == pytest.approx(np.array(said), abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "sizes"},
        {"datatype": "FP31"},
        {"datatype": "BYTES"},
        {"shape": [3]},
        {"shape": [2, 1, 1]},
        {"shape": [-2]},
        {"shape": [2**62, 2**62]},
        {"shape": [0, 2**40, 2**40], "data": []},
        {"data": ["a", "b"]},
        {"data": [[1.0], 2.0]},
        {"data": {}},
        {"data": [True, False]},
        {"parameters": {"binary_data_size": 8}},
        {"parameters": {"binary_data_size": -1}},
        {"name": "place", "datatype": "BYTES", "data": ["north", "moon"]},
        {"name": "place", "datatype": "BYTES", "data": ["north", ""]},
        {"data": [None, 1.0]},
        {"data": [1e300, 1.0]},
        {"datatype": "FP64", "data": [1e39, 1.0]},
        {"name": "seen", "datatype": "INT64", "data": [-(2**63), 0]},
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_with_400(table: Client, change: dict[str, Any]) -> None:
    inputs = [each for each in tensors() if each["name"] != change.get("name", "size")]
    inputs.append({**tensors()[4], **change})

    answer = table("POST", INFER, json={"inputs": inputs})

    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("length", ["x", "-1", "99999", "٣", "9" * 5_000])
def test_a_length_of_the_header_that_is_none_is_refused(table: Client, length: str) -> None:
    headers = {"inference-header-content-length": length.encode()}

    assert table("POST", INFER, json={"inputs": tensors()}, headers=headers).status_code == 400


def test_missing_inputs_and_unknown_outputs_and_models_are_named(table: Client) -> None:
    missing = table("POST", INFER, json={"inputs": tensors()[:-1]})
    unknown = table("POST", INFER, json={"inputs": tensors(), "outputs": [{"name": "logits"}]})

    assert missing.json()["error"] == "the inputs age are missing"
    assert unknown.json()["error"] == "the model has no output logits; it has output"
    assert table("GET", "/v2/models/trees").status_code == 404
    assert table("GET", "/v2/models/flowers/versions/0002").status_code == 404
    assert table("GET", "/v2/models/flowers/versions/0001/ready").json() == {"name": "flowers", "ready": True}


def test_both_protocols_refuse_inputs_in_the_same_words(table: Client) -> None:
    columns = {each["name"]: [0, 1] for each in tensors()} | {"place": ["north", "south"], "colour": ["red", "red"]}
    for change in ({"sizes": [1.5, 2.5]}, {"size": None}, {"size": [1.5]}, {"place": ["moon", "north"]}):
        given = {name: values for name, values in (columns | change).items() if values is not None}
        inputs = [
            {"name": name, "shape": [len(values)], "data": values, "datatype": INPUTS.get(name, ("FP32",))[0]}
            for name, values in given.items()
        ]
        found = [
            table("POST", INFER, json={"inputs": inputs}),
            table("POST", "/v1/models/flowers:predict", json={"inputs": given}),
        ]
        assert [each.status_code for each in found] == [400, 400]
        assert found[0].json() == found[1].json()


def test_an_input_that_is_there_twice_is_refused(table: Client) -> None:
    answer = table("POST", INFER, json={"inputs": [*tensors(), tensors()[4]]})

    assert (answer.status_code, answer.json()) == (400, {"error": "the input size is there twice"})


def test_tensorflow_serving_s_two_forms_give_the_same(table: Client) -> None:
    columns = {name: [0 if value is None else value for value in data] for name, (_, data) in INPUTS.items()}
    rows = [{name: values[row] for name, values in columns.items()} for row in range(2)]

    by_row = table("POST", "/v1/models/flowers:predict", json={"instances": rows})
    by_column = table("POST", "/v1/models/flowers:predict", json={"inputs": columns})

    assert by_row.json()["predictions"] == by_column.json()["outputs"]
    assert np.shape(by_row.json()["predictions"]) == (2, 2)


def test_tensorflow_serving_s_null_is_a_missing_number_and_strings_stay_as_they_are(table: Client) -> None:
    columns = {name: data for name, (_, data) in INPUTS.items()}
    for colour in ("red", "red\x00"):
        found = [
            table("POST", "/v1/models/flowers:predict", json={"inputs": columns | {"colour": [colour, ""]}}),
            table("POST", INFER, json={"inputs": [each | changed(each, colour) for each in tensors()]}),
        ]
        assert [each.status_code for each in found] == [200, 200]
        assert np.ravel(found[0].json()["outputs"]).tolist() == found[1].json()["outputs"][0]["data"]
    mixed = table("POST", "/v1/models/flowers:predict", json={"inputs": columns | {"colour": ["red", 1]}})
    assert (mixed.status_code, mixed.json()) == (400, {"error": "colour: a list of numbers or strings is expected"})


def changed(tensor: dict[str, Any], colour: str) -> dict[str, Any]:
    return {"data": [colour, ""]} if tensor["name"] == "colour" else {}


def test_one_long_string_among_many_takes_no_more_memory_than_it_has() -> None:
    values = ["x" * 100_000, *["red"] * 1_000]
    tracemalloc.start()
    array_of("colour", values)
    with pytest.raises(Refused):
        numbers(values, "pixels")
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_a_million_tensors_that_are_none_are_refused_at_once(table: Client) -> None:
    for name in ("inputs", "outputs"):
        answer = table("POST", INFER, content=f'{{"{name}": [{"{}," * 10_001}{{}}]}}')
        assert "at most 10000 items" in answer.json()["error"]


def test_instances_of_a_model_with_one_input_need_no_name(pictures: Client) -> None:
    answer = pictures("POST", "/v1/models/pictures:predict", json={"instances": np.zeros((3, 8, 8, 1), int).tolist()})

    assert np.shape(answer.json()["predictions"]) == (3, 10)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"instances": []},
        {"instances": [1]},
        {"inputs": 3},
        {"instances": [{}], "inputs": {}},
        {"instances": [{"size": 1}]},
        [],
    ],
)
def test_what_tensorflow_serving_would_refuse_is_refused_with_400(table: Client, body: Any) -> None:
    answer = table("POST", "/v1/models/flowers:predict", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]

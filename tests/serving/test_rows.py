"""Predictions by row: as `dltool predict` says them, and every problem by row and field."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.serving.conftest import ROW, Client, Problems, client_of

import dltool
from dltool.data.arrays.rows import Rows, coded
from dltool.serving import hosting, row_schema
from dltool.serving.hosting import EXPLAINING, Host, blank, follow
from dltool.serving.limits import Limits, Refused
from dltool.serving.served import Answer, Query


def test_the_answer_is_what_predict_says(table: Client, table_run: Path) -> None:
    rows = [ROW, {**ROW, "place": ".south.", "colour": None}, {**ROW, "age": None, "wild": False}]
    said = dltool.open_run(table_run).predict(rows)

    answer = table.rows(*rows)

    assert answer.status_code == 200
    found = pd.DataFrame(answer.json()["predictions"])
    assert list(found.columns) == list(said.columns)
    assert list(found["class"]) == list(said["class"])
    for name in found.columns[1:]:
        assert found[name].to_numpy() == pytest.approx(said[name].to_numpy(), abs=1e-6)


def test_a_value_that_may_be_missing_may_be_left_out(table: Client) -> None:
    short = {name: value for name, value in ROW.items() if name not in ("colour", "age", "wild")}

    assert (
        table.rows(short).json()["predictions"]
        == table.rows({**ROW, "colour": None, "age": None, "wild": None}).json()["predictions"]
    )


def test_all_problems_of_a_request_are_named_by_row_and_field(table: Client, problems: Problems) -> None:
    bad = {"place": "moon", "seen": "31.01.2026", "wild": "yes", "size": "1.5", "age": True, "colours": "red"}

    answer = table.rows(ROW, bad, {})

    assert answer.status_code == 422
    assert problems(answer) == {
        *((1, name) for name in ("place", "seen", "wild", "size", "age", "colours")),
        *((2, name) for name in ("place", "seen", "size")),
    }
    said = {each["field"]: each["message"] for each in answer.json()["problems"] if each["row"] == 1}
    assert said["colours"] == 'Unknown field; did you mean "colour"?'
    assert said["place"] == "Training has not seen this category; it has seen north, south"
    assert said["seen"] == "Input should be a date in ISO 8601, such as 2026-01-31"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e400", "-1e400"])
def test_numbers_that_are_none_are_refused(table: Client, problems: Problems, value: str) -> None:
    body = json.dumps({"rows": [ROW]}).replace("1.5", value)

    answer = table("POST", "/predict", content=body, headers={"content-type": "application/json"})

    assert (answer.status_code, problems(answer)) == (422, {(0, "size")})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ('{"rows": [', 400),
        ("[" * 100_000, 400),
        ("null", 422),
        ("[]", 422),
        ('{"rows": []}', 422),
        ('{"rows": {}}', 422),
        ('{"rows": [1]}', 422),
        ('{"rows": [null]}', 422),
        ('{"row": [{}]}', 422),
        ("\xff\xfe", 400),
    ],
)
def test_what_is_no_request_gets_its_own_status(table: Client, body: str, status: int) -> None:
    answer = table("POST", "/predict", content=body.encode("latin-1"), headers={"content-type": "application/json"})

    assert answer.status_code == status
    assert answer.json()["error"]


def test_of_too_many_problems_the_number_is_said(table: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_schema, "MOST_NAMED", 9)
    answer = table.rows({**ROW, **{f"x{number}": 1 for number in range(10)}})

    assert (answer.status_code, answer.json()) == (
        422,
        {"error": "the request is not what the model takes: 10 problems"},
    )


def test_a_problem_shows_its_value_as_json_has_it(table: Client) -> None:
    for value, shown in ((True, "true"), ([1] * 7, "7 values"), ({"a": 1}, "1 value"), ("a\nb", "a b")):
        assert table.rows({**ROW, "size": value}).json()["problems"][0]["given"] == shown
    assert table.rows({**ROW, "size": None}).json()["problems"][0]["given"] == "null"


def test_another_content_type_is_refused(table: Client) -> None:
    answer = table("POST", "/predict", content=b"place,size\n", headers={"content-type": "text/csv"})

    assert answer.status_code == 415
    assert answer.json()["error"] == "the content type is text/csv; application/json is expected"


def test_more_rows_than_are_allowed_are_refused(table: Client) -> None:
    assert table.rows(*[ROW] * 10_001).status_code == 422


def test_values_unlike_those_of_training_are_warned_of(table: Client) -> None:
    usual, unusual = table.rows(ROW).json(), table.rows({**ROW, "age": 1e6, "colour": "plaid"}).json()

    assert "warnings" not in usual
    assert [warning.split(":")[0] for warning in unusual["warnings"]] == ['"colour"', '"age"']


def test_requests_at_the_same_time_share_a_batch_and_get_their_own_answers(table: Client) -> None:
    sizes = [0.1 * number for number in range(12)]
    alone = [table.rows({**ROW, "size": size}).json()["predictions"] for size in sizes]
    bad = {**ROW, "age": 1e6}
    requests = [("POST", "/predict", {"json": {"rows": [{**ROW, "size": size}]}}) for size in sizes]

    answers = table.together([*requests, ("POST", "/predict", {"json": {"rows": [bad]}})])

    for answer, said in zip(answers[:-1], alone, strict=True):
        assert answer.json()["predictions"][0]["probability of a"] == pytest.approx(
            said[0]["probability of a"], abs=1e-6
        )
        assert "warnings" not in answer.json()
    assert "warnings" in answers[-1].json()


def test_requests_beyond_those_that_may_wait_are_told_to_come_again(table_run: Path) -> None:
    table = client_of(table_run, limits=Limits(waiting=2, batch=1))

    answers = table.together([("POST", "/predict", {"json": {"rows": [ROW]}})] * 8)

    statuses = sorted(answer.status_code for answer in answers)
    assert set(statuses) == {200, 503}
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 503)


def test_the_document_describes_the_rows_of_the_model(table: Client) -> None:
    paths = table("GET", "/openapi.json").json()["paths"]

    schema = paths["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    row = schema["properties"]["rows"]["items"]
    assert list(row["properties"]) == list(ROW)
    assert row["required"] == ["place", "seen", "size"]
    assert row["additionalProperties"] is False
    assert row["properties"]["place"]["x-known"] == ["north", "south"]


def test_health_and_metrics_tell_how_the_server_is(table: Client) -> None:
    table.rows(ROW)

    assert table("GET", "/health").json() == {
        "status": "ready",
        "models": {"flowers": "0001"},
        "engines": {"flowers": "tensorflow"},
    }
    text = table("GET", "/metrics").text
    assert 'dltool_requests_total{route="/predict",status="200"}' in text
    assert 'dltool_rows_total{engine="tensorflow",model="flowers",run="0001"}' in text


def test_two_models_have_paths_of_their_own(table_run: Path, picture_run: Path) -> None:
    both = client_of(table_run, picture_run)

    assert both.rows(ROW, path="/models/flowers/predict").status_code == 200
    assert both.rows([[0] * 8] * 8, path="/models/pictures/predict").status_code == 200
    assert both.rows(ROW).status_code == 404


def test_a_value_that_fails_in_the_model_fails_its_own_request_alone(table_run: Path) -> None:
    table = client_of(table_run)
    host = table.service.hosts["flowers"]
    known, unknown = (
        Query(1, inputs={**inputs_of(host), "place": coded(np.array([place]))}) for place in ("north", "moon")
    )

    first, second, third = host.model.answers([known, unknown, known])

    assert isinstance(first, Answer)
    assert isinstance(third, Answer)
    assert isinstance(second, Refused)
    assert "vocabulary" in second.reason


@pytest.mark.parametrize(
    "change", [{"seen": None}, {"place": None}, {"size": None}, {"size": 1e300}, {"age": -1e39}, {"colour": True}]
)
def test_what_a_cell_must_not_be_is_named_by_row_and_field(
    table: Client, problems: Problems, change: dict[str, object]
) -> None:
    answer = table.rows(ROW, {**ROW, **change})

    assert answer.status_code == 422
    assert problems(answer) == {(1, next(iter(change)))}


def test_words_are_made_for_rows_and_not_for_tensors(table: Client) -> None:
    host = table.service.hosts["flowers"]
    (silent,) = host.model.answers([Query(1, inputs=inputs_of(host), in_words=False)])

    assert isinstance(silent, Answer)
    assert not silent.predictions
    assert silent.outputs["output"].shape == (1, 2)


def test_a_server_goes_on_following_after_an_error_that_nobody_foresaw(
    table_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = client_of(table_run).service.hosts["flowers"]
    before, after = host.model, replace(host.model, why="it has no export")
    found: list[object] = [ZeroDivisionError("x"), ZeroDivisionError("x"), None, after]
    notes: list[str] = []

    def newer() -> object:
        each = found.pop(0) if found else None
        if isinstance(each, Exception):
            raise each
        return each

    async def followed() -> None:
        following = asyncio.create_task(follow([host], notes.append))
        while found or host.model is before:
            await asyncio.sleep(0.01)
        following.cancel()

    monkeypatch.setattr(hosting, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(host, "newer", newer)
    asyncio.run(asyncio.wait_for(followed(), 10))

    assert host.model is after
    path = before.run.path
    assert notes == [
        f"{path} stays: ZeroDivisionError: x",
        f"{path} answers now, computed by tensorflow: it has no export",
    ]


def inputs_of(host: Host) -> dict[str, Rows]:
    return {each.name: blank(each, 1) for each in host.model.predictor.inputs}


@pytest.mark.slow
def test_one_row_is_explained_with_its_proofs_and_the_model_stays_as_it_was(table: Client) -> None:
    before = table.rows(ROW).json()

    answer = table.rows(ROW, path="/predict/explain").json()

    (found,) = answer["explanations"]
    assert found["method"] == "integrated gradients"
    assert {f"by {name}" for name in ROW} <= set(found["rows"][0])
    assert {proof["name"] for proof in found["proofs"]} == {"completeness", "deletion", "insertion", "randomisation"}
    assert all(figure["image"].startswith("data:image/svg+xml;base64,") for figure in found["figures"])
    assert table.rows(ROW).json() == before


def test_one_row_is_explained_at_a_time(table: Client) -> None:
    two = table.rows(ROW, ROW, path="/predict/explain")

    assert (two.status_code, two.json()["error"]) == (422, "one row is explained at a time; given are 2")
    assert table.rows({**ROW, "age": "old"}, path="/predict/explain").status_code == 422


def test_a_second_explanation_at_the_same_time_is_told_to_come_again(table: Client) -> None:
    with EXPLAINING:
        answer = table.rows(ROW, path="/predict/explain")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")

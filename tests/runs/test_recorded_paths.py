"""Values of a recorded config that may differ between machines: where things are."""

import pytest

from dltool.runs.recorded import MAY_CHANGE


@pytest.mark.parametrize(
    "path",
    [
        "data.source.csv.path",
        "model.start.weights",
        "model.layers[2].backbone.KerasHub.preset",
        "data.preprocessing[0].KerasHubTokenizer.preset",
        "data.inputs.review.text.preset",
        "data.inputs.a review.text.preset",
    ],
)
def test_where_files_are_may_change(path: str) -> None:
    assert MAY_CHANGE.fullmatch(path)
    assert not MAY_CHANGE.fullmatch(path.rpartition(".")[0] + ".length")

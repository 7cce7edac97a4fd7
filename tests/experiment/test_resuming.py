"""What must be as it was when a run is resumed."""

from typing import Any

import pytest

from dltool.errors import MachineError
from dltool.experiment import resuming
from dltool.runs.recorded import Change


def test_another_number_of_workers_is_refused_with_the_option_that_starts_as_many(monkeypatch: pytest.MonkeyPatch):
    record: Any = type("Record", (), {"pinned": {"workers": 3}})
    monkeypatch.setattr(resuming, "machine_changes", lambda *_: [Change("workers", 3, 1)])
    with pytest.raises(MachineError) as caught:
        resuming.refuse_changes(record, {}, False, None)  # type: ignore[arg-type]
    (problem,) = caught.value.problems
    assert problem.message == "workers was 3 and is 1"
    assert problem.hint.startswith("resume in as many processes as before: --workers 3 on one machine; --allow-change")

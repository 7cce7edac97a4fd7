"""A listener that shows nothing, for runs that are part of something larger."""

from typing import Any


class Silent:
    """Ignores every event of :class:`~dltool.experiment.listener.Progress`. Subclasses show some of them."""

    def nothing(self, *_: Any, **__: Any) -> None:
        """Ignore an event."""

    stage = warn = say = prepared = run_created = run_resumed = ended_early = nothing
    epoch_begins = steps_done = validation_begins = epoch_ends = part_begins = part_ends = nothing

"""How many examples the longest tests of hypothesis try: on every change fewer than where new ones are tried."""

from hypothesis import settings

ON_EVERY_CHANGE = 50


def many_examples(count: int) -> settings:
    """Try `count` examples with `--hypothesis-profile exploring`, as `make test-all` does, and else the first few."""
    explores = settings.get_current_profile_name() == "exploring"
    return settings(max_examples=count if explores else min(count, ON_EVERY_CHANGE))

"""Checks a config against the facts of its data."""

from dltool.config.checks import static_checks
from dltool.config.layer_checks import weight_file_problems
from dltool.config.load import Document, build_config
from dltool.config.presets import preset_problems
from dltool.config.schema import Config
from dltool.data.facts import Facts, known_facts
from dltool.errors import ConfigError


def checked_config(document: Document) -> tuple[Config, Facts | None]:
    """Return the config, with what is known without reading data. Raises all static errors at once."""
    config = build_config(document)
    facts = known_facts(config.data)
    return (checked_with(document, facts), facts) if facts else (without_problems(config, None), None)


def checked_with(document: Document, facts: Facts) -> Config:
    """Return the config checked with the facts of its data."""
    return without_problems(build_config(document, facts.names()), facts)


def without_problems(config: Config, facts: Facts | None) -> Config:
    # Files of weights are not among the static checks: a run needs them no more.
    files = (*weight_file_problems(config), *preset_problems(config))
    ConfigError.refuse([*static_checks(config, facts), *files])
    return config

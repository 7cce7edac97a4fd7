"""`dltool init`: a ready config to begin with."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from dltool.errors import ConfigError

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Template:
    name: str
    summary: str


def templates_folder() -> Path:
    """The templates of an installed dltool, or in a checkout the configs that they are made of."""
    installed = PACKAGE / "templates"
    return installed if installed.is_dir() else PACKAGE.parents[1] / "configs"


def templates() -> list[Template]:
    """All templates with the first line of their header."""
    files = sorted(templates_folder().glob("*.yaml"))
    return [Template(file.stem, file.read_text("utf-8").partition("\n")[0].removeprefix("# ")) for file in files]


def template_text(name: str) -> str:
    """The text of a template.

    Raises:
        ConfigError: there is none of that name.
    """
    names = [template.name for template in templates()]
    if name not in names:
        near = get_close_matches(name, names, 1)
        hint = f'did you mean "{near[0]}"?' if near else "`dltool init --list` names them"
        raise ConfigError(f'there is no template "{name}"', hint)
    return (templates_folder() / f"{name}.yaml").read_text("utf-8").replace("configs/", "")

"""No text that a user reads has a word for which the field has a better one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "dltool"

TERMS = {
    r"(training|validation|test) parts?\b": "split",
    r"parts? of (the|its) data": "split",
    r"pictures?\b": "image",
    r"recordings?\b": "audio clip",
    r"whole numbers?\b": "integer",
    r"not the text\b": "the string",
    r"is here twice": "duplicate key",
    r"a training(?= (?:and|ends|for|has|is|of|that|was|which)\b|[.,;:)]|$)|trainings\b": "run, training run",
    r"prepared\b|preparations?\b": "preprocessed, preprocessing",
    r"(?:un)?learnt\b": "fitted",
    r"restor(?:es|ing) (?:its|their) inputs?": "reconstructs its input",
    r"go(?:es|ing)? on with|gone on with": "resumes",
    r"c[ao]mes? out the same": "is identical, is reproduced",
    r"mistakes?\b": "error",
    r"told apart|taken for|tells? apart": "distinguished, predicted as",
    r"departures?\b|settled\b|decided at": "override, inferred, origin",
    r"in words\b|said\b|tells\b": "message, description, reports",
    r"loss became": "loss is NaN",
    r"examples of the whole data|table of examples": "dataset",
    r"(?:exceeds|beyond|within) the noise|(?:more|less) than noise": "significant at 95 %",
    r"as it stands|as it is\b": "unchanged",
    r"cores? (?:kept )?busy|(?:search|looks?) for garbage": "CPU utilisation, garbage collection",
    r"misfits?\b|learners?\b": "the field's term",
}
"""What is not to be read anywhere, as regular expressions, each with the term instead."""
CODE = re.compile(r"`[^`]*`|\{[{%].*?[%}]\}")
"""Names in a page, and the code of a template."""
PATTERNS = {re.compile(rf"\b(?:{pattern})", re.IGNORECASE): term for pattern, term in TERMS.items()}


def messages(text: str) -> Iterator[tuple[int, str]]:
    """Yield the strings of a module with their lines: messages, help and descriptions, but no docstrings.

    What stands below a field of a config, or below a command of the command line, is its help.
    """
    tree = ast.parse(text)
    silent = {id(node) for node in docstrings(tree)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in silent:
            continue
        # Names and keys are no texts.
        if not node.value.isidentifier():
            yield node.lineno, node.value


def docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the docstrings of modules, classes and functions, without those that are shown as help."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        is_section = isinstance(node, ast.ClassDef) and any("Section" in ast.unparse(base) for base in node.bases)
        is_command = isinstance(node, ast.FunctionDef) and any(
            re.search(r"\.(command|callback)\(", ast.unparse(decorator)) for decorator in node.decorator_list
        )
        for statement in node.body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield from () if is_section or is_command else (statement.value,)


def pages() -> list[Path]:
    """Return the documents and templates that users read."""
    templates = [*(SOURCE / "report").rglob("*.html"), *(SOURCE / "report").rglob("*.jinja*")]
    configs = [*(ROOT / "configs").rglob("*.yaml")]
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted(templates), *sorted(configs)]


def findings(text: str) -> Iterator[tuple[str, str]]:
    for pattern, term in PATTERNS.items():
        for match in pattern.finditer(text):
            yield match[0], term


def test_messages_and_help_use_the_terms_of_the_field() -> None:
    found = [
        f'{path.relative_to(ROOT)}:{line}: "{word}": {term}'
        for path in sorted(SOURCE.rglob("*.py"))
        for line, text in messages(path.read_text("utf-8"))
        for word, term in findings(text)
    ]
    assert not found, f"{len(found)} places\n" + "\n".join(found)


def test_documents_reports_and_configs_use_the_terms_of_the_field() -> None:
    found = [
        f'{path.relative_to(ROOT)}:{number}: "{word}": {term}'
        for path in pages()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for word, term in findings(CODE.sub("", line))
    ]
    assert not found, f"{len(found)} places\n" + "\n".join(found)


def test_a_message_is_found_and_a_docstring_is_not() -> None:
    text = 'def f():\n    """Read a picture."""\n    raise ValueError(f"no picture in {1}")\n'
    assert [word for _, message in messages(text) for word, _ in findings(message)] == ["picture"]


def test_help_is_found() -> None:
    section = 'class Images(Section):\n    """Pictures."""\n    size: int\n    """Whole numbers."""\n'
    command = '@app.command()\ndef resume():\n    """Go on with a training."""\n'
    assert {word for _, text in messages(section) for word, _ in findings(text)} == {"Pictures", "Whole numbers"}
    assert {word for _, text in messages(command) for word, _ in findings(text)} == {"Go on with", "a training"}

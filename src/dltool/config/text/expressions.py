"""`$name`, `$(arithmetic)` and `$(env.NAME)` in config values.

There is no `eval`: an expression is parsed by Python's own grammar and walked here, and anything but numbers, names,
`env.NAME` and arithmetic operators is refused."""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dltool.config.keras.objects import UNKNOWN
from dltool.config.text.scalars import AmbiguousScalar, resolve_scalar
from dltool.config.text.tree import Node, size, with_children
from dltool.config.text.yaml_reader import MOST_NODES
from dltool.environment import conceal, variable
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.text import near, value_text

DATA_FACTS = ("classes", "examples", "validation_examples", "test_examples", "input_shape", "target_shape")
"""Names of facts of the data; `epochs` and `steps_per_epoch` follow from these and the config."""
TARGET_FACTS = ("classes", "target_shape")
"""Names of facts of a target. With several targets they get its name (`classes_digit`); `classes` remains if only one
of them has classes."""
OWN_NAMES = (*DATA_FACTS, "epochs", "steps_per_epoch", "env")
"""Names with a fixed meaning, which the user cannot redefine."""

NAME = re.compile(r"\$([A-Za-z_]\w*)")
MARK = re.compile(r"\$\$|\$\{[^}]*\}?|\$\(")
WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
VARIABLE = re.compile(r"\$\(env\.(\w+)\)")
LONGEST = 200
LARGEST_POWER = 64

OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


class BadExpression(ValueError):
    """An expression that cannot be evaluated: the message, and perhaps a hint what to write instead."""


class NotSet(BadExpression):
    """A variable that the environment lacks."""


@dataclass
class Substitution:
    """Values of names while one config tree is resolved. `names` are the facts of the data, UNKNOWN if they depend on
    unread data; `variables` the nodes under `vars`, resolved on first use. `home` is the hint how to define a name."""

    names: Mapping[str, Any]
    variables: Mapping[str, Node]
    problems: list[Problem] = field(default_factory=list)
    resolved: dict[str, Node] = field(default_factory=dict)
    resolving: list[str] = field(default_factory=list)
    expanded: int = 0
    home: str = "define it under vars"

    def resolve(self, node: Node, path: ConfigPath) -> Node:
        """Return the tree with every `$` replaced. Problems are collected and leave UNKNOWN behind."""
        if not isinstance(node.value, str):
            return with_children(node, lambda step, child: self.resolve(child, (*path, step)))
        if "$" not in node.value:
            return node
        try:
            return self.substitute(node)
        except BadExpression as error:
            self.problems.append(Problem(path, *error.args))
            return replace(node, value=UNKNOWN)

    def substitute(self, node: Node) -> Node:
        text = node.value
        if match := NAME.fullmatch(text):
            return self.named(match[1], node)
        if text.startswith("$(") and closing(text, 1) == len(text) - 1:
            return self.evaluate(text[2:-1], node)
        return self.interpolate(node)

    def named(self, name: str, use: Node) -> Node:
        value = self.lookup(name)
        if isinstance(value, tuple | list):
            value = tuple(replace(use, value=item) for item in value)
        if not isinstance(value, Node):
            return replace(use, value=value)
        self.expanded += size(value)
        if self.expanded > MOST_NODES:
            # Reported once: later uses would repeat it.
            raise ConfigError(Problem(use.position, f"the names expand to more than {MOST_NODES:,} values"))
        # A scalar is shown where it is used; a collection keeps the positions of its own lines.
        if isinstance(value.value, Mapping | tuple):
            return value
        defined = value.defined or value.position
        return replace(use, value=value.value, defined=defined, expression=value.expression)

    def lookup(self, name: str) -> Any:
        """Return a variable as a resolved node, or the plain value of a fact."""
        if name in self.variables:
            return self.variable(name)
        if name in self.names:
            return self.names[name]
        if name in DATA_FACTS:
            own = ", ".join(f"${known}" for known in self.names if known.startswith(f"{name}_"))
            columns = "each of its columns has a shape of its own" if name == "input_shape" else ""
            why = f"each target has its own: {own}" if own else columns or "its target is a number, not a class"
            raise BadExpression(f"this data has no ${name}", why)
        known = sorted({*self.variables, *self.names})
        alike = [f"${word}" for word in near(name, known, 3)]
        hint = f"did you mean {' or '.join(alike)}?" if alike else ""
        raise BadExpression(f"${name} is not defined", hint or self.home)

    def check_variable(self, name: str) -> None:
        """Resolve a variable, even if it is unused, to find its errors."""
        try:
            self.variable(name)
        except BadExpression as error:
            self.problems.append(Problem(("vars", name), *error.args))

    def variable(self, name: str) -> Node:
        if name in self.resolving:
            raise BadExpression(f"${name} refers to itself: {' → '.join([*self.resolving, name])}")
        if name not in self.resolved:
            self.resolving.append(name)
            self.resolved[name] = self.resolve(self.variables[name], ("vars", name))
            self.resolving.pop()
        return self.resolved[name]

    def interpolate(self, node: Node) -> Node:
        text, start = node.value, 0
        # Values, and what gives them again.
        pieces: list[tuple[str, str]] = []
        defined, is_dependent = None, False
        while match := MARK.search(text, start):
            pieces.append((text[start : match.start()], doubled(text[start : match.start()])))
            if match[0] == "$$":
                pieces.append(("$", "$$"))
                start = match.end()
            elif match[0].startswith("${"):
                inside = match[0][2:].removesuffix("}")
                name = f"${inside}" if inside.isidentifier() and match[0] == text else f"$({inside})"
                raise BadExpression(f"invalid reference {match[0]}", f"write {name}")
            else:
                end = closing(text, match.end() - 1)
                if end is None:
                    raise BadExpression("this $( is never closed")
                found = self.evaluate(text[match.end() : end], node)
                if found.value is UNKNOWN:
                    return replace(node, value=UNKNOWN)
                if isinstance(found.value, Mapping | tuple | list):
                    raise BadExpression("a list or a mapping cannot be inserted into a string")
                defined = defined if any(piece for piece, _ in pieces) else found.defined
                is_dependent = is_dependent or bool(found.expression)
                pieces.append((inserted(found), found.expression or doubled(inserted(found))))
                start = end + 1
        if text.startswith("$") and not text.startswith(("$$", "$(")):
            raise BadExpression(f"{text[:40]} is neither a name nor an expression", "for a dollar sign write $$")
        pieces.append((text[start:], doubled(text[start:])))
        value, expression = map("".join, zip(*pieces, strict=True))
        if is_dependent:
            conceal(value, expression)
        return replace(node, value=value, defined=defined, expression=expression if is_dependent else "")

    def evaluate(self, expression: str, use: Node) -> Node:
        """Return the number, or the text of an environment variable; UNKNOWN if any operand is."""
        if expression.strip() in self.variables:
            return self.named(expression.strip(), use)
        if len(expression) > LONGEST:
            raise BadExpression(f"an expression of more than {LONGEST} characters")
        try:
            tree = ast.parse(expression.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise BadExpression(
                f"{expression.strip() or 'nothing'} is not arithmetic", "numbers, names and + - * / // % **"
            ) from None
        value = self.walk(tree)
        return replace(use, value=value, expression="" if value is UNKNOWN else self.source(tree))

    def source(self, tree: ast.expr) -> str:
        """Return an expression that needs the environment alone, with the values of other names; none if it does not
        depend on the environment."""

        def inlined(match: re.Match[str]) -> str:
            if match[0] == "env":
                return "env"
            found = self.lookup(match[0])
            return f"({found.expression[2:-1] or found.value})" if isinstance(found, Node) else f"({found})"

        text = WORD.sub(inlined, ast.unparse(tree))
        if "env." not in text:
            return ""
        text = ast.unparse(ast.parse(text, mode="eval"))
        if len(text) > LONGEST:
            raise BadExpression(f"an expression of more than {LONGEST} characters with the variables in it")
        return f"$({text})"

    def walk(self, tree: ast.AST) -> Any:
        match tree:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return value
            case ast.Name(id=name):
                value = self.lookup(name)
                return value.value if isinstance(value, Node) else value
            case ast.Attribute(value=ast.Name(id="env"), attr=name):
                return environment_value(name)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                value = number(self.walk(operand))
                return value if value is UNKNOWN or isinstance(sign, ast.UAdd) else -value
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                return calculate(type(op), number(self.walk(left)), number(self.walk(right)))
        what = {ast.Call: "a function call", ast.Attribute: "an attribute"}.get(type(tree), "this")
        raise BadExpression(f"{what} is not allowed in $( )", "numbers, names, env.NAME and + - * / // % **")


def doubled(text: str) -> str:
    """Return a text as a config writes it."""
    return text.replace("$", "$$")


def inserted(found: Node) -> str:
    """Return a value inside a text; a variable of the environment unchanged: 1.10 is not 1.1 there."""
    match = VARIABLE.fullmatch(found.expression)
    return (match and variable(match[1])) or value_text(found.value)


def environment_value(name: str) -> Any:
    value = variable(name)
    if value is None:
        raise NotSet(f"the environment variable {name} is not set", f"set it: {name}=… dltool …")
    try:
        return resolve_scalar(value)
    except AmbiguousScalar:
        return value


def number(value: Any) -> Any:
    if value is UNKNOWN or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise BadExpression("arithmetic needs numbers", "one of the names is not a number")


def calculate(operator_type: type[ast.operator], left: Any, right: Any) -> Any:
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if operator_type is ast.Pow and abs(right) > LARGEST_POWER:
        raise BadExpression(f"a power above {LARGEST_POWER}")
    try:
        result = OPERATORS[operator_type](left, right)
    except ZeroDivisionError:
        raise BadExpression("division by zero") from None
    except OverflowError:
        raise BadExpression("the result is too large") from None
    if isinstance(result, complex) or abs(result) > 1e300:
        raise BadExpression("the result is not a finite number")
    return result


def closing(text: str, opening: int) -> int | None:
    """Return the index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(text)):
        depth += (text[index] == "(") - (text[index] == ")")
        if depth == 0:
            return index
    return None

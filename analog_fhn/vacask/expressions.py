"""Expressions of our netlists, `{gain/wt}`: their values, and their text in VACASK's language.

Both languages write sums, products, quotients, comparisons and the functions below alike. Anything else is refused.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping

from analog_fhn.errors import InputError, shown

_FUNCTIONS = {
    "abs": abs,
    "exp": math.exp,
    "max": max,
    "min": min,
    "sinh": math.sinh,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
}
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_SIGNS = {ast.UAdd: "+", ast.USub: "-"}


def value_of(text: str, values: Mapping[str, float]) -> float:
    """Value of an expression.

    Parameters
    ----------
    text
        Without its braces or quotes; in lower case.
    values
        Those of the parameters that may stand in it.

    Raises
    ------
    InputError
        If it is no such expression, a parameter is unknown, or the value is not finite.
    """
    try:
        value = float(_evaluate(_tree(text), values))
    except (ArithmeticError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"netlist expression {shown(text)}: expected one with a finite value")
    return value


def translated(text: str, probes: bool = False) -> str:
    """An expression as VACASK reads it.

    Parameters
    ----------
    text
        Without its braces or quotes; in lower case.
    probes
        Whether voltages `v(node)` and currents `i(source)` may stand in it.

    Raises
    ------
    InputError
        If it is no such expression.
    """
    return _text(_tree(text), probes)


def _tree(text: str) -> ast.expr:
    """Tree of an expression by Python's rules, each name behind an underscore: `in` and `is` are no names there."""
    try:
        return ast.parse(_NAME.sub(r"_\g<0>", text.strip()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"netlist expression {shown(text)}: expected sums, products and functions") from None


def _refused(node: ast.expr) -> InputError:
    known = ", ".join(_FUNCTIONS)
    text = _NAME.sub(lambda match: match.group()[1:], ast.unparse(node))
    return InputError(f"netlist expression {shown(text)}: VACASK is given numbers, names, + - * / and {known} alone")


def _evaluate(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return float(value)
        case ast.Name(id=name):
            if name[1:] not in values:
                known = ", ".join(values) or "none"
                raise InputError(f"netlist parameter {shown(name[1:])} has no value; known: {known}")
            return values[name[1:]]
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=operand):
            value = _evaluate(operand, values)
            return -value if isinstance(sign, ast.USub) else value
        case ast.BinOp(left=left, op=operator, right=right):
            a, b = _evaluate(left, values), _evaluate(right, values)
            match operator:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return a / b
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            return float(_evaluate(left, values) == _evaluate(right, values))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name[1:] in _FUNCTIONS:
            return float(_FUNCTIONS[name[1:]](*(_evaluate(argument, values) for argument in arguments)))  # type: ignore[operator]
    raise _refused(node)


def _text(node: ast.expr, probes: bool) -> str:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return repr(value)
        case ast.Name(id=name):
            return name[1:]
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=operand):
            return f"({_SIGNS[type(sign)]}{_text(operand, probes)})"
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() as operator, right=right):
            return f"({_text(left, probes)}{_OPERATORS[type(operator)]}{_text(right, probes)})"
        case ast.Call(func=ast.Name(id="_v" | "_i" as name), args=[ast.Name(id=one)], keywords=[]) if probes:
            return f"{name[1:]}({one[1:]})"
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name[1:] in _FUNCTIONS:
            return f"{name[1:]}({','.join(_text(argument, probes) for argument in arguments)})"
    raise _refused(node)

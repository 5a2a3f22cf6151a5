"""Metric math, as far as our alarms use it: one value at a time.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

import ast
import operator
from collections.abc import Callable, Mapping

Value = float | None  # None: no point in that minute

ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
OF_ONE: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": lambda x: -(-x // 1),
                                               "FLOOR": lambda x: x // 1}  # fmt: skip
OF_MANY: dict[str, Callable[[list[float]], float]] = {
    "SUM": sum,
    "MIN": min,
    "MAX": max,
    "AVG": lambda values: sum(values) / len(values),
}


class _UnknownPartError(Exception):
    """No operator, function or form of metric math that the twin knows."""


class UnknownExpressionError(Exception):
    """The twin does not know this part of metric math."""

    def __init__(self, expression: str) -> None:
        super().__init__(f"the local twin cannot evaluate {expression!r}")


def evaluate(expression: str, values: Mapping[str, Value]) -> Value:
    """The value of `expression` in one minute; None where a point is missing that it needs.

    Raises `UnknownExpressionError`.
    """
    try:
        return _value(ast.parse(expression, mode="eval").body, values)
    except (SyntaxError, KeyError, TypeError, _UnknownPartError) as error:
        raise UnknownExpressionError(expression) from error
    except (ArithmeticError, ValueError):
        return None  # CloudWatch has no point where a division by zero would be


def _value(node: ast.expr, values: Mapping[str, Value]) -> Value:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            found = _value(operand, values)
            return None if found is None else -found
        case ast.BinOp(left=left, op=op, right=right):
            return _both(ARITHMETIC[type(op)], left, right, values)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _both(COMPARISONS[type(op)], left, right, values)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _call(name, arguments, values)
    raise _UnknownPartError


def _both(
    apply: Callable[[float, float], float], left: ast.expr, right: ast.expr,
    values: Mapping[str, Value],
) -> Value:  # fmt: skip
    a, b = _value(left, values), _value(right, values)
    return None if a is None or b is None else float(apply(a, b))


def _call(name: str, arguments: list[ast.expr], values: Mapping[str, Value]) -> Value:
    match name, arguments:
        case "IF", [condition, then, otherwise]:
            is_true = _value(condition, values)
            chosen = None if is_true is None else (then if is_true else otherwise)
            return None if chosen is None else _value(chosen, values)
        case "FILL", [metric, filling]:
            found = _value(metric, values)
            return _value(filling, values) if found is None else found
        case _, [ast.List(elts=elements)]:
            of_many = OF_MANY[name]
            found_many = [_value(one, values) for one in elements]
            real = [each for each in found_many if each is not None]
            return float(of_many(real)) if real else None
        case _, [one]:
            of_one = OF_ONE[name]
            found = _value(one, values)
            return None if found is None else float(of_one(found))
    raise _UnknownPartError

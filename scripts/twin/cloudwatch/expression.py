"""Metric math, as far as our alarms use it: series in, one series out.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

Value = float | None  # None: no data point in that minute
Values = Sequence[Value]  # one for each minute, the oldest first
Series = list[Value] | float  # a number is the value of every minute

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
FUNCTIONS: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": lambda x: -(-x // 1),
                                               "FLOOR": lambda x: x // 1}  # fmt: skip
AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "SUM": sum,
    "MIN": min,
    "MAX": max,
}


class _UnknownPartError(Exception):
    """An operator, function or form that the twin does not know."""


class UnknownExpressionError(Exception):
    """The twin cannot evaluate this expression of metric math."""

    def __init__(self, expression: str) -> None:
        super().__init__(f"the local twin cannot evaluate {expression!r}")


def evaluate(expression: str, values: Mapping[str, Values]) -> list[Value]:
    """The values of `expression`; `values` has those of its metrics, all of the same length.

    Raises `UnknownExpressionError`.
    """
    length = max((len(each) for each in values.values()), default=0)
    try:
        math = _Math({id: list(each) for id, each in values.items()}, length)
        found = math.of(_parsed(expression))
    except (SyntaxError, KeyError, TypeError, _UnknownPartError) as error:
        raise UnknownExpressionError(expression) from error
    return found if isinstance(found, list) else [found] * length


@lru_cache(maxsize=1000)  # every minute the same ones
def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


class _Math:
    def __init__(self, values: Mapping[str, list[Value]], length: int) -> None:
        self._values = values
        self._minutes = range(length)

    def of(self, node: ast.expr) -> Series:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                return self._values[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._each(operator.neg, self.of(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return self._both(ARITHMETIC[type(op)], self.of(left), self.of(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._both(COMPARISONS[type(op)], self.of(left), self.of(right))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments)
        raise _UnknownPartError

    def _call(self, name: str, arguments: list[ast.expr]) -> Series:
        match name, arguments:
            case "IF", [condition, then, otherwise]:
                return self._if(self.of(condition), self.of(then), self.of(otherwise))
            case "FILL", [metric, ast.Name(id="REPEAT")]:
                return self._repeat(self.of(metric))
            case "FILL", [metric, filling]:
                return self._fill(self.of(metric), self.of(filling))
            case _, [ast.List(elts=elements)]:
                return self._many(AGGREGATES[name], [self.of(each) for each in elements])
            case _, [one]:
                return self._each(FUNCTIONS[name], self.of(one))
        raise _UnknownPartError

    def _at(self, series: Series, minute: int) -> Value:
        return series[minute] if isinstance(series, list) else series

    def _each(self, apply: Callable[[float], float], series: Series) -> Series:
        if not isinstance(series, list):
            return apply(series)
        return [None if each is None else float(apply(each)) for each in series]

    def _both(self, apply: Callable[[float, float], float], left: Series, right: Series) -> Series:
        """A series and a number give the data points of the series. Two series give a data point
        where either has one; a missing one counts as 0."""
        if not isinstance(left, list) and not isinstance(right, list):
            return float(apply(left, right))
        found: list[Value] = []
        for minute in self._minutes:
            a, b = self._at(left, minute), self._at(right, minute)
            series = [each for each, of in ((a, left), (b, right)) if isinstance(of, list)]
            if all(each is None for each in series):
                found.append(None)
                continue
            try:
                found.append(float(apply(a or 0.0, b or 0.0)))
            except ArithmeticError:
                found.append(None)  # a division by zero gives no data point
        return found

    def _if(self, condition: Series, then: Series, otherwise: Series) -> Series:
        """No data point where the condition has none. 0 where the condition is true and `then` has
        none."""
        found: list[Value] = []
        for minute in self._minutes:
            is_true = self._at(condition, minute)
            if is_true is None:
                found.append(None)
            elif is_true:
                found.append(self._at(then, minute) or 0.0)
            else:
                found.append(self._at(otherwise, minute))
        return found

    def _repeat(self, series: Series) -> Series:
        """Fills each gap with the last value before it."""
        if not isinstance(series, list):
            return series
        found: list[Value] = []
        for each in series:
            found.append(found[-1] if each is None and found else each)
        return found

    def _fill(self, series: Series, filling: Series) -> Series:
        """Fills each gap; a metric without any data point stays empty."""
        if not isinstance(series, list) or all(each is None for each in series):
            return series
        return [
            self._at(filling, minute) if each is None else each
            for minute, each in enumerate(series)
        ]

    def _many(self, apply: Callable[[list[float]], float], all_series: list[Series]) -> Series:
        """Applies the function to the values of each minute, without the gaps."""
        found: list[Value] = []
        for minute in self._minutes:
            values = [self._at(each, minute) for each in all_series]
            real = [each for each in values if each is not None]
            found.append(float(apply(real)) if real else None)
        return found

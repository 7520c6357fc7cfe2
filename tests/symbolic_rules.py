"""Plain integer functions on z3 words: run from their source, an ``if`` becomes a choice, a ``while`` is unrolled."""

import ast
import inspect
from collections.abc import Callable
from typing import Any

import z3

WIDTH = 32
"""Bits of the words that stand for Python's integers: wide enough for every value of the rules but products of states."""


class Symbolic:
    """Runs functions of the arithmetic: expressions, ``if``, ``return``, calls of each other, ``min`` and ``max``."""

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        (node,) = ast.parse(inspect.getsource(function)).body
        assert isinstance(node, ast.FunctionDef)
        scope = dict(zip([argument.arg for argument in node.args.args], arguments, strict=True))
        return self._block(node.body, scope, function.__globals__)

    def unroll(self, function: Callable[..., Any], times: int, *arguments: Any) -> tuple[list[Any], dict[str, Any]]:
        """Run the body of a function's one loop so many times; give the test before each, and the names afterwards."""
        (node,) = ast.parse(inspect.getsource(function)).body
        assert isinstance(node, ast.FunctionDef)
        scope = dict(zip([argument.arg for argument in node.args.args], arguments, strict=True))
        (loop,) = (statement for statement in node.body if isinstance(statement, ast.While))
        tests = []
        for _ in range(times):
            tests.append(self._value(loop.test, scope, function.__globals__))
            self._block(loop.body, scope, function.__globals__)
        return tests, scope

    def _block(self, statements: list[ast.stmt], scope: dict[str, Any], known: dict[str, Any]) -> Any:
        for at, node in enumerate(statements):
            if isinstance(node, ast.Return):
                return self._value(node.value, scope, known)
            if isinstance(node, ast.Assign):
                scope[node.targets[0].id] = self._value(node.value, scope, known)
            elif isinstance(node, ast.AugAssign):
                scope[node.target.id] = operate(node.op, scope[node.target.id], self._value(node.value, scope, known))
            elif isinstance(node, ast.If):
                test, rest = self._value(node.test, scope, known), statements[at + 1 :]
                parts = [self._block([*part, *rest], dict(scope), known) for part in (node.body, node.orelse)]
                return choose(test, *parts)
            elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                raise NotImplementedError(ast.dump(node))
        return None

    def _value(self, node: Any, scope: dict[str, Any], known: dict[str, Any]) -> Any:
        def value(part: ast.expr) -> Any:
            return self._value(part, scope, known)

        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return scope[node.id] if node.id in scope else known[node.id]
        if isinstance(node, ast.Tuple):
            return tuple(map(value, node.elts))
        if isinstance(node, ast.BinOp):
            return operate(node.op, value(node.left), value(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.IfExp):
            return choose(value(node.test), value(node.body), value(node.orelse))
        if isinstance(node, ast.BoolOp):
            return (z3.And if isinstance(node.op, ast.And) else z3.Or)(*map(value, node.values))
        if isinstance(node, ast.Compare):
            return compare(node.ops[0], value(node.left), value(node.comparators[0]))
        if isinstance(node, ast.Call):
            return self._call(node.func.id, list(map(value, node.args)), known)
        raise NotImplementedError(ast.dump(node))

    def _call(self, name: str, arguments: list[Any], known: dict[str, Any]) -> Any:
        if name in ("max", "min"):
            left, right = map(word, arguments)
            return z3.If(left >= right if name == "max" else left <= right, left, right)
        return self.run(known[name], *arguments)


def word(value: Any) -> Any:
    return z3.BitVecVal(value, WIDTH) if isinstance(value, int) else value


def choose(test: Any, left: Any, right: Any) -> Any:
    if isinstance(left, tuple):
        return tuple(choose(test, *pair) for pair in zip(left, right, strict=True))
    return z3.If(test, word(left), word(right))


def compare(op: ast.cmpop, left: Any, right: Any) -> Any:
    names = {ast.Eq: "__eq__", ast.NotEq: "__ne__", ast.Gt: "__gt__", ast.GtE: "__ge__", ast.Lt: "__lt__", ast.LtE: "__le__"}
    return getattr(word(left), names[type(op)])(word(right))


def operate(op: ast.operator, left: Any, right: Any) -> Any:
    if not (isinstance(left, int) and isinstance(right, int)):
        left, right = word(left), word(right)
    return {
        ast.Add: lambda: left + right, ast.Sub: lambda: left - right, ast.Mult: lambda: left * right,
        ast.LShift: lambda: left << right, ast.RShift: lambda: left >> right, ast.BitAnd: lambda: left & right,
    }[type(op)]()  # fmt: skip

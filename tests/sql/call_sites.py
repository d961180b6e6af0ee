"""Every place in tasks/ that hands SQL to a warehouse or writes a table, found and evaluated without running a job.

The argument of a call is evaluated where it is made of literals, of the module's constants and of assignments of the same
function (loops over literal tuples give several values). What depends on an argument of the function stays unresolved: the
tests run those few functions against a recording warehouse and hold the list of them fixed, so a new one cannot slip by.
"""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
READS = ("query", "query_file")
WRITES = ("append", "merge", "insert_new", "replace_partitions", "delete")
# The warehouse itself, and modules whose .query() speaks another language (GAQL) to another server.
NOT_SQL = ("tasks.core.warehouse", "tasks.platforms", "tasks.lab")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Site:
    """A call on a warehouse: ``values`` are what its first argument can be, () if that cannot be told from the function."""

    module: str
    function: str
    kind: str
    values: tuple[str, ...]
    parameters: frozenset[str] | None

    @property
    def place(self) -> str:
        """``module:function``."""
        return f"{self.module}:{self.function}"


class Unresolved(Exception):
    """The expression depends on what the function is called with."""


def modules() -> list[str]:
    """Every module of tasks/ that speaks SQL through the warehouse interface."""
    files = sorted((ROOT / "tasks").rglob("*.py"))
    names = [".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for f in files]
    return [name for name in names if not name.startswith(NOT_SQL)]


@functools.cache
def tree_of(module: str) -> ast.Module:
    """Syntax tree of ``module``."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def functions(module: str) -> Iterator[tuple[str, Function]]:
    """(qualified name, node) of every function and method of ``module``."""
    for node in tree_of(module).body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{inner.name}", inner) for inner in node.body if isinstance(inner, Function))


class Scope:
    """Evaluates expressions of one function to all the values that its literals allow."""

    def __init__(self, module: str, function: Function) -> None:
        self.names: dict[str, list[ast.expr]] = {}
        self.loops: dict[str, ast.expr] = {}
        self.constants: dict[str, Any] = dict(vars(importlib.import_module(module)))
        for arg in (*function.args.args, *function.args.kwonlyargs):
            self.constants.pop(arg.arg, None)
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.names.setdefault(node.targets[0].id, []).append(node.value)
            elif isinstance(node, ast.For | ast.comprehension) and isinstance(node.target, ast.Name):
                self.loops[node.target.id] = node.iter
            elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tasks"):
                source = importlib.import_module(node.module)
                self.constants |= {a.asname or a.name: getattr(source, a.name) for a in node.names if hasattr(source, a.name)}

    def values(self, node: ast.expr) -> list[Any]:
        """All values of ``node``; Unresolved if it depends on an argument."""
        free = sorted({n.id for n in ast.walk(node) if isinstance(n, ast.Name)})
        choices = [self._of_name(name) for name in free]
        code = compile(ast.Expression(node), "<call site>", "eval")
        return [eval(code, dict(zip(free, chosen, strict=True))) for chosen in itertools.product(*choices)]

    def _of_name(self, name: str) -> list[Any]:
        if name in self.loops:
            return [value for several in self.values(self.loops[name]) for value in several]
        if name in self.names:
            return [value for expression in self.names[name] for value in self.values(expression)]
        if name in self.constants:
            return [self.constants[name]]
        raise Unresolved(name)

    def keys(self, node: ast.expr | None) -> frozenset[str] | None:
        """Keys of a dict that is written out, here or in an assignment, or of a union of such; None if it is not."""
        if node is None:
            return frozenset()
        if isinstance(node, ast.Name) and len(self.names.get(node.id, ())) == 1:
            return self.keys(self.names[node.id][0])
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            left, right = self.keys(node.left), self.keys(node.right)
            return None if left is None or right is None else left | right
        if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
            return frozenset(str(key.value) for key in node.keys if isinstance(key, ast.Constant))
        return None


def sites_of(module: str, name: str, function: Function) -> list[Site]:
    """The calls on a warehouse in one function."""
    found = []
    for node in ast.walk(function):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READS + WRITES):
            continue
        if not ast.unparse(node.func.value).endswith("warehouse"):  # list.append and the like
            continue
        scope = Scope(module, function)
        try:
            values = tuple(dict.fromkeys(str(value) for value in scope.values(node.args[0])))
        except Unresolved:
            values = ()
        keys = scope.keys(node.args[1] if len(node.args) > 1 else None) if node.func.attr in READS else None
        found.append(Site(module, name, node.func.attr, values, keys))
    return found


@functools.cache
def all_sites() -> tuple[Site, ...]:
    """Every call on a warehouse in tasks/."""
    return tuple(
        site for module in modules() for name, function in functions(module) for site in sites_of(module, name, function)
    )

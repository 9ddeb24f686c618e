"""Insertions into Python modules, at places that their syntax trees show."""

import ast
import textwrap


class NotFoundInSourceError(Exception):
    """The source has been changed, so its owner has to add the lines."""


def add_import(source: str, statement: str) -> str:
    """Add an import after the last one; ruff sorts it and joins it with others."""
    imports = [
        node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    return insert_line(source, imports[-1].end_lineno or 0 if imports else 0, statement)


def append(source: str, code: str) -> str:
    """Add code at the end of a module."""
    return f"{source.rstrip()}\n\n\n{code.rstrip()}\n"


def add_before(source: str, name: str, code: str) -> str:
    """Add code before the statement that assigns to *name*."""
    node = _assignment(ast.parse(source).body, name)
    return insert_line(source, node.lineno - 1, code)


def add_to_class(source: str, name: str, line: str, *, before: str = "") -> str:
    """Add an attribute to a class: before another attribute, or after the last one."""
    body = _class(source, name).body
    for node in body:
        if before and isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == before:
            return insert_line(source, node.lineno - 1, textwrap.indent(line, "    "))
    attributes = [node for node in body if isinstance(node, ast.AnnAssign)] or body[-1:]
    return insert_line(source, attributes[-1].end_lineno or 0, textwrap.indent(line, "    "))


def add_to_collection(source: str, name: str, entry: str, *, in_class: str = "") -> str:
    """Add an entry to the list, tuple, set or dictionary that is assigned to *name*."""
    body = _class(source, in_class).body if in_class else ast.parse(source).body
    value = _assignment(body, name).value
    if isinstance(value, ast.Call) and ast.unparse(value) == "set()":
        return _replace(source, value, "{" + entry + "}")
    if not isinstance(value, ast.List | ast.Tuple | ast.Set | ast.Dict):
        raise NotFoundInSourceError
    elements = value.values if isinstance(value, ast.Dict) else value.elts
    if not elements:
        opening, closing = ast.unparse(value)[0], ast.unparse(value)[-1]
        return _replace(source, value, f"{opening}{entry},{closing}")
    last = elements[-1]
    end = _offset(source, last.end_lineno or 0, last.end_col_offset or 0)
    return f"{source[:end]},\n{entry}{source[end:]}"


def add_before_class(source: str, name: str, code: str) -> str:
    """Add code before a class."""
    return insert_line(source, _class(source, name).lineno - 1, f"{code}\n\n")


def add_to_function(source: str, name: str, line: str, *, before: str | None = None) -> str:
    """Add code to a function: at its end, or before the first statement that begins with *before*."""
    body = _function(source, name).body
    if before is None:
        indented = textwrap.indent(line, " " * body[-1].col_offset)
        return insert_line(source, body[-1].end_lineno or 0, indented)
    for statement in body:
        if ast.unparse(statement).startswith(before):
            indented = textwrap.indent(line, " " * statement.col_offset)
            return insert_line(source, statement.lineno - 1, indented)
    raise NotFoundInSourceError


def add_argument(source: str, function: str, name: str, annotation: str) -> str:
    """Add an argument after the last one of a function, unless it has it; `_` gets the name."""
    node = _function(source, function)
    for argument in node.args.args:
        if argument.arg == name:
            return source
        if argument.arg == "_" and argument.annotation:
            return _replace(source, argument, f"{name}: {ast.unparse(argument.annotation)}")
    last = node.args.args[-1]
    return _replace(source, last, f"{_segment(source, last)}, {name}: {annotation}")


def pass_argument(source: str, function: str, method: str, name: str) -> str:
    """Pass a variable to the method that a function calls, unless it does so."""
    for node in ast.walk(_function(source, function)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(f".{method}"):
            arguments = [_segment(source, argument) for argument in node.args]
            if name in arguments or node.keywords:
                return source
            code = f"{_segment(source, node.func)}({', '.join([*arguments, name])})"
            return _replace(source, node, code)
    raise NotFoundInSourceError


def add_to_literal(source: str, class_name: str, attribute: str, values: list[str]) -> str:
    """Add values to the `Literal[...]` that is the type of an attribute."""
    for node in _class(source, class_name).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == attribute:
            known = node.annotation.slice if isinstance(node.annotation, ast.Subscript) else None
            if isinstance(known, ast.Tuple):
                entries = ", ".join([*map(ast.unparse, known.elts), *map(repr, values)])
                return _replace(source, node.annotation, f"Literal[{entries}]")
    raise NotFoundInSourceError


def insert_line(source: str, number: int, code: str) -> str:
    """Insert code after a line."""
    lines = source.splitlines(keepends=True)
    return "".join([*lines[:number], f"{code}\n", *lines[number:]])


def _class(source: str, name: str) -> ast.ClassDef:
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    raise NotFoundInSourceError


def _function(source: str, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """Find a function or method."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
    raise NotFoundInSourceError


def _segment(source: str, node: ast.AST) -> str:
    return ast.get_source_segment(source, node) or ""


def _assignment(body: list[ast.stmt], name: str) -> ast.Assign | ast.AnnAssign:
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if ast.unparse(target) == name:
                return node
    raise NotFoundInSourceError


def _offset(source: str, line: int, column: int) -> int:
    """Return the position in the text; *column* counts bytes, as `ast` does."""
    lines = source.splitlines(keepends=True)
    return len("".join(lines[: line - 1])) + len(lines[line - 1].encode()[:column].decode())


def _replace(source: str, node: ast.expr | ast.arg, code: str) -> str:
    start = _offset(source, node.lineno, node.col_offset)
    end = _offset(source, node.end_lineno or 0, node.end_col_offset or 0)
    return source[:start] + code + source[end:]

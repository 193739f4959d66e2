"""
Mutants of a module: each is one small change of its source, of a kind that somebody could make by mistake.

What is not changed, because no test should care: annotations and literal types, docstrings, the words of errors and
log events and other strings of three words and more, which are for people to read, what a star import gives, what
stands between the parts of a list, assertions, which only state what holds, as does that two sequences which are
walked through together have one length, whether the values of a class may be given at all, without their names, or
set later, which the type checker sees to, whether two of a kind that are alike are the same, whether a class is shown
by what its base has for that or by its own, which says the same, whether what only reads does so as if it were writing,
which keeps others waiting for a moment, and whether a second record is looked for where one is taken.
"""

import ast
import re

from attrs import define

_COMPARED = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_COMPUTED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_WORDS = re.compile(r"[^\w\n]*[a-z][\w',;:]*( [\w'(),;:]+){2}")
"""How a sentence or a part of one begins; a field of a format, as in the log of an AIM, begins with a capital."""

_LEFT_ALONE = {
    "eq": (False,),
    "frozen": (False, True), "init": (False,), "kw_only": (False, True), "limit": (1,), "strict": (True,),
    "write": (False,),
}  # fmt: skip
"""Arguments that are not changed where they have one of these values."""


@define(eq=False)
class Mutant:
    """
    One change.

    Attributes:
        line: Where it is.
        function: The outermost function that it is in, by its qualified name; empty outside of all.
        was: The source of what is changed.
        becomes: What it is changed to.
        parent: The node above.
        field: The field of that node.
        index: The place in the field, where that is a list.
        node: What is put there.
    """

    line: int
    function: str
    was: str
    becomes: str
    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST | None

    @property
    def key(self):
        return self.function, self.was, self.becomes

    def __str__(self):
        return f"line {self.line}, {self.function or 'outside of functions'}: {self.was}  ->  {self.becomes}"


def mutants(tree):
    """List every mutant of a module."""
    found = []
    _visit(tree, "", "", found)
    return found


def compiled(tree, mutant, filename):
    """Compile the module with one change; the tree is as before afterwards."""
    items = getattr(mutant.parent, mutant.field)
    if mutant.index is None:
        setattr(mutant.parent, mutant.field, mutant.node)
    elif mutant.node is None:
        setattr(mutant.parent, mutant.field, [*items[: mutant.index], *items[mutant.index + 1 :]])
    else:
        setattr(mutant.parent, mutant.field, [*items[: mutant.index], mutant.node, *items[mutant.index + 1 :]])
    try:
        return compile(tree, filename, "exec")
    finally:
        setattr(mutant.parent, mutant.field, items)


def _visit(node, scope, function, found):
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "type_params", "msg"}:
            continue
        # What stands at a function's head is done where the function is defined.
        inside = function
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and name == "body":
            inside = function or scope
        children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if not isinstance(child, ast.AST) or _is_left_alone(node, child):
                continue
            for replacement in _replacements(node, name, child):
                found.append(_mutant(node, name, index, child, replacement, inside))
            _visit(child, _scope(scope, child, inside), inside, found)


def _scope(scope, child, function):
    named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not function
    return f"{scope}.{child.name}".lstrip(".") if named else scope


def _is_left_alone(parent, child):  # noqa: PLR0911  one kind after the other
    match child:
        case (
            ast.Expr(value=ast.Constant(value=str()))
            | ast.JoinedStr()
            | ast.Assert()
            | ast.Import()
            | ast.ImportFrom()
            | ast.Subscript(value=ast.Name(id="Literal"))
            | ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="_log"))))
            | ast.AnnAssign(target=ast.Name(id="_log"))
            | ast.Assign(targets=[ast.Name(id="__all__")])
            | ast.If(test=ast.Name(id="TYPE_CHECKING"))
        ):
            return True
        case ast.keyword(arg="repr", value=ast.Constant(value=False)):
            # Of a field it keeps a secret.
            return isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id == "define"
        case ast.Constant(value=bool() | int()):
            return isinstance(parent, ast.keyword) and child.value in _LEFT_ALONE.get(parent.arg, ())
        case ast.Constant(value=str() as words) if _WORDS.match(words) or words in {", ", "; ", "\n  "}:
            return True
        case ast.Constant(value=str()):
            # The words of an error: "may not start runs", "while starting runs".
            if isinstance(parent, ast.keyword):
                return parent.arg in {"to", "doing"}
            called = parent.func if isinstance(parent, ast.Call) else None
            return isinstance(called, ast.Name) and (called.id[:1].isupper() or called.id == "cast")
    return False


def _replacements(parent, field, node):  # noqa: C901, PLR0912  one kind after the other
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in _COMPARED:
            yield ast.Compare(node.left, [_COMPARED[type(operator)]()], node.comparators)
        case ast.BoolOp():
            yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _COMPUTED:
            yield ast.BinOp(node.left, _COMPUTED[type(node.op)](), node.right)
        case ast.AugAssign() if type(node.op) in _COMPUTED:
            yield ast.AugAssign(node.target, _COMPUTED[type(node.op)](), node.value)
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield ast.Constant(node.value + 1)
        case ast.Constant(value=str()):
            yield ast.Constant(f"XX{node.value}")
        case ast.Return(value=ast.AST()) if not isinstance(node.value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise():
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
    if field == "test" and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp):
        yield ast.UnaryOp(ast.Not(), node)
    if isinstance(parent, ast.comprehension) and field == "ifs":
        yield None


def _mutant(parent, field, index, node, replacement, function):
    if replacement is not None:
        ast.copy_location(replacement, node)
        ast.fix_missing_locations(replacement)
    becomes = "(left out)" if replacement is None else _source(replacement)
    line = getattr(node, "lineno", getattr(parent, "lineno", 0))
    return Mutant(line, function, _source(node), becomes, parent, field, index, replacement)


def _source(node):
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 100 else f"{text[:97]}..."

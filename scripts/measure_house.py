"""Measures names, words, structure and documentation of one or more trees of this repository.

    python scripts/measure_house.py [PATH ...]      # a table, one column a tree; default: this tree

Nothing is imported from the trees, so that old ones can be measured beside new ones. Tests are left
out of every figure but the words. One-word functions: the name has no underscore, leading ones and
double-underscore names aside. Constants: upper-case names assigned at module level, each target
of a tuple. Dead code: names that are defined in the package
and stand nowhere else in it; some of them are for users.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.lint_words import PROSE, SOURCES, check_file, files
from scripts.source_tree import (
    FORMER_ORDER,
    ORDER,
    PACKAGE,
    RELATIVE,
    ROOT,
    SourceTree,
    When,
    room,
)

MAX_COMPLEXITY = 15
CALLED_FROM_OUTSIDE = ("command", "callback", "register")  # decorators that pass a function on


def count_lines(tree: SourceTree) -> str:
    """Python files of the package and their lines."""
    return f"{len(tree.modules)} / {_lines(tree):,}"


def measure_files(tree: SourceTree) -> str:
    """Lines of a file, median and longest."""
    sizes = [len(path.read_text("utf-8").splitlines()) for path in tree.modules.values()]
    return f"{median(sizes):.0f} / {max(sizes)}"


def measure_functions(tree: SourceTree) -> str:
    """Lines of a function, median and longest."""
    sizes = [(node.end_lineno or 0) - node.lineno + 1 for node in _functions(tree)]
    return f"{median(sizes):.0f} / {max(sizes)}"


def count_shared_class_names(tree: SourceTree) -> str:
    """Class names that are defined in two files or more."""
    homes = defaultdict(set)
    for module, node in tree.classes():
        homes[node.name].add(module)
    return f"{sum(len(found) > 1 for found in homes.values())} of {len(homes)}"


def measure_one_word_functions(tree: SourceTree) -> str:
    """The share of functions named by one word."""
    names = [node.name for node in _functions(tree)]
    names = [n.strip("_") for n in names if not (n.startswith("__") and n.endswith("__"))]
    one_word = sum("_" not in n for n in names)
    return f"{one_word / len(names):.1%} of {len(names):,}"


def count_constants(tree: SourceTree) -> str:
    """Upper-case constants of modules, and how many that is on 1,000 lines."""
    count = sum(len(list(_constants(module))) for module in tree.trees.values())
    return f"{count} = {1000 * count / _lines(tree):.1f} per 1,000"


def count_upward_arrows(tree: SourceTree) -> str:
    """Imports of a higher room: at load, late, for type checkers."""
    order = ORDER if f"{PACKAGE}.synthesis" in tree.modules else FORMER_ORDER
    rank = {name: i for i, name in enumerate(order)}
    up = Counter(a.when for a in tree.arrows if rank[room(a.target)] > rank[room(a.source)])
    return ", ".join(f"{up[when]} {when.name.lower()}" for when in When)


def count_undocumented(tree: SourceTree) -> str:
    """Public parameters and fields that no docstring mentions, in how many public names."""
    missing = [tree.undocumented(public) for public in tree.public_face().values()]
    return f"{sum(map(len, missing))} in {sum(map(bool, missing))} of {len(missing)} names"


def count_relative_docstrings(tree: SourceTree) -> str:
    """Docstrings that begin by pointing at another."""
    return str(sum(text.startswith(RELATIVE) for _, _, text in tree.docstrings()))


def count_banned_words(tree: SourceTree) -> str:
    """Banned words in identifiers and in text that users see, lines of recinterp/ and all."""
    paths = [tree.root / name for name in (*SOURCES, *PROSE)]
    found = [f for path in files(paths, tree.root) for f in check_file(path, tree.root)]
    return f"{sum(f.file.startswith(PACKAGE) for f in found)}, {len(found)} with docs and tests"


def count_complex_functions(tree: SourceTree) -> str:
    """Functions above the highest complexity, and the worst."""
    found = [complexity(node) for node in _functions(tree)]
    return f"{sum(n > MAX_COMPLEXITY for n in found)}, worst {max(found)}"


def complexity(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Cyclomatic complexity: 1, and 1 for each place where the flow can turn aside.

    Conditional expressions, `and`, `or` and the loops and conditions of comprehensions count,
    which ruff's C901 leaves out; `else` and `case _` do not.
    """
    return 1 + sum(map(_branches, ast.walk(function)))


def _branches(node: ast.AST) -> int:
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    if isinstance(node, ast.match_case):
        return not (isinstance(node.pattern, ast.MatchAs) and node.pattern.pattern is None)
    turns = ast.If | ast.IfExp | ast.For | ast.AsyncFor | ast.While | ast.ExceptHandler
    return isinstance(node, turns)


def count_dead_code(tree: SourceTree) -> str:
    """Functions, methods, classes and constants whose name stands once in the package."""
    return str(len(dead_code(tree)))


def dead_code(tree: SourceTree) -> list[str]:
    """Names that are defined in the package and used nowhere in it."""
    text = "\n".join(
        path.read_text("utf-8")
        for path in sorted((tree.root / PACKAGE).rglob("*"))
        if path.suffix in (".py", ".lark", ".js")
    )
    uses = Counter(re.findall(r"\w+", text))
    defined = {node.name for node in _functions(tree) if not _is_called_from_outside(node)}
    defined |= {node.name for _, node in tree.classes()}
    defined |= {name for module in tree.trees.values() for name in _constants(module)}
    return sorted(n for n in defined if uses[n] == 1 and not n.startswith("__"))


def _lines(tree: SourceTree) -> int:
    return sum(len(path.read_text("utf-8").splitlines()) for path in tree.modules.values())


def _functions(tree: SourceTree) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for module in tree.trees.values():
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


def _constants(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.Assign):
            targets: Sequence[ast.expr] = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        for target in targets:
            for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(one, ast.Name) and one.id.isupper():
                    yield one.id


def _is_called_from_outside(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    decorators = [ast.unparse(d).split("(")[0] for d in node.decorator_list]
    return any(d.split(".")[-1] in CALLED_FROM_OUTSIDE for d in decorators)


FIGURES: dict[str, Callable[[SourceTree], str]] = {
    "python files / lines": count_lines,
    "lines of a file, median / longest": measure_files,
    "lines of a function, median / longest": measure_functions,
    "class names in two files": count_shared_class_names,
    "functions named by one word": measure_one_word_functions,
    "upper-case constants of modules": count_constants,
    "imports of a higher room": count_upward_arrows,
    "public parameters and fields undocumented": count_undocumented,
    "docstrings that point at another": count_relative_docstrings,
    "banned words": count_banned_words,
    f"functions over cyclomatic complexity {MAX_COMPLEXITY}": count_complex_functions,
    "dead code, candidates": count_dead_code,
}


def main() -> None:
    """Print the table; with --dead also the candidates."""
    paths = [Path(arg).resolve() for arg in sys.argv[1:] if not arg.startswith("-")] or [ROOT]
    trees = [SourceTree(path) for path in paths]
    print(f"| | {' | '.join(path.name for path in paths)} |")
    print("| --- " * (len(trees) + 1) + "|")
    for label, figure in FIGURES.items():
        print(f"| {label} | {' | '.join(figure(tree) for tree in trees)} |")
    if "--dead" in sys.argv:
        for tree in trees:
            print(f"\n{tree.root.name}: {' '.join(dead_code(tree))}")


if __name__ == "__main__":
    main()

"""Every parameter and field that a user can meet is documented; classes have one name each."""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import TypeAlias

import pytest

from scripts.source_tree import RELATIVE, Public, SourceTree, dataclass_decorator

# Every module is parsed once, in one worker of a parallel run.
pytestmark = pytest.mark.xdist_group("source tree")

Face: TypeAlias = dict[str, Public]

# Values that users write down, many to a line, and views: their fields are positional by purpose.
WRITTEN_BY_USERS = {"recinterp.machine", "recinterp.perturb", "recinterp.tasks"}
RESULTS = {"Effects", "Swept"}
POSITIONAL = {"HeadIntervention", "Plot", "Plots"}


@pytest.fixture(scope="module")
def public_face(source_tree: SourceTree) -> Face:
    """Every public class and function."""
    return source_tree.public_face()


def refuse(kind: str, found: list[str]) -> None:
    assert not found, "\n  ".join([f"{kind}: {len(found)}", *found])


def test_the_names_in_the_reference_exist(source_tree: SourceTree) -> None:
    missing = [
        f"{module}.{name}"
        for module, name in source_tree.reference()
        if module not in source_tree.modules or source_tree.find(module, name) is None
    ]
    assert not missing, f"docs/api.md lists what is not defined: {missing}"


def test_every_parameter_and_field_is_mentioned(source_tree: SourceTree, public_face: Face) -> None:
    missing = {
        name: source_tree.undocumented(public) for name, public in sorted(public_face.items())
    }
    refuse("undocumented", [f"{name}: {', '.join(m)}" for name, m in missing.items() if m])


def test_no_docstring_begins_by_pointing_at_another(source_tree: SourceTree) -> None:
    found = [
        f"{file}:{line}: {text.splitlines()[0]}"
        for file, line, text in source_tree.docstrings()
        if text.startswith(RELATIVE)
    ]
    refuse("relative", found)


def test_no_two_classes_have_one_name(source_tree: SourceTree) -> None:
    homes = defaultdict(list)
    for module, node in source_tree.classes():
        homes[node.name].append(module)
    found = [f"{name}: {', '.join(in_)}" for name, in_ in homes.items() if len(in_) > 1]
    refuse("class names", sorted(found))


def test_fields_of_results_are_keywords(public_face: Face) -> None:
    found = [name for name, public in public_face.items() if has_positional_fields(public)]
    refuse("positional", sorted(found))


def has_positional_fields(public: Public) -> bool:
    """Whether a dataclass, not one of those that users write down, can be made by position."""
    if not isinstance(public.node, ast.ClassDef) or public.node.name in POSITIONAL:
        return False
    room = ".".join(public.module.split(".")[:2])
    if room in WRITTEN_BY_USERS and public.node.name not in RESULTS:
        return False
    decorator = dataclass_decorator(public.node)
    return decorator is not None and "kw_only=True" not in decorator

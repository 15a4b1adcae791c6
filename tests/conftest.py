"""Fixtures that tests of several rooms share, each made once in a run.

The library is imported where it is used: in a parallel run, the process that only distributes the
tests loads this file too, and all workers wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from torch import nn

    import recinterp as ri
    from scripts.source_tree import SourceTree

# How long an example takes depends on what else the machine does.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def binary_successor() -> ri.Task:
    """The task of the shipped model."""
    import recinterp as ri

    return ri.task("binary-successor", order="natural")


@pytest.fixture(scope="session")
def shipped_model() -> nn.Module:
    """The shipped model that carries at most three times."""
    from tests.cases import load_shipped

    return load_shipped()


@pytest.fixture(scope="session")
def explanation(shipped_model: nn.Module, binary_successor: ri.Task) -> ri.Explanation:
    """The shipped model's explanation on a small domain."""
    import recinterp as ri
    from tests.cases import SHORT_DOMAIN

    return ri.explain(shipped_model, binary_successor, domain=SHORT_DOMAIN, seed=0)


@pytest.fixture(scope="session")
def source_tree() -> SourceTree:
    """The source of the package, each module parsed once."""
    from scripts.source_tree import SourceTree

    return SourceTree()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests of one explanation to one worker, so that it is made once in a parallel run."""
    from tests.cases import CASES

    for item in items:
        case = getattr(item, "callspec", None) and item.callspec.params.get("name")
        if "explanation" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("explanation"))
        elif isinstance(case, str) and case in CASES:
            item.add_marker(pytest.mark.xdist_group(case))

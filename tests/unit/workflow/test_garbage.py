"""How often garbage is looked for while a workflow is planned."""

import gc
import weakref

import pytest

from nnflow.workflow.garbage import OBJECTS, look_for_garbage_rarely


class Node:
    """What may refer to itself."""


@pytest.fixture
def collector():
    """The collector as it was, afterwards."""
    before = gc.get_threshold()
    gc.collect()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_garbage_is_looked_for_after_many_new_objects_and_not_before():
    node = Node()
    node.itself = node
    gone = weakref.ref(node)
    look_for_garbage_rarely()
    assert gc.get_freeze_count() > 0
    other = Node()
    other.itself = other
    lost = weakref.ref(other)
    del other
    few = [[] for _ in range(OBJECTS // 2)]
    assert lost() is not None
    many = [[] for _ in range(OBJECTS)]
    assert lost() is None
    assert gone() is node and len(few) < len(many)

"""What all tests share."""

import os
import sys
from collections.abc import Iterator

# before torch is imported: results differ in the last bits with the number of threads
os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

# how long an example takes depends on what else the machine does, so it is no failure;
# the examples are the same every time, so that a test fails for a reason of its own
hypothesis.settings.register_profile("nnflow", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("nnflow")

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(optionalhook=True)  # there are runs without xdist
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests of workflows, of Slurm above all, wait for long."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (cores or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that no process is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (_rank(item.path), item.path not in slow))


def _rank(file: Path) -> int:
    return 0 if file.name == "test_slurm.py" else 1 if file.parent.name == "workflow" else 2


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(autouse=True)
def same_plugins() -> Iterator[None]:
    """A test that loads plugins anew leaves the modules and the registry of before to the next
    one: what a test file patches in a module has to be what plugins call."""
    from nnflow.interfaces import registry

    known, modules = _registry(), _plugin_modules()
    yield
    if not modules or _registry() is known:  # which may have imported more
        return
    if _plugin_modules() != modules:
        for name in _plugin_modules():
            del sys.modules[name]
        sys.modules.update(modules)
    if known is not None:
        registry.registry.cache_clear()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(registry, "Registry", lambda folders: known)
            registry.registry()


def _registry() -> object:
    """What plugins were found; None: nobody has asked."""
    from nnflow.interfaces import registry

    return registry.registry() if registry.registry.cache_info().currsize else None


def _plugin_modules() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.startswith("nnflow_plugins")]
    return {name: sys.modules[name] for name in names}


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "PluginFolder":
    """An empty plugins folder, the only one that the registry sees in this test."""
    from nnflow.interfaces import registry

    folder = PluginFolder(tmp_path / "plugins")
    monkeypatch.setattr(registry, "plugin_folders", lambda: [folder.path])
    registry.registry.cache_clear()
    yield folder
    registry.registry.cache_clear()


class PluginFolder:
    """A folder of plugin files that a test writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)

    def write(self, place: str, text: str) -> Path:
        """Write `text` to `place` (kind/name.py)."""
        file = self.path / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

"""CIFAR-10 from its original archive: format, shrinking, and what is said of a bad file."""

import hashlib
import io
import tarfile

import numpy as np
import pytest
from studies import module

from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry

NAMES = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]


def cifar10(**settings):
    return registry().get("datasets", "cifar10")(**settings)


def sample(label, colours):
    """A record by the description of the format (A. Krizhevsky): the label, then 1024 red, 1024
    green and 1024 blue bytes; here each colour is one number plus the pixel's row."""
    rows = np.repeat(np.arange(32, dtype=np.uint8), 32)
    return bytes([label]) + b"".join(
        (colour + rows).astype(np.uint8).tobytes() for colour in colours
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An archive of six files, two samples each but the last, and a code that knows its hash."""
    file = tmp_path / "cifar10" / "cifar-10-binary.tar.gz"
    file.parent.mkdir()
    with tarfile.open(file, "w:gz") as archive:
        for number, name in enumerate(NAMES):
            samples = [sample(number, (0, 100, 200)), sample(9 - number, (number, 50, 60))]
            content = b"".join(samples[: 1 if name.startswith("test") else 2])
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    code = module("cifar10")
    monkeypatch.setattr(code, "SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    # nothing listens at the discard port: no test asks the network
    monkeypatch.setattr(code, "SOURCES", ("http://127.0.0.1:9/",))
    return tmp_path


def test_files_of_the_format_are_read(folder):
    arrays = cifar10().load(folder)
    assert arrays["targets"].tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert arrays["test_targets"].tolist() == [5]
    assert arrays["inputs"].shape == (10, 3072) and arrays["test_inputs"].shape == (1, 3072)
    rows = np.repeat(np.arange(32), 32)
    for place, colours in ((0, (0, 100, 200)), (3, (1, 50, 60))):
        expected = np.concatenate([colour + rows for colour in colours]) / 255
        np.testing.assert_allclose(arrays["inputs"][place], expected, rtol=1e-15)
    few = cifar10(samples=3, test_samples=1).load(folder)
    np.testing.assert_array_equal(few["inputs"], arrays["inputs"][:3])
    assert [len(few[name]) for name in few] == [3, 3, 1, 1]


def test_colours_are_shrunk_one_by_one(folder):
    """Means over quarters of images whose pixels are a colour plus their row: rows 7.5 and 23.5."""
    found = cifar10(side=2).load(folder)["inputs"][0] * 255
    assert found == pytest.approx([c + r for c in (0, 100, 200) for r in (7.5, 7.5, 23.5, 23.5)])


def test_too_many_samples_are_a_mistake(folder):
    with pytest.raises(
        UserError, match=r"^dataset 'cifar10': samples: 11 asked for, but there are 10$"
    ):
        cifar10(samples=11).load(folder)
    with pytest.raises(UserError, match=r"test_samples: 2 asked for, but there are 1$"):
        cifar10(test_samples=2).load(folder)


def test_a_damaged_file_is_one_line_that_says_what_to_do(folder):
    file = folder / "cifar10" / "cifar-10-binary.tar.gz"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"tar.gz is damaged.*; delete it") as error:
        cifar10().load(folder)
    assert "\n" not in str(error.value)


def test_a_missing_file_without_network_is_one_line_that_says_what_to_do(folder):
    (folder / "cifar10" / "cifar-10-binary.tar.gz").unlink()
    with pytest.raises(UserError, match=r"tar.gz is missing.*put the file there") as error:
        cifar10().load(folder)
    assert "http://127.0.0.1:9/cifar-10-binary.tar.gz" in str(error.value)
    assert "\n" not in str(error.value)

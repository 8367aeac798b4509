"""MNIST from its original files: format, shrinking, downloads and what is said of bad files."""

import gzip
import hashlib
import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from studies import module

from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry


def mnist(**settings):
    return registry().get("datasets", "mnist")(**settings)


def idx(values):
    """By the format's description (Y. LeCun): magic number 0, 0, 8, axes; lengths; bytes."""
    lengths = b"".join(length.to_bytes(4, "big") for length in values.shape)
    return gzip.compress(bytes([0, 0, 8, values.ndim]) + lengths + values.tobytes(), mtime=0)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


@pytest.fixture
def folder(images, tmp_path, monkeypatch):
    """Four small files of the format, and a code that knows their hashes."""
    digits = np.array([3, 1, 4, 1, 5], dtype=np.uint8)
    contents = {
        "inputs": images, "targets": digits, "test_inputs": images[::-1], "test_targets": digits
    }  # fmt: skip
    (tmp_path / "mnist").mkdir()
    known = {}
    for array, values in contents.items():
        content = idx(np.ascontiguousarray(values))
        (tmp_path / "mnist" / f"{array}.gz").write_bytes(content)
        known[array] = (f"{array}.gz", hashlib.sha256(content).hexdigest())
    code = module("mnist")
    monkeypatch.setattr(code, "FILES", known)
    # nothing listens at the discard port: no test asks the network
    monkeypatch.setattr(code, "SOURCES", ("http://127.0.0.1:9/",))
    return tmp_path


def test_files_of_the_format_are_read(folder, images):
    arrays = mnist().load(folder)
    np.testing.assert_array_equal(arrays["inputs"], images.reshape(5, 784) / 255)
    np.testing.assert_array_equal(arrays["test_inputs"], images[::-1].reshape(5, 784) / 255)
    assert arrays["targets"].tolist() == [3, 1, 4, 1, 5]
    few = mnist(samples=2, test_samples=3).load(folder)
    assert [len(few[name]) for name in arrays] == [2, 2, 3, 3]
    np.testing.assert_array_equal(few["inputs"], arrays["inputs"][:2])


@pytest.mark.parametrize("side", [1, 7, 10, 14, 27])
def test_a_pixel_of_a_shrunk_image_is_the_mean_over_its_area(folder, images, side):
    """Images magnified `side` times, and then cut into blocks of 28: means of whole pixels."""
    found = mnist(side=side).load(folder)["inputs"]
    large = images.repeat(side, axis=1).repeat(side, axis=2) / 255
    expected = large.reshape(5, side, 28, side, 28).mean(axis=(2, 4))
    np.testing.assert_allclose(found, expected.reshape(5, -1), rtol=1e-12)


def test_too_many_samples_are_a_mistake(folder):
    with pytest.raises(
        UserError, match=r"^dataset 'mnist': samples: 6 asked for, but there are 5$"
    ):
        mnist(samples=6).load(folder)
    with pytest.raises(UserError, match=r"test_samples: 7 asked for, but there are 5$"):
        mnist(test_samples=7).load(folder)


def test_a_damaged_file_is_one_line_that_says_what_to_do(folder):
    file = folder / "mnist" / "targets.gz"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"targets.gz is damaged.*; delete it") as error:
        mnist().load(folder)
    assert "\n" not in str(error.value)


def test_a_missing_file_without_network_is_one_line_that_says_what_to_do(folder):
    (folder / "mnist" / "test_inputs.gz").unlink()
    with pytest.raises(UserError, match=r"test_inputs.gz is missing.*put the file there") as error:
        mnist().load(folder)
    assert "http://127.0.0.1:9/test_inputs.gz" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture
def served(folder, monkeypatch):
    """The files, at an address of this machine."""
    handler = partial(SimpleHTTPRequestHandler, directory=folder / "mnist")
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *arguments: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(module("mnist"), "SOURCES", ("http://127.0.0.1:9/", address))
        yield folder
        server.shutdown()
        thread.join()


def test_missing_files_are_downloaded_with_a_bar(served, tmp_path, capsys):
    other = tmp_path / "other"
    arrays = mnist().load(other)
    np.testing.assert_array_equal(arrays["inputs"], mnist().load(served)["inputs"])
    assert sorted(os.listdir(other / "mnist")) == sorted(
        f"{name}.gz" for name in ("inputs", "targets", "test_inputs", "test_targets")
    )
    assert "downloading inputs.gz" in capsys.readouterr().err


def test_a_download_with_another_hash_is_not_kept(served, tmp_path):
    (served / "mnist" / "inputs.gz").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"inputs.gz is missing, and can't be downloaded"):
        mnist().load(tmp_path / "other")
    assert os.listdir(tmp_path / "other" / "mnist") == []


@pytest.mark.skipif("NNFLOW_DATA" not in os.environ, reason="needs the files of MNIST")
def test_the_original_files():
    """Counts of classes and the mean pixel, .1307, as the literature has them."""
    arrays = mnist().load(Path(os.environ["NNFLOW_DATA"]))
    assert arrays["inputs"].shape == (60_000, 784) and arrays["test_inputs"].shape == (10_000, 784)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(arrays["targets"]).tolist() == counts
    assert arrays["inputs"].mean() == pytest.approx(0.1307, abs=5e-5)
    assert arrays["test_targets"][:5].tolist() == [7, 2, 1, 0, 4]

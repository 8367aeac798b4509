"""The rooms of nnflow: imports run downhill, and the picture shows them as they are."""

from nnflow.checks.rooms import climbing, draw, imports


def test_imports_run_downhill(root):
    assert climbing(imports(root / "nnflow")) == []


def test_an_import_that_climbs_is_seen(tmp_path):
    for room, text in {
        "base": "def late():\n    from nnflow.engine import training\n",
        "engine": "from nnflow.base import errors\nfrom nnflow.proofs import proof\n",
        "proofs": "import nnflow.base.errors\n",
    }.items():
        (tmp_path / "nnflow" / room).mkdir(parents=True)
        (tmp_path / "nnflow" / room / "module.py").write_text(text)
    arrows = imports(tmp_path / "nnflow")
    assert arrows == [
        ("base", "engine"), ("engine", "base"), ("engine", "proofs"), ("proofs", "base"),
    ]  # fmt: skip
    assert climbing(arrows) == [("base", "engine"), ("engine", "proofs")]


def test_the_picture_is_up_to_date(root, tmp_path):
    draw(imports(root / "nnflow"), tmp_path / "rooms.svg")
    assert (tmp_path / "rooms.svg").read_bytes() == (root / "docs/rooms.svg").read_bytes(), (
        "`python -m nnflow.checks.rooms` draws docs/rooms.svg anew"
    )

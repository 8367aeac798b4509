"""Settings in words."""

from nnflow.report.settings import settings
from nnflow.study.loading import load_study, study_file


def test_settings_tell_what_was_swept(root):
    shown = dict(settings(load_study(study_file("digits_networks", root / "config/studies"))))
    assert "widths {[64, 16, 10], [64, 64, 10]}, activation tanh" in shown["model"]
    assert shown["runs"] == "8 per configuration, 16 in all"
    assert "test share 0.2" in shown["dataset"]

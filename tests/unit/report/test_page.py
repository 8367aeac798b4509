"""What the first screen of the report shows."""

from types import SimpleNamespace

from nnflow.report.page import Group, _cards


def section(name, *findings):
    return SimpleNamespace(name=name, findings=findings)


def test_each_subject_is_spoken_for_by_its_study_or_by_another_that_found_something():
    named, other = section("named", "a finding"), section("other", "another")
    silent, hero = section("silent"), section("hero", "the finding above")
    groups = [
        Group("is here", "named", (other, named)),
        Group("is not here", "absent", (silent, hero, other)),
        Group("found nothing", "silent", (silent, other)),
        Group("all is silent", "silent", (silent,)),
        Group("has none that speaks", "", (other,)),
        Group("is shown above", "hero", (hero,)),
    ]
    assert [(group.title, one.name) for group, one in _cards(groups, hero)] == [
        ("is here", "named"), ("is not here", "other"), ("found nothing", "other"),
    ]  # fmt: skip


def test_there_are_at_most_six():
    groups = [Group(str(n), "one", (section("one", "a finding"),)) for n in range(8)]
    assert [group.title for group, _ in _cards(groups, None)] == list("012345")

"""The list that `make checkov` holds the templates to; checkov itself runs there."""

from tests.stacks.scanners.checkov import Finding, difference, listed
from tests.stacks.templates import of_stage


def test_each_finding_that_stands_names_a_resource_and_a_reason() -> None:
    found = listed()
    assert found
    for finding, reason in found.items():
        stack, _, id = finding.resource.partition("/")
        ids = {each.id[:-8] for each in of_stage(finding.stage) if each.stack == stack}
        assert id in ids, finding
        assert len(reason) > 30, finding
        assert reason.endswith("."), finding


def test_list_must_be_exact() -> None:
    bucket, door = (
        Finding("dev", "CKV_AWS_18", "data/Bucket"),
        Finding("dev", "CKV_AWS_2", "s/Door"),
    )

    assert difference({bucket}, {bucket}) == []
    assert difference({bucket, door}, {bucket}) == ["not listed: dev: CKV_AWS_2 s/Door"]
    assert difference(set(), {bucket}) == [
        "listed, and not found any more: dev: CKV_AWS_18 data/Bucket"
    ]

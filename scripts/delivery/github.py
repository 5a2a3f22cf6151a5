"""A workflow of GitHub Actions, as text."""

from collections.abc import Sequence

from scripts.delivery.plan import (
    ACTIVATE,
    CHECK_MINUTES,
    CHECKS,
    DEPLOY_MINUTES,
    SET_UP,
    Deployment,
)

FILE = ".github/workflows/delivery.yml"
# An action is named by its commit, because a tag can be moved to other code. The comment has the
# tag of that commit; Dependabot updates both.
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
CREDENTIALS = (
    "aws-actions/configure-aws-credentials@e6de054238d6b7531b4efff3b6587d9aade6a06c # v6.2.3"
)
# https://docs.github.com/en/actions/reference/runners/github-hosted-runners
X86_RUNNER, ARM_RUNNER = "ubuntu-24.04", "ubuntu-24.04-arm"

HEAD = """\
# Written by `moor ci github`, and yours from now on. docs/delivery.md has the set-up by hand.
name: delivery

on:
{triggers}
permissions: {{}} # each job says what it needs

jobs:
  check:
    name: check
    runs-on: {runner}
    timeout-minutes: {minutes}
    permissions:
      contents: read
    concurrency: # a newer push to a branch ends the checks of the one before
      group: check-${{{{ github.ref }}}}
      cancel-in-progress: ${{{{ github.ref != 'refs/heads/{branch}' }}}}
    steps:
      - uses: {checkout}
        with:
          persist-credentials: false
{checks}"""
PUSH = """\
  push:
    branches: ["**"]
"""
BY_HAND = """\
  workflow_dispatch: # "Run workflow" on {branch} deploys the protected stages
"""
DEPLOY = """
  deploy-{stage}:
    name: deploy {stage}
    needs: {needs}
    if: {condition}
    runs-on: {runner} # builds the image for the processor that runs it
    timeout-minutes: {minutes}
    permissions:
      contents: read
      id-token: write # for the token that AWS exchanges for credentials of one hour
    environment: {stage} # its variables AWS_ROLE_ARN and AWS_REGION{approval}
    concurrency: # one deployment at a time, and none is cut off
      group: deploy-{stage}
      cancel-in-progress: false
    steps:
      - uses: {checkout}
        with:
          persist-credentials: false
      - run: {set_up}
      - uses: {credentials}
        with:
          role-to-assume: ${{{{ vars.AWS_ROLE_ARN }}}}
          aws-region: ${{{{ vars.AWS_REGION }}}}
      - run: |
          {activate}
          {deploy}
"""
APPROVAL = ", and who has to approve"


def workflow(plan: Sequence[Deployment], *, branch: str, by_hand: bool) -> str:
    """The file. With `by_hand`, protected stages wait for somebody who starts it, not for the
    reviewers of their environment."""
    is_by_hand = by_hand and any(each.is_protected for each in plan)
    text = HEAD.format(
        triggers=PUSH + (BY_HAND.format(branch=branch) if is_by_hand else ""),
        runner=X86_RUNNER,
        minutes=CHECK_MINUTES,
        branch=branch,
        checkout=CHECKOUT,
        checks="".join(f"      - run: {command}\n" for command in CHECKS),
    )
    before = {True: "check", False: "check"}  # those by hand do not wait for the others
    for each in plan:
        waits = is_by_hand and each.is_protected
        condition = f"github.ref == 'refs/heads/{branch}'"
        if is_by_hand:
            condition += f" && github.event_name == '{'workflow_dispatch' if waits else 'push'}'"
        text += DEPLOY.format(
            stage=each.stage,
            needs=before[waits],
            condition=condition,
            runner=ARM_RUNNER if each.is_arm else X86_RUNNER,
            minutes=DEPLOY_MINUTES,
            approval=APPROVAL if each.is_protected and not waits else "",
            checkout=CHECKOUT,
            set_up=SET_UP,
            credentials=CREDENTIALS,
            activate=ACTIVATE,
            deploy=each.command,
        )
        before[waits] = f"deploy-{each.stage}"
    return text

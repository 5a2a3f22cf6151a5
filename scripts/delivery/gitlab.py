"""A pipeline of GitLab CI/CD, as text."""

import re
from collections.abc import Sequence
from pathlib import Path

from scripts.delivery.plan import (
    ACTIVATE,
    CHECK_MINUTES,
    CHECKS,
    DEPLOY_MINUTES,
    SET_UP,
    Deployment,
)

FILE = ".gitlab-ci.yml"
DOCKERFILE = Path(__file__).parents[2] / "service/Dockerfile"
# The digest is the index of all processors that Docker's list of official images
# (docker-library/repo-info) had in August 2026: Docker 29.7.0.
DOCKER = "docker:29-dind@sha256:084e385b0c9b7ab35d5a46dfedd033721448c000dbec71adcf13da8a9e71baa8"
# https://docs.gitlab.com/ci/runners/hosted_runners/linux/
X86_RUNNER, ARM_RUNNER = "saas-linux-small-amd64", "saas-linux-small-arm64"
INSTALL = "apt-get update -qq && apt-get install -y -qq --no-install-recommends"

HEAD = """\
# Written by `moor ci gitlab`, and yours from now on. docs/delivery.md has the set-up by hand.
stages: [check, {stages}]

workflow:
  rules:
    - if: $CI_COMMIT_BRANCH

default:
  image: {image}

check:
  stage: check
  timeout: {minutes} minutes
  interruptible: true # a newer push to a branch ends the checks of the one before
  before_script:
    - {install} make
  script:
{checks}
.deploy:
  interruptible: false
  timeout: {deploy_minutes} minutes
  services:
    - {docker}
  variables:
    DOCKER_HOST: tcp://docker:2376
    DOCKER_TLS_CERTDIR: /certs
    DOCKER_TLS_VERIFY: "1"
    DOCKER_CERT_PATH: /certs/client
    AWS_WEB_IDENTITY_TOKEN_FILE: /tmp/aws-token # AWS exchanges it for credentials of one hour
    AWS_ROLE_SESSION_NAME: gitlab-$CI_PROJECT_ID-$CI_PIPELINE_ID
  id_tokens:
    AWS_TOKEN:
      aud: $CI_SERVER_URL
  before_script:
    - {install} make docker-cli docker-buildx
    - (umask 077 && printenv AWS_TOKEN > "$AWS_WEB_IDENTITY_TOKEN_FILE")
"""
DEPLOY = """
deploy-{stage}:
  extends: .deploy
  stage: {stage}
  tags: [{runner}] # builds the image for the processor that runs it
  environment:
    name: {stage} # its variables AWS_ROLE_ARN and AWS_REGION
  resource_group: {stage} # one deployment at a time
  rules:
    - if: $CI_COMMIT_BRANCH == "{branch}"
{manual}  script:
    - {set_up}
    - {activate}
    - {deploy}
"""
MANUAL = """\
      when: manual # whoever may deploy to the protected environment
"""


def workflow(plan: Sequence[Deployment], *, branch: str) -> str:
    """The file. A protected stage waits for somebody who starts its job."""
    text = HEAD.format(
        stages=", ".join(each.stage for each in plan),
        image=base_image(),
        minutes=CHECK_MINUTES,
        install=INSTALL,
        checks="".join(f"    - {command}\n" for command in CHECKS),
        deploy_minutes=DEPLOY_MINUTES,
        docker=DOCKER,
    )
    return text + "".join(
        DEPLOY.format(
            stage=each.stage,
            runner=ARM_RUNNER if each.is_arm else X86_RUNNER,
            branch=branch,
            manual=MANUAL if each.is_protected else "",
            set_up=SET_UP,
            activate=ACTIVATE,
            deploy=each.command,
        )
        for each in plan
    )


def base_image() -> str:
    """The one that the service's own image is made from, by its digest for all processors."""
    (found,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    return str(found)

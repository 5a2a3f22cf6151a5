"""Which pipeline may deploy a stage: one repository's, by the claims of its tokens.

GitHub and GitLab sign a short-lived token for each job. AWS exchanges it for credentials of a role,
if the token's claims are those that the role's trust policy names. Standard library only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from stacks.config.values import ConfigError, unknown

# Names as GitHub and GitLab allow them. A star or a question mark is no part of a name, and the
# trust policy compares texts anyway. Since July 2026 the claims of a new repository of GitHub
# hold its and its owner's ids, which are never given to another: acme@123/shop@456.
# https://docs.github.com/en/actions/reference/security/oidc
GITHUB = r"[A-Za-z0-9][A-Za-z0-9-]{0,38}(@[0-9]{1,20})?/[A-Za-z0-9._-]{1,100}(@[0-9]{1,20})?"
# https://docs.gitlab.com/user/reserved_names/
GITLAB = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}){1,20}"
GITLAB_HOST = r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?"
BRANCH = r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}"
QUALIFIER = (
    r"[A-Za-z0-9_-]{1,10}"  # https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
)
GITHUB_ISSUER, GITHUB_AUDIENCE = "token.actions.githubusercontent.com", "sts.amazonaws.com"
DEFAULT_BRANCH, DEFAULT_GITLAB_HOST, DEFAULT_QUALIFIER = "main", "gitlab.com", "hnb659fds"
ROLE_OUTPUT = "PipelineRole"
NEW, EXISTING = "new", "existing"
QUALIFIER_KEY = "@aws-cdk/core:bootstrapQualifier"
EXAMPLES = {
    "github": (GITHUB, "acme/shop, or acme@123/shop@456 with GitHub's ids"),
    "gitlab": (GITLAB, "acme/shop"),
    "gitlab_host": (GITLAB_HOST, DEFAULT_GITLAB_HOST),
    "branch": (BRANCH, DEFAULT_BRANCH),
    "provider": (f"{NEW}|{EXISTING}", f"{NEW}, or {EXISTING} where the account has it"),
}


@dataclass(frozen=True)
class Pipeline:
    """Whose tokens are taken: of `issuer`, for `audience`, about `subject`, letter by letter."""

    issuer: str
    audience: str
    subject: str
    makes_provider: bool
    qualifier: str = DEFAULT_QUALIFIER

    def bootstrap_roles(self, account: str, region: str) -> list[str]:
        """The names of the roles that `cdk bootstrap` made for `cdk deploy`.

        https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html#bootstrapping-env-roles
        """
        return [
            f"cdk-{self.qualifier}-{kind}-role-{account}-{region}"
            for kind in ("deploy", "file-publishing", "image-publishing", "lookup")
        ]


def read_pipeline(stage: str, given: Mapping[str, object]) -> Pipeline:
    """The pipeline that `-c github=…` or `-c gitlab=…` names, for `stage`.

    Raises `ConfigError` with every wrong key and value.
    """
    values = {key: str(value) for key, value in given.items()}
    qualifier = values.pop(QUALIFIER_KEY, DEFAULT_QUALIFIER)
    problems = [unknown(key, EXAMPLES) for key in values if key not in EXAMPLES]
    for key, value in values.items():
        if key in EXAMPLES and not re.fullmatch(EXAMPLES[key][0], value):
            problems.append(f"{key} = {value!r}: allowed is {EXAMPLES[key][1]}")
    if not re.fullmatch(QUALIFIER, qualifier):
        problems.append(f"{QUALIFIER_KEY} = {qualifier!r}: allowed are 10 letters, digits, - and _")
    if ("github" in values) == ("gitlab" in values):
        problems.append("github, gitlab: one of the two says whose pipeline it is, for example "
                        "-c github=acme/shop")  # fmt: skip
    if "github" in values:
        # The subject of a job with an environment holds no branch: GitHub's own settings of the
        # environment say from which branches it is used.
        problems += [f"{key}: is for GitLab" for key in ("branch", "gitlab_host") if key in values]
        if ("@" in values["github"]) != (values["github"].count("@") == 2):
            problems.append(f"github = {values['github']!r}: both have an id, or none")
    if problems:
        raise ConfigError(problems)
    makes_provider = values.get("provider", NEW) == NEW
    if "github" in values:
        subject = f"repo:{values['github']}:environment:{stage}"
        return Pipeline(GITHUB_ISSUER, GITHUB_AUDIENCE, subject, makes_provider, qualifier)
    host, branch = (
        values.get("gitlab_host", DEFAULT_GITLAB_HOST),
        values.get("branch", DEFAULT_BRANCH),
    )
    subject = f"project_path:{values['gitlab']}:ref_type:branch:ref:{branch}"
    return Pipeline(host, f"https://{host}", subject, makes_provider, qualifier)

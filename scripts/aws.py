"""AWS, or the local twin in its place: the only door to boto3 for operator commands."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from scripts.aws_errors import ATTEMPTS, NOTHING_KNOWN, PREFIXES, WHO, About, explain_answer
from scripts.errors import (
    CredentialsError,
    NotDeployedError,
    NotFoundError,
    OperatorError,
    UnreachableError,
)
from scripts.target import Target, find_target
from stacks.config.naming import Names
from stacks.config.operator_rights import PROJECT_SECRET

CONNECT_SECONDS, READ_SECONDS = 5, 20
# The caller's variables for AWS: calls of the local twin must not follow them.
AWS_VARIABLE_PREFIXES = ("AWS_", "BOTO_")

Answer = dict[str, Any]


class Aws:
    """AWS calls for one stage, with timeouts and retries; every failure is an `OperatorError`."""

    def __init__(self, target: Target) -> None:
        self.target = target

    @property
    def names(self) -> Names:
        return self.target.names

    @property
    def region(self) -> str:
        found: str = self._session.region_name or ""
        return found

    @property
    def profile(self) -> str:
        """The AWS profile that was chosen by name; empty for the default one and for the twin."""
        found: str = "" if self.target.is_local else self._session.profile_name
        return "" if found == "default" else found

    def endpoint(self, service: str) -> str:
        """The URL of that AWS service's API."""
        found: str = self._client(service).meta.endpoint_url
        return found

    def call(self, service: str, operation: str, /, **given: Any) -> Answer:
        """One call, as boto3 names it: `call("ecs", "describe_clusters", clusters=[…])`."""
        with _explained(self.target, self._about(service, given)):
            answer: Answer = getattr(self._client(service), operation)(**given)
        return answer

    def pages(self, service: str, operation: str, key: str, /, **given: Any) -> Iterator[Any]:
        """Every item under `key`, over all pages."""
        with _explained(self.target, self._about(service, given)):
            for page in self._client(service).get_paginator(operation).paginate(**given):
                yield from page[key]

    def together(self, *calls: tuple[str, str, Mapping[str, Any]]) -> list[Answer]:
        """Run the calls at the same time; the answers are in the order of the calls."""
        if not calls:
            return []
        for service in {service for service, *_ in calls}:
            self._client(service)  # boto3 makes clients in one thread only
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(lambda each: self.call(each[0], each[1], **each[2]), calls))

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The outputs of the stage's stacks. Raises `NotDeployedError` where there are none."""
        found: dict[str, str] = {}
        names = self.target.names
        for stack in (names.data_stack, names.service_stack):
            try:
                answer = self.call("cloudformation", "describe_stacks", StackName=stack)
            except NotFoundError:
                raise self.not_deployed(f"there is no stack {stack}") from None
            (only,) = answer["Stacks"]
            found |= {each["OutputKey"]: each["OutputValue"] for each in only.get("Outputs", [])}
        return found

    def output(self, key: str) -> str:
        """One output of the stage's stacks. Raises `NotDeployedError` where it is missing."""
        if key not in self.outputs:
            raise self.not_deployed(f"its stacks have no output {key}")
        return self.outputs[key]

    def not_deployed(self, why: str) -> NotDeployedError:
        """The error for a stage, or a part of it, that is missing because of `why`."""
        stage = self.target.stage.stage
        command = "moor up" if self.target.is_local else f"npx cdk deploy --all -c stage={stage}"
        return NotDeployedError(
            f"{self.target} is not deployed here: {why} in {self.region}",
            f"`{command}` deploys it; another region is chosen by AWS_REGION, another account "
            "by AWS_PROFILE.",
        )

    def _about(self, service: str, given: Mapping[str, Any]) -> About:
        known: dict[str, str] = self.__dict__.get("outputs", {})  # empty until they are read
        secret = given.get("SecretId", "")
        output = next((key for key, value in known.items() if value == secret), "")
        if secret.startswith(self.names.secret("")):
            output = PROJECT_SECRET
        return About(PREFIXES.get(service, service), output)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            with _explained(self.target), self._without_caller_settings():
                self._clients[service] = self._session.client(
                    service, endpoint_url=self.target.endpoint, config=self._config
                )
        return self._clients[service]

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _config(self) -> Any:
        from botocore.config import Config

        return Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            proxies={} if self.target.is_local else None,  # {}: none, whatever is set
        )

    @cached_property
    def _session(self) -> Any:
        import boto3  # a quarter of a second, which `moor --help` does not wait for

        if self.target.is_local:
            id, secret = self.target.key or (None, None)
            with self._without_caller_settings():
                return boto3.Session(
                    aws_access_key_id=id, aws_secret_access_key=secret,
                    region_name=self.target.region,
                )  # fmt: skip
        # AWS's command line reads this variable, boto3 only AWS_DEFAULT_REGION.
        region = self.target.region or os.environ.get("AWS_REGION")
        with _explained(self.target):
            return boto3.Session(region_name=region)

    @contextmanager
    def _without_caller_settings(self) -> Iterator[None]:
        """For the twin: hides the caller's AWS variables and files, which are meant for AWS."""
        taken = {
            name: os.environ.pop(name)
            for name in list(os.environ)
            if self.target.is_local and name.startswith(AWS_VARIABLE_PREFIXES)
        }
        if self.target.is_local:
            os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        try:
            yield
        finally:
            if self.target.is_local:
                del os.environ["AWS_CONFIG_FILE"], os.environ["AWS_SHARED_CREDENTIALS_FILE"]
            os.environ.update(taken)


def connect(stage: str) -> Aws:
    """AWS for the stage of this name."""
    return Aws(find_target(stage))


@contextmanager
def _explained(target: Target, about: About = NOTHING_KNOWN) -> Iterator[None]:
    """Turns what botocore raises into an error with one sentence and a hint."""
    try:
        yield
    except OperatorError:
        raise
    except Exception as error:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError  # a proxy's page, or the twin's, not AWS's

        if not isinstance(error, ClientError | BotoCoreError | ResponseParserError):
            raise
        raise explain(error, target, about) from error


def explain(error: Exception, target: Target, about: About = NOTHING_KNOWN) -> OperatorError:
    """The `OperatorError` for what botocore raised; its kind decides the exit code."""
    from botocore import exceptions as boto

    match error:
        case boto.ClientError():
            return explain_answer(error, target, about)
        case boto.NoCredentialsError() | boto.PartialCredentialsError():
            found: OperatorError = CredentialsError(
                "there are no AWS credentials here", f"`aws login`. {WHO}"
            )
        case boto.ProfileNotFound():
            found = CredentialsError(str(error), "`aws configure list-profiles` lists them.")
        case boto.NoRegionError():
            hint = "Set AWS_REGION, or `region` in stages.toml."
            found = CredentialsError("no AWS region is chosen", hint)
        case (
            boto.TokenRetrievalError() | boto.SSOTokenLoadError() | boto.UnauthorizedSSOTokenError()
        ):
            found = CredentialsError(f"the AWS session has ended: {error}", "`aws sso login`.")
        case boto.EndpointConnectionError() | boto.HTTPClientError() if target.is_local:
            hint = "`moor down` and `moor up` start it again; .moorage/twin/twin.log says more."
            found = UnreachableError("the local twin does not answer", hint)
        case boto.EndpointConnectionError() | boto.HTTPClientError():
            hint = "Does the network work, and is the region right?"
            found = UnreachableError(f"AWS does not answer: {error}", hint)
        case _:
            found = OperatorError(f"the call to AWS failed: {str(error).splitlines()[0]}")
    return found

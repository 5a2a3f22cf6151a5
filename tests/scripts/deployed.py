"""A deployed stage as CloudFormation and Secrets Manager show it."""

import gc
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import boto3

from stacks.config.naming import Output
from stacks.config.read_stage import read_stage

Moor = Callable[..., int]


@contextmanager
def one_command() -> Iterator[None]:
    """A command leaves its connections to the end of its process; here that is the block's end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.freeze()  # what is older need not be looked through
        try:
            yield
        finally:
            gc.collect()
            gc.unfreeze()


def deploy(stage: str, url: str, key: str) -> None:
    """The two stacks of a stage, with the outputs that lead to its API."""
    with closing(boto3.Session().client("secretsmanager")) as secrets:
        secret = secrets.create_secret(Name=f"{stage}-key", SecretString=key)
    names = read_stage(stage).names
    stack(names.data_stack, {Output.API_KEY_SECRET: secret["ARN"]})
    stack(names.service_stack, {Output.URL: url})


def stack(name: str, outputs: dict[Output, str]) -> None:
    """A stack with these outputs and one resource, for it must have some."""
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {str(key): {"Value": value} for key, value in outputs.items()},
    }
    with closing(boto3.Session().client("cloudformation")) as cloudformation:
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))

"""The stack with the encryption key and the network."""

from constructs import Construct

from stacks.config.stage import Stage
from stacks.network.key import EncryptionKey
from stacks.network.vpc import Network
from stacks.stage_stack import StageStack


class NetworkStack(StageStack):
    """`key` and `network` of a stage."""

    def __init__(self, scope: Construct, stage: Stage) -> None:
        super().__init__(
            scope,
            stage.names.network_stack,
            stage,
            description=f"Network and encryption key of {stage.names.prefix}",
        )
        self.key = EncryptionKey(self, "Key", stage=stage)
        self.network = Network(self, "Network", stage=stage, key=self.key)

"""The stages that `make synth` synthesizes, one a line, with what `cdk` needs beside the name."""

import sys

from stacks.config.read_stage import read_stage
from stacks.config.stages_file import stage_names
from stacks.config.values import ConfigError

# A stage that still waits for HTTPS is not deployed without it. To look at its templates, a
# certificate that does not exist does.
CERTIFICATE = (
    "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
)


def main() -> int:
    """Write them to standard output; returns 1 and says why if stages.toml is wrong."""
    try:
        for name in stage_names():
            stage = read_stage(name)
            waits = not (stage.is_https or stage.allow_http)
            sys.stdout.write(name + (f" -c certificate_arn={CERTIFICATE}" if waits else "") + "\n")
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

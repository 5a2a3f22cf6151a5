"""What the names of a stage begin with, whatever the app is called in stages.toml."""

from stacks.config.read_stage import read_stage

DEV_PREFIX, PROD_PREFIX = (read_stage(stage).names.prefix for stage in ("dev", "prod"))

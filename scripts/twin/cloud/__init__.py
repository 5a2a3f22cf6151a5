"""An imitation of AWS that `cdk deploy` can deploy to: moto, and what it lacks for these stacks."""

import sys

# It builds a grammar of all IRIs, which is more than half of the time that moto takes to start.
# jsonschema, which moto needs for API Gateway alone, then leaves one format unchecked.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

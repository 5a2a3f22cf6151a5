"""`python -m scripts.twin.cloud PORT`: run AWS's APIs alone, without the rest of the twin.

It answers callers that sign with its own AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import gc
import os
import signal
import sys

gc.disable()  # moto is a million objects that stay: looking through them is half of a start

from scripts.twin.cloud import aws_models  # noqa: E402

aws_models.read_once()

from scripts.twin.cloud.server import Cloud  # noqa: E402
from scripts.twin.iam.access_keys import AccessKey  # noqa: E402

if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    given = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    cloud = Cloud(int(sys.argv[1]), key=AccessKey(*given))
    cloud.start()
    signal.sigwait({signal.SIGINT, signal.SIGTERM})

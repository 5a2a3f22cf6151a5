"""Where reports lie in the stage's bucket, and for how long: the service's and the stacks'."""

from service.contract import RESULTS_PREFIX

REPORTS_PREFIX = f"{RESULTS_PREFIX}reports/"
REPORT_DAYS = 30  # the bucket keeps one; its job, which gives the link, lives for a week

"""The prefix and the lifetime of reports in the bucket, for the service and the stacks."""

from service.contract import RESULTS_PREFIX

REPORTS_PREFIX = f"{RESULTS_PREFIX}reports/"
REPORT_DAYS = 30  # until the bucket deletes one; its job, needed for the link, is kept for a week

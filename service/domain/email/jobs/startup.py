"""The start-up hook of the email domain."""

from service.aws import ses_client
from service.queue import Context, on_startup


@on_startup
async def open_mail_service(ctx: Context) -> None:
    """Put an SES client into `ctx["ses"]`, or None where no sender is configured."""
    settings = ctx["settings"]
    ctx["ses"] = ses_client(settings.aws_region) if settings.email_from else None

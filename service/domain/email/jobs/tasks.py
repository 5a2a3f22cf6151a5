"""The task that sends an e-mail."""

import asyncio
from typing import Annotated

from msgspec import Meta

from service.queue import Context, NoRetryError, task

# One line each, because a line break in a header would start another header; a bare `$` allows one.
Address = Annotated[
    str,
    Meta(
        pattern=r"^[^@\s\x00]+@[^@\s\x00]+$(?!\n)",
        max_length=320,
        description="an e-mail address, such as ada@example.com",
    ),
]
Line = Annotated[
    str,
    Meta(
        pattern=r"^[^\r\n\x00]*$(?!\n)",
        max_length=998,  # RFC 5322, 2.1.1
        description="one line of text",
    ),
]
Text = Annotated[str, Meta(pattern=r"^[^\x00]*$", description="text without the character U+0000")]
# SES's permanent errors, of the message or its sender:
# https://docs.aws.amazon.com/ses/latest/APIReference/API_SendEmail.html#API_SendEmail_Errors and,
# for a wrong address, https://docs.aws.amazon.com/ses/latest/APIReference/CommonErrors.html
# Throttling, a 5xx and a paused account may be over soon, so they are retried.
REFUSALS = {"MessageRejected", "MailFromDomainNotVerifiedException", "InvalidParameterValue"}


@task(timeout=60, retries=5)
async def send_email(ctx: Context, *, to: Address, subject: Line, body: Text) -> dict[str, str]:
    """Send a message by SES where EMAIL_FROM is set, else keep it in `email_outbox`.

    A second run after a crash leaves one message in the outbox. SES cannot detect a repeated
    message: if its answer is lost, the message is sent twice. A message that SES refuses
    permanently is not retried.
    """
    if ctx["ses"] is None:
        await ctx.pool.execute(
            "INSERT INTO email_outbox (job_key, recipient, subject, body) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (job_key) DO NOTHING",
            ctx.job.key,
            to,
            subject,
            body,
        )
        ctx.log.info("e-mail kept in the outbox; set EMAIL_FROM to send by SES")
        return {"status": "kept"}
    try:
        answer = await asyncio.to_thread(
            ctx["ses"].send_email,
            Source=ctx["settings"].email_from,
            Destination={"ToAddresses": [to]},
            Message={
                "Subject": {"Data": subject, "Charset": "UTF-8"},
                "Body": {"Text": {"Data": body, "Charset": "UTF-8"}},
            },
        )
    except ctx["ses"].exceptions.ClientError as error:
        if error.response["Error"]["Code"] in REFUSALS:
            raise NoRetryError(str(error)) from error
        raise
    ctx.log.info("e-mail sent", message_id=answer["MessageId"])
    return {"status": "sent", "message_id": answer["MessageId"]}

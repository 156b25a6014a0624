"""Turns what a schema cannot say into data: an expiry that is valid lies in the future."""

import re

import schemathesis

DATE_TIME = re.compile(r"^[0-3]\d{3}-")


@schemathesis.hook
def before_call(context, case, kwargs):
    """Moves an expiry 4000 years on, a number of years after which the calendar repeats."""
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("expires_at"), str) and DATE_TIME.match(body["expires_at"]):
        expires_at = body["expires_at"]
        case.body = {**body, "expires_at": f"{int(expires_at[:4]) + 4000:04}{expires_at[4:]}"}

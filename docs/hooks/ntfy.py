#!/usr/bin/env python3
"""Send what a hook of devicelogin is told to a phone with ntfy (https://ntfy.sh or a server of your own).

    on_code = ["/usr/local/bin/ntfy.py", "https://ntfy.sh/YOUR-SECRET-TOPIC"]
    on_login_needed = ["/usr/local/bin/ntfy.py", "https://ntfy.sh/YOUR-SECRET-TOPIC"]

A topic that needs a token takes the name of a file that holds it as a second argument.
"""

import os
import sys
import urllib.request
from email.header import Header
from pathlib import Path

fact = {
    name.removeprefix("DEVICELOGIN_"): value for name, value in os.environ.items() if name.startswith("DEVICELOGIN_")
}
message = fact["REASON"]
headers = {"Title": f"devicelogin, profile {fact['PROFILE']}"}
if fact["EVENT"] == "code":
    message = f"Code {fact['CODE']} at {fact['URI']}, until {fact['EXPIRES_AT']}. {message}"
    headers["Click"] = fact["URI"]
if len(sys.argv) > 2:
    headers["Authorization"] = f"Bearer {Path(sys.argv[2]).read_text().strip()}"
body = message.encode()
if "QR_FILE" in fact:  # as an attachment; the message then goes into a header
    body = Path(fact["QR_FILE"]).read_bytes()
    headers |= {"Message": message, "Filename": "code.png"}
# A header is ASCII; ntfy reads the encoding of mail headers.
plain = {
    name: value if value.isascii() else Header(value, "utf-8", maxlinelen=100_000).encode()
    for name, value in headers.items()
}
urllib.request.urlopen(urllib.request.Request(sys.argv[1], body, plain, method="PUT"), timeout=30).close()

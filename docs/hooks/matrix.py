#!/usr/bin/env python3
"""Write what a hook of devicelogin is told into a Matrix room.

    on_code = ["/usr/local/bin/matrix.py", "https://matrix.example.org", "!room:example.org", "/etc/devicelogin/matrix-token"]
    on_login_needed = ["/usr/local/bin/matrix.py", "https://matrix.example.org", "!room:example.org", "/etc/devicelogin/matrix-token"]

The file holds the access token of the account that writes.
"""

import json
import os
import sys
import urllib.request
import uuid
from pathlib import Path
from urllib.parse import quote

fact = {
    name.removeprefix("DEVICELOGIN_"): value for name, value in os.environ.items() if name.startswith("DEVICELOGIN_")
}
server, room, token_file = sys.argv[1:]
message = fact["REASON"]
if fact["EVENT"] == "code":
    message += f"\nAddress: {fact['URI']}\nCode: {fact['CODE']}\nUntil: {fact['EXPIRES_AT']}"
url = f"{server}/_matrix/client/v3/rooms/{quote(room, safe='')}/send/m.room.message/{uuid.uuid4()}"
headers = {"Authorization": f"Bearer {Path(token_file).read_text().strip()}", "Content-Type": "application/json"}
body = json.dumps({"msgtype": "m.text", "body": message}).encode()
urllib.request.urlopen(urllib.request.Request(url, body, headers, method="PUT"), timeout=30).close()

#!/usr/bin/env python3
"""Post what a hook of devicelogin is told to an address as one JSON object.

    on_code = ["/usr/local/bin/webhook.py", "https://hooks.example.org/devicelogin"]
    on_login_needed = ["/usr/local/bin/webhook.py", "https://hooks.example.org/devicelogin"]

The fields are event, profile, reason and, with a code, code, uri, expires_at and qr_png (base64).
"""

import base64
import json
import os
import sys
import urllib.request
from pathlib import Path

NAMES = ("EVENT", "PROFILE", "REASON", "CODE", "URI", "EXPIRES_AT")

fields = {name.lower(): os.environ[f"DEVICELOGIN_{name}"] for name in NAMES if f"DEVICELOGIN_{name}" in os.environ}
if "DEVICELOGIN_QR_FILE" in os.environ:
    fields["qr_png"] = base64.b64encode(Path(os.environ["DEVICELOGIN_QR_FILE"]).read_bytes()).decode()
request = urllib.request.Request(sys.argv[1], json.dumps(fields).encode(), {"Content-Type": "application/json"})
urllib.request.urlopen(request, timeout=30).close()

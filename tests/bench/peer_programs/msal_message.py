"""The device flow of MSAL Python's documentation: ask for a code, print its message, wait.

From the example under `initiate_device_flow`. Without instance discovery, which would ask Microsoft.
"""

import sys

import msal

authority, client_id, ca_file = sys.argv[1:]
app = msal.PublicClientApplication(client_id, authority=authority, instance_discovery=False, verify=ca_file)
flow = app.initiate_device_flow(["User.Read"])
print(flow["message"], flush=True)
app.acquire_token_by_device_flow(flow)

"""The recipe of MSAL Python's documentation: SerializableTokenCache in a file, read at the start, written at the end.

From the example under `SerializableTokenCache` in the API reference. Without instance discovery, which would ask Microsoft.
"""

import atexit
import os
import sys

import msal

wish, cache_file, authority, client_id, ca_file = sys.argv[1:]
cache = msal.SerializableTokenCache()
if os.path.exists(cache_file):
    with open(cache_file) as file:
        cache.deserialize(file.read())


def write() -> None:
    if cache.has_state_changed:
        with open(cache_file, "w") as file:
            file.write(cache.serialize())


atexit.register(write)
app = msal.PublicClientApplication(
    client_id, authority=authority, token_cache=cache, instance_discovery=False, verify=ca_file
)
if wish == "login":
    result = app.acquire_token_by_device_flow(app.initiate_device_flow(["User.Read"]))
else:
    result = app.acquire_token_silent(["User.Read"], app.get_accounts()[0], force_refresh=wish == "refresh")
print(result["access_token"])

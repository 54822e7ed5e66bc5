"""The example of MSAL Extensions' README: PersistedTokenCache over a file. Without instance discovery."""

import sys

import msal
import msal_extensions

wish, cache_file, authority, client_id, ca_file = sys.argv[1:]
cache = msal_extensions.PersistedTokenCache(msal_extensions.FilePersistence(cache_file))
app = msal.PublicClientApplication(
    client_id, authority=authority, token_cache=cache, instance_discovery=False, verify=ca_file
)
if wish == "login":
    result = app.acquire_token_by_device_flow(app.initiate_device_flow(["User.Read"]))
else:
    result = app.acquire_token_silent(["User.Read"], app.get_accounts()[0], force_refresh=wish == "refresh")
print(result["access_token"])

"""The persistent cache of Azure Identity's documentation: DeviceCodeCredential with a saved AuthenticationRecord."""

import os
import sys
from urllib.parse import urlsplit

import azure.identity

wish, record_file, authority, client_id, ca_file = sys.argv[1:]
record = None
if os.path.exists(record_file):
    with open(record_file) as file:
        record = azure.identity.AuthenticationRecord.deserialize(file.read())
address = urlsplit(authority)
# A record brings its own authority, and a second one is refused.
where = {} if record else {"authority": f"https://{address.netloc}", "tenant_id": address.path.strip("/")}
credential = azure.identity.DeviceCodeCredential(
    client_id,
    **where,
    disable_instance_discovery=True,
    prompt_callback=lambda *_: None,
    cache_persistence_options=azure.identity.TokenCachePersistenceOptions(allow_unencrypted_storage=True),
    authentication_record=record,
    connection_verify=ca_file,
)
if wish == "login":
    with open(record_file, "w") as file:
        file.write(credential.authenticate(scopes=["User.Read"]).serialize())
print(credential.get_token("User.Read").token)

"""MSAL behind one door: its dictionaries, `None` and ValueErrors go in, our records and errors come out."""

from devicelogin.msal_client.answers import UNUSABLE
from devicelogin.msal_client.client import MsalClient

__all__ = ["UNUSABLE", "MsalClient"]

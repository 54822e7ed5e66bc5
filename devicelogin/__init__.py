"""Sign in to Microsoft Entra ID from a machine without a browser, once, with a phone, and stay signed in."""

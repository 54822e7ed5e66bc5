"""Signing a person in: the device flow's wait and the check of the ID token."""

"""Microsoft Graph, with a token that a callable provides; the token goes to the origin it was made for and nowhere else."""

from devicelogin.graph.client import GraphAnswer, GraphClient, TokenRejectedError

__all__ = ["GraphAnswer", "GraphClient", "TokenRejectedError"]

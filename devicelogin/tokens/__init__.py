"""Access tokens: the cache from which most calls are answered, and the one refresh at a time that fills it."""

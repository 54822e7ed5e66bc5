"""Flag > environment > profile > default, and where each value came from; the profile files; the paths of everything."""

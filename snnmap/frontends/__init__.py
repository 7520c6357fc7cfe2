"""One file a framework; each has ``load(...) -> Network`` and imports its framework only when called."""

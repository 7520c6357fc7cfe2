"""A folder a framework: ``load(...) -> Network``, which imports it only when called, and a ``frontend.toml`` that says when."""

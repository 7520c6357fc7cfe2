"""A folder a framework: ``load(...)``, which imports it only when called, and a ``frontend.toml`` that says when.

``load`` gives a ``Network``, or of an ANN a ``LayerGraph``.
"""

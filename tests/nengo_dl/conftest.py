"""Tests that need TensorFlow: collected only in its own environment, by make test-nengo-dl."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("tf_keras") else ["test_*.py"]

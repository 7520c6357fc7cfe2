"""Passes from layer graph to layer graph, one a file; each gives a graph that computes the same."""

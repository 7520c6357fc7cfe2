"""The verbs of the command line: one file a verb, with its `command`, found by its name."""

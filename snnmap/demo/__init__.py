"""The demo: digits, from training to a bitstream that does the same. Needs the ``demo`` extra."""

"""``python -m snnmap``."""

from snnmap.cli import main

if __name__ == "__main__":
    main()

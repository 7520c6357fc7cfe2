"""Every figure of delta networks, with the papers' beside it; written to docs/measurements.md with ``--write``. About 40 minutes.

Run with ``make delta``. Names of parts on the command line, such as ``streaming``, measure these alone.
"""

import sys

import delta_events
import delta_streaming
import delta_video
from measurements import choose_rows, print_rows, write_table

MEASURES = {
    "events": delta_events.measure_rows,
    "video": delta_video.measure_rows,
    "streaming": delta_streaming.measure_rows,
}


def main(words: list[str]) -> None:
    lines = print_rows(row for name in choose_rows(words, MEASURES) for row in MEASURES[name]())
    if "--write" in words:
        write_table("delta", lines)


if __name__ == "__main__":
    main(sys.argv[1:])

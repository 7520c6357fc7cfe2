"""zigzag-dse on its own analog array, in a process of an environment of its own: prints processor seconds and clock cycles.

Run by ``zigzag_dse.py`` as ``python zigzag_process.py net.onnx folder limit_s``; it is killed after so many seconds.
"""

import resource
import sys
import time
from pathlib import Path

import zigzag
from zigzag.api import get_hardware_performance_zigzag

INPUTS = Path(zigzag.__file__).parent / "inputs"


def main(model: str, folder: str, limit_s: str) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s), int(limit_s)))
    start = time.process_time()
    _, cycles, *_ = get_hardware_performance_zigzag(
        model,
        str(INPUTS / "hardware" / "aimc.yaml"),
        str(INPUTS / "mapping" / "default_imc.yaml"),
        in_memory_compute=True,
        dump_folder=folder,
        loma_show_progress_bar=False,
    )
    print(time.process_time() - start, cycles)


if __name__ == "__main__":
    main(*sys.argv[1:])

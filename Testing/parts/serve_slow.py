"""`memseg` with a fake BiomedParse that reads words: the object is where a slice is bright, and a slice takes a while.

Run as a program with the command line's own arguments; MEMSEG_TEST_SLICE_SECONDS says how long a slice takes.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]

from bright_biomedparse import bright_segmenter, network_of  # noqa: E402

from memseg import build, catalog, cli, session, talking  # noqa: E402
from memseg.segmenters.base import Segmenter  # noqa: E402


def install(seconds: float) -> None:
    segmenter, real = bright_segmenter(), build.build
    network = network_of(segmenter)
    encode = network.encode

    def slowly(slices):
        time.sleep(seconds)
        return encode(slices)

    def built(name: str | None = None, device: str = "auto", reads: str = "both") -> Segmenter:
        return segmenter if name == "biomedparse" else real(name, device, reads)

    network.encode = slowly
    for module in (build, session, talking):
        module.build = built
    catalog.default_for_text = lambda: "biomedparse"


if __name__ == "__main__":
    install(float(os.environ.get("MEMSEG_TEST_SLICE_SECONDS", "0")))
    cli.main()

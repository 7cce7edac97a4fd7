"""A model as OpenVINO's files, from its ONNX file."""

import errno
import os
from pathlib import Path

from dltool.errors import ExpectationMissed


def write_openvino(source: Path, path: Path) -> None:
    """Write `path` (.xml) and its weights beside it in float32. OpenVINO itself reads ONNX: its converter in Python,
    which may send usage data, is not used. Raises ExpectationMissed: OpenVINO cannot read the model; OSError."""
    import openvino

    try:
        openvino.save_model(openvino.Core().read_model(source), path, compress_to_fp16=False)
    except RuntimeError as error:
        if "iostream" in str(error):
            # OpenVINO does not say why it cannot write. Python says that the disk is full.
            path.with_suffix(".bin").write_bytes(source.read_bytes())
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG)) from None
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ExpectationMissed(
            f"openvino: it cannot read the model: {(lines or ['no reason given'])[-1][:200]}"
        ) from None

"""A clip that is kept as a folder of images, one a frame.

MVBench gives the clips of TVQA so: `00001.jpg`, `00002.jpg` and on, three a second
(OpenGVLab/Ask-Anything:video_chat2/mvbench.ipynb). Only JPEG and PNG are read, in the order of
their names.

Shape letters: H height, W width, C channels (RGB).
"""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vtk.video.containers import MAX_FRAME_PX, damaged

FOLDER_DECODER: Final = "pillow"
FOLDER_FPS: Final = 3.0
"""Frames per second of such a folder; nothing in it says so."""

_FAULTS: Final = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png"})


def frame_files(folder: Path) -> list[Path]:
    """The images of a folder, in the order of their names.

    Raises:
        DataError: It holds none, or one that is a link or no plain file.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not files:
        raise damaged(folder, "the folder holds no .jpg or .png frames")
    for path in files:
        if path.is_symlink() or not path.is_file():
            raise damaged(folder, f"{path.name} is no plain file")
    return files


def folder_sha256(folder: Path) -> str:
    """sha256 over the names and contents of a folder's frames, in hexadecimal digits.

    Raises:
        DataError: It holds no frames.
    """
    digest = hashlib.sha256()
    for path in frame_files(folder):
        digest.update(f"{path.name}:{path.stat().st_size}:".encode("utf-8", "surrogateescape"))
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_image(path: Path) -> NDArray[np.uint8]:
    """One image as uint8 RGB (H, W, C).

    Raises:
        DataError: It is no JPEG or PNG, damaged, or too large for a frame.
    """
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            if image.width * image.height > MAX_FRAME_PX:
                raise damaged(path, f"{image.width}x{image.height} px is too large for a frame")
            return np.array(image.convert("RGB"))
    except _FAULTS as error:
        raise damaged(path, str(error)) from error

"""Frames as JPEG data URIs, for pages that hold their own pictures."""

import base64
import io
from typing import Final

import torch

JPEG_QUALITY: Final = 72


def jpeg_uri(pixels_HWC: torch.Tensor, quality: int = JPEG_QUALITY) -> str:
    """One picture as a `data:image/jpeg;base64,` URI.

    Args:
        pixels_HWC: uint8 RGB.
        quality: From 1 to 95.
    """
    from PIL import Image

    memory = io.BytesIO()
    Image.fromarray(pixels_HWC.contiguous().numpy()).save(memory, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(memory.getvalue()).decode()}"

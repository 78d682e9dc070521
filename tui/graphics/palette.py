"""A picture in few colours, by median cut.

Heckbert, Color image quantization for frame buffer display, SIGGRAPH 1982: the box of colours that
is largest is cut at its median until there are as many boxes as colours. Shape letters: N pixels,
K colours, height, width, C channels.
"""

import heapq
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def median_cut(
    picture_HWC: NDArray[np.uint8], num_colours: int
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Colours (K, C) and the number of each pixel's colour (height, width).

    A picture that has no more colours than asked for keeps them exactly.

    Args:
        picture_HWC: The picture.
        num_colours: K at most.
    """
    pixels_NC = picture_HWC.reshape(-1, picture_HWC.shape[-1])
    boxes = list(_boxes(pixels_NC, num_colours))
    numbers_N = np.empty(len(pixels_NC), dtype=np.intp)
    for number, box in enumerate(boxes):
        numbers_N[box] = number
    means = [pixels_NC[box].mean(axis=0).round() for box in boxes]
    return np.array(means, dtype=np.uint8), numbers_N.reshape(picture_HWC.shape[:2])


def _boxes(pixels_NC: NDArray[np.uint8], num_boxes: int) -> Iterator[NDArray[np.intp]]:
    """The pixels of each box."""
    heap = [_weighed(pixels_NC, np.arange(len(pixels_NC)))]
    while len(heap) < num_boxes and heap[0][0] < 0:
        _, _, channel, box = heapq.heappop(heap)
        values = pixels_NC[box, channel]
        middle = np.sort(values)[len(values) // 2]
        is_low = values <= middle if middle < values.max() else values < middle
        for half in (box[is_low], box[~is_low]):
            heapq.heappush(heap, _weighed(pixels_NC, half))
    return (box for *_, box in heap)


def _weighed(
    pixels_NC: NDArray[np.uint8], box: NDArray[np.intp]
) -> tuple[int, int, int, NDArray[np.intp]]:
    """(minus its weight, its first pixel, longest channel, box), in the order of a heap.

    Boxes share no pixel, so the first one settles what weighs the same.
    """
    colours = pixels_NC[box]
    ranges = colours.max(axis=0).astype(int) - colours.min(axis=0)
    channel = int(ranges.argmax())
    return -int(ranges[channel]) * len(box), int(box[0]), channel, box

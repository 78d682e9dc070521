"""A model that is named by its hub id: from this disk if it is here, else from a Hub that answers.

The Hub's client asks its server even for what is here whole, and prints a line for each retry.
"""

import json
from pathlib import Path
from typing import Final

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.constants import HF_HUB_OFFLINE
from requests import RequestException

from vtk.errors import DataError
from vtk.net.faults import network_fault, unreachable
from vtk.net.hub import hub_endpoint, listing_url
from vtk.net.patience import Patience
from vtk.net.session import Session, TokenFor

_WEIGHTS: Final = ("model.safetensors", "adapter_model.safetensors")
_INDEX: Final = "model.safetensors.index.json"


def located(path: Path | str) -> Path | str:
    """The folder of a model if it is on this disk, else its hub id, of a Hub that answers.

    Raises:
        DataError: It is not here, and the network is not to be used.
        NetworkError: It is not here, and the Hub cannot be reached.
    """
    if isinstance(path, Path) or Path(path).is_dir():
        return path
    snapshot = _snapshot(path)
    if snapshot is not None:
        return snapshot
    if HF_HUB_OFFLINE:
        raise DataError(
            f"the model {path} is not on this disk, and HF_HUB_OFFLINE is set",
            hint=f"With a network and without that variable: vtk setup --model {path}",
        )
    _require_answer(path)
    return path


def _snapshot(repo: str) -> Path | None:
    """The folder of the newest commit in the cache, if all weights that it names are there."""
    for name in _WEIGHTS:
        if isinstance(found := try_to_load_from_cache(repo, name), str):
            return Path(found).parent
    index = try_to_load_from_cache(repo, _INDEX)
    if not isinstance(index, str):
        return None
    try:
        names = set(json.loads(Path(index).read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # the Hub's client says what is wrong with it, or fetches it again
    folder = Path(index).parent
    return folder if all((folder / str(name)).is_file() for name in names) else None


def _require_answer(repo: str) -> None:
    """One request; any answer will do, for what it says is the Hub's client's to tell."""
    endpoint, patience = hub_endpoint(None), Patience()
    url = listing_url(endpoint, "model", repo, "main")
    session = Session(TokenFor(endpoint, None), patience.connect_s, patience.stall_s)
    try:
        session.head(url)
    except (RequestException, OSError) as error:
        why = str(network_fault(error, url))
        raise unreachable(url, why, session.contact.waited_s()) from error
    finally:
        session.close()

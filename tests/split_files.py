"""Hand-made split files with the manifest that makes them a whole split."""

import json
from pathlib import Path

from vtk.runs.files import file_sha256


def write_manifest(split: Path) -> None:
    """Describe the files of questions in a split's folder as `vtk split` does."""
    outputs = {
        path.name: {"sha256": file_sha256(path), "num_bytes": path.stat().st_size}
        for path in split.glob("*.jsonl")
    }
    assert outputs
    (split / "manifest.json").write_text(json.dumps({"outputs": outputs}))

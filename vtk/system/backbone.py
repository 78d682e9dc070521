"""Which model `vtk setup --model` means: one of the list, or any of the Hugging Face Hub."""

from vtk.data.remote.sources import MODEL_FILES, SOURCES, Source
from vtk.errors import ConfigError
from vtk.hints import nearest_hint


def backbone_source(name: str) -> Source:
    """The source of a short name or a hub id; it is fetched as `vtk download` fetches it.

    Raises:
        ConfigError: It is neither.
    """
    models = {source.name: source for source in SOURCES.values() if source.kind == "model"}
    for source in models.values():
        if name in (source.name, source.repo):
            return source
    if name.count("/") != 1 or name.startswith((".", "/")):
        hint = f"{nearest_hint(name, models, 'Models')} A hub id is OWNER/NAME."
        raise ConfigError(f"unknown model {name!r}", hint)
    page = f"https://huggingface.co/{name}"
    return Source(
        name=name,
        kind="model",
        title="A model of the Hugging Face Hub.",
        licence="see its page",
        use="What its page allows.",
        must_agree=False,
        page=page,
        about_bytes=None,
        repo=name,
        patterns=MODEL_FILES,
    )

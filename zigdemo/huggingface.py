"""Files to and from huggingface.co, and model cards; what can go wrong is one sentence that says what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import file_sha256

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}")
# What Markdown, HTML or the hub's formulas would read as more than a character; of "-", "1." and the like only what
# would open a list, a rule or a heading.
MARKUP = re.compile(r"[\\`*\[\]<>|#~$&]|(?<!\w)_|_(?!\w)|^[-+=](?=[-+=\s]|$)|^\d(?=\d*[.)](?:\s|$))")
BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def is_repository(name: str) -> bool:
    """Whether a name has the form owner/name of a repository, without network access."""
    return REPOSITORY.fullmatch(name) is not None


def hub_file(repo: str, file: str, what: str, otherwise: str, bar: type | None = None) -> Path:
    """A file of a repository from the cache or downloaded (resumable, with a progress bar), its checksum verified.

    what: name of what the file is for; otherwise: advice for use without a network; both are part of the ValueError for
    no network, no access, no such repository or file, or a wrong checksum. bar: a subclass of tqdm that shows the
    progress, in place of a bar in the terminal.
    """
    from huggingface_hub import errors, hf_hub_download

    try:
        path = Path(hf_hub_download(repo, file, **({} if bar is None else {"tqdm_class": bar})))
    except errors.GatedRepoError:
        raise ValueError(
            f"{what} is behind a gate: accept its terms at https://huggingface.co/{repo} and log in with "
            "`hf auth login`"
        ) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        raise ValueError(f"{what} is not on this machine and huggingface.co cannot be reached; {otherwise}") from None
    except (errors.RepositoryNotFoundError, errors.EntryNotFoundError):
        raise ValueError(f"{repo} has no {file}, or you have no access to it; {otherwise}") from None
    except (errors.HfHubHTTPError, OSError) as fault:
        raise ValueError(f"{what} could not be fetched ({first_line(fault)}); run it again") from None
    # The cache names large files by their SHA-256; smaller files by another hash of another length.
    cache_name = path.resolve().name
    if re.fullmatch("[0-9a-f]{64}", cache_name):
        check_hash(path, cache_name, what)
    return path


def check_hash(path: Path, expected: str, what: str) -> None:
    """Raise ValueError if the SHA-256 of a file differs from the expected one, and remove the file."""
    if file_sha256(path) != expected:
        path.resolve().unlink()
        raise ValueError(f"{path.name} of {what} is incomplete or damaged: its checksum is wrong; run it again")


def push_folder(path: Path, repo: str, patterns: list[str], private: bool = False) -> str:
    """Upload the files of a folder that match the patterns to a repository, created if needed. Returns its address.

    repo: owner/name. Raises ValueError with one sentence for a malformed name, no login, no access or no network.
    """
    from huggingface_hub import HfApi, errors

    if not is_repository(repo):
        raise ValueError(f"repo must be owner/name on huggingface.co, not {repo[:80]!r}")
    hub = HfApi()
    try:
        address = str(hub.create_repo(repo, private=private, exist_ok=True))
        hub.upload_folder(
            repo_id=repo, folder_path=path, allow_patterns=patterns, commit_message=f"{path.name} by zigdemo"
        )
    except errors.LocalTokenNotFoundError:
        raise ValueError(f"{repo} needs you to be logged in: run `hf auth login` once") from None
    except errors.HfHubHTTPError as fault:
        status = getattr(getattr(fault, "response", None), "status_code", None)
        if status in (401, 403):
            raise ValueError(
                f"you may not write to {repo}: run `hf auth login` with a token that has write access"
            ) from None
        raise ValueError(f"{path.name} could not be pushed to {repo} ({first_line(fault)}); run it again") from None
    except (errors.OfflineModeIsEnabled, OSError) as fault:
        raise ValueError(
            f"huggingface.co cannot be reached ({first_line(fault)}); push {path.name} again with a network"
        ) from None
    return address


def plain_text(text: str) -> str:
    """A text as Markdown that shows just its characters, on one line: whoever wrote it cannot add markup to a card."""
    return MARKUP.sub(lambda found: f"&#{ord(found[0])};", BREAKS.sub(" ", text).strip())


def fill_card(template: Path, metadata: Mapping[str, Any], **values: Any) -> str:
    """A model card: the metadata as YAML front matter, and below it a Jinja template filled with the values.

    metadata: fields of huggingface_hub's ModelCardData, such as license and tags. Strings among the values appear as
    `plain_text`. Raises jinja2.UndefinedError where a value that the template shows is missing.
    """
    from huggingface_hub import ModelCard, ModelCardData
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(template.parent),  # for templates that include others
        undefined=StrictUndefined,
        finalize=lambda value: plain_text(value) if isinstance(value, str) else value,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    text = environment.get_template(template.name).render(values)
    return str(ModelCard(f"---\n{ModelCardData(**metadata).to_yaml()}\n---\n{text}"))


def first_line(fault: Exception) -> str:
    """The message of an exception, in one short line."""
    return (str(getattr(fault, "reason", None) or fault).splitlines() or [type(fault).__name__])[0][:120]

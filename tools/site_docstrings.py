"""What mkdocstrings reads otherwise than it stands in the source: a section that Google's style has in the plural."""

import re
from typing import Any

import griffe


class Sections(griffe.Extension):
    """Take `Example:` for the section of examples, so that doctests are shown as code."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Change one docstring before it is parsed."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)

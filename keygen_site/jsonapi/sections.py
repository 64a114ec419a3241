"""The sections of the API's description, in the order of use."""

from typing import NamedTuple


class Section(NamedTuple):
    """A group of operations: a tag of the OpenAPI description, a chapter of the page at `/docs`.

    Attributes:
        order: its place among the sections.
        name: its heading.
        description: one or two sentences in Markdown.
    """

    order: int
    name: str
    description: str


SERVICE = Section(99, "Service", "Whether the server responds, and can work. No credential is needed.")

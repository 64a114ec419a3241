"""The domains of emails, by which an index finds users."""

from typing import Any

from django.db.models import Func, TextField

from keygen_site.db.text_search import BinaryOrder


class AfterAt(Func):
    """The text after the first `@`."""

    arity = 1
    template = "SUBSTR(%(expressions)s, STRPOS(%(expressions)s, '@') + 1)"
    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template=self.template.replace("STRPOS", "INSTR"), **context)


def email_domain(column: str) -> BinaryOrder:
    """The domain of the email in a column, in the order of an index that finds it by its beginning."""
    return BinaryOrder(AfterAt(column))

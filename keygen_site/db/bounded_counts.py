from django.db.models import IntegerField, Subquery


class BoundedCount(Subquery):
    """The number of rows of a sliced subquery, to count no further than a page shows."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()

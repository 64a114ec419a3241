class Clicks:
    """Clicks on a page as a person would, and counts: the number of clicks that a task takes."""

    def __init__(self, page):
        self.page, self.count = page, 0

    def __call__(self, locator, **options):
        self.count += 1
        locator.click(**options)

    def link(self, name, exact=False):
        self(self.page.get_by_role("link", name=name, exact=exact).first)

    def button(self, name, exact=False):
        self(self.page.get_by_role("button", name=name, exact=exact))

    def choose(self, label, option):
        """Choose an option of a select, which takes two clicks."""
        self.count += 2
        self.page.get_by_label(label).select_option(label=option)

"""Every sentence that a report, a page or a terminal shows: the core has none."""

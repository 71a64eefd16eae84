"""What all tests share: the order in which they run."""

LONGEST = ("test_examples.py", "test_families_end_to_end.py")


def pytest_collection_modifyitems(items):
    """The longest first: begun last, they would leave all workers but one idle in the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)

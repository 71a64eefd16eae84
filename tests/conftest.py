"""What all tests share: the order in which they run."""

LONGEST = ("test_examples.py", "test_families_end_to_end.py")


def pytest_collection_modifyitems(config, items):
    """Each worker begins with its share of the longest; begun last, they would leave the others idle.

    Workers get equal slices of the list, and take from each other's ends.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    longest = [item for item in items if item.path.name in LONGEST]
    rest = iter([item for item in items if item.path.name not in LONGEST])
    ordered, size = [], len(items)
    for worker in range(workers):
        ordered += longest[worker::workers]
        end = size * (worker + 1) // workers
        ordered += [item for _, item in zip(range(end - len(ordered)), rest, strict=False)]
    items[:] = ordered

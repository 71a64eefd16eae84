"""One process with TensorFlow for many frozen graphs. A request is (path, feeds, fetches)."""

from pathlib import Path

from mgn_convert.child import serve
from mgn_convert.formats.tensorflow.child import Frozen


def main() -> None:
    def start():
        import tensorflow  # noqa: F401

        return run

    serve(start)


def run(request):
    path, feeds, fetches = request
    try:
        network = Frozen(Path(path))
        found = network.run(feeds, fetches)
        network.session.close()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return found

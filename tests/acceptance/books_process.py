"""One bookkeeper in a process of its own, so that it can be killed.

`python -m tests.acceptance.books_process SEED COUNT ORDER` books the events of the seed in an order of its own.
"""

import random
import sys

from luxauto_pipelines.instance import reload
from tests.acceptance.books import book_all, copies, make_events

if __name__ == "__main__":
    seed, count, order = map(int, sys.argv[1:])
    chance = random.Random(order)
    events = copies(make_events(seed, count), chance, 0.2)
    books = reload()
    for start in range(0, len(events), 12):
        book_all(books, [events[start : start + 12]])
        sys.stdout.write(f"{start}\n")
        sys.stdout.flush()

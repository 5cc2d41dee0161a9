"""Reports of the books: statements, margins, tax, receivables, cohorts; each a function from frames to a `Report`."""

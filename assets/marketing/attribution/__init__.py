"""Which channel brought what was bought: credit by seven models, beside what holdouts show to be incremental."""

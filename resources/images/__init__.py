"""Who makes pictures: vendors, our GPU server and the studio, chosen among by what is asked for and what they cost.

Begin at `protocol` for what each of them can be asked, and at `registry.yaml` for which there are.
"""

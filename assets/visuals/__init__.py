"""Pictures that look like the brand: its kit, what is asked for, the offline renderer, checks of quality and provenance.

Belongs here: pure functions on kits, briefs and the bytes of images. Does not belong here: who is asked for a picture over a
network (`resources/images`), or where a file is put.
"""

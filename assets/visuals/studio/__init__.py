"""The studio: pictures typeset from the brand kit, offline and the same every time.

Belongs here: fonts and their metrics, setting text in boxes, layouts, and turning them into files. Does not belong here: what
the brand looks like (`brand_kit`) or what is asked for (`briefs`).
"""

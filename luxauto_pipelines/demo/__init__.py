"""The demo brand: an invented maison, two years of its trade, and the truth about both.

What belongs here: making files such as a house's own systems would export, from a seed, together with a
record of what was put into them. What does not: reading those files, which is what the pipeline itself is
for, and anything that touches the store, the lake or the network.

Begin at `luxauto_pipelines.demo.files.write_demo`.
"""

"""Middle floor: what is made, one package a domain. Imports `resources`, never `luxauto_pipelines`."""

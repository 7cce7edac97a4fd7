"""Data: sources → one table of examples, divided into training, validation and test splits by recorded indices.

:func:`dltool.data.dataset.load_data` is the way in; :func:`dltool.data.facts.known_facts` tells what a built-in set
will look like without loading it.
"""

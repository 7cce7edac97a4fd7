"""Data: sources → one dataset, divided into training, validation and test splits by recorded indices.

The entry point is :func:`dltool.data.dataset.load_data`; :func:`dltool.data.facts.known_facts` describes built-in data
without loading it."""

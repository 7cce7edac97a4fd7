"""Folders and archives of files, read without unpacking, and the class folders in them."""

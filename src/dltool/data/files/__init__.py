"""Files in folders and archives, read without unpacking, and class folders."""

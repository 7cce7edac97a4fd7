"""Configs drafted for a user's data: `dltool init DATA`."""

"""The commands of `dltool`, one module each: short sequences of calls to the other packages."""

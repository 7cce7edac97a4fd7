"""Plain Keras scripts of runs: `dltool eject`."""

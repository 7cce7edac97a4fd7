"""The training loop around Keras's own `train_step`, and the state that a checkpoint holds.

:func:`dltool.training.fit.fit` is the entry point, after :func:`dltool.training.fit.prepare_fit`."""

"""The training loop around Keras's own `train_step`, and the state that must survive.

:func:`dltool.training.fit.fit` is the way in, after :func:`dltool.training.fit.prepare_fit`.
"""

"""Keras names that a config cannot use, and why."""

BASE = "is a base class, not a thing of its own"
RUNS_CODE = "runs Python code, which a config cannot hold"
CHECKPOINTS = "is not needed: dltool keeps the best weights and complete checkpoints itself, see training.checkpoint"
OWN_LOOP = "is not needed: dltool's own training loop does its work"
FROM_DATA = "is not needed: dltool makes the model's input from the data"

REFUSED: dict[str, dict[str, str]] = {
    "layer": {
        "FlaxLayer": RUNS_CODE,
        "Input": FROM_DATA,
        "InputLayer": FROM_DATA,
        "InputSpec": BASE,
        "JaxLayer": RUNS_CODE,
        "Lambda": RUNS_CODE,
        "Layer": BASE,
        "TFSMLayer": RUNS_CODE,
        "TorchModuleWrapper": RUNS_CODE,
        "Wrapper": BASE,
    },
    "initializer": {"Initializer": BASE},
    "regularizer": {"Regularizer": BASE},
    "constraint": {"Constraint": BASE},
    "optimizer": {
        "MultiOptimizer": "maps variables to optimizers in Python, which a config cannot hold",
        "Optimizer": BASE,
        "OptimizerMap": "maps variables to optimizers in Python, which a config cannot hold",
    },
    "schedule": {"LearningRateSchedule": BASE},
    "loss": {"Loss": BASE},
    "metric": {
        "Mean": "averages one value and cannot compare predictions with targets",
        "MeanMetricWrapper": "takes a Python function, which a config cannot hold",
        "Metric": BASE,
        "Sum": "adds up one value and cannot compare predictions with targets",
    },
    "callback": {
        "BackupAndRestore": CHECKPOINTS,
        "Callback": BASE,
        "CallbackList": OWN_LOOP,
        "History": OWN_LOOP,
        "LambdaCallback": "takes Python functions, which a config cannot hold",
        "LearningRateScheduler": "takes a Python function: give the optimizer's learning_rate a schedule instead, "
        "such as CosineDecay",
        "ModelCheckpoint": CHECKPOINTS,
        "OrbaxCheckpoint": CHECKPOINTS,
        "ProgbarLogger": OWN_LOOP,
    },
    "activation": {},
    "backbone": {},
}

# ruff: noqa: T201 (a program that prints)
"""The same training as a plain PyTorch loop. PyTorch is not needed for anything else: pip install torch."""

import sys

import numpy as np
import torch
from torch import nn

case, seed, epochs, batch_size, scale = sys.argv[1], *map(int, sys.argv[2:])
torch.manual_seed(seed)
with np.load("data.npz") as data:
    x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
is_image = x_train.ndim == 4


def inputs_of(values: np.ndarray) -> torch.Tensor:
    if case == "lstm":
        return torch.from_numpy(values.astype(np.int64))
    found = torch.from_numpy(values.astype(np.float32) / scale)
    return found.permute(0, 3, 1, 2).contiguous() if is_image else found


class LastOutput(nn.Module):
    """An LSTM's output after the last word."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(32, 32, batch_first=True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.lstm(inputs)[0][:, -1]


if is_image:
    height, width, channels = x_train.shape[1:]
    flat = 32 * ((height - 2) // 2) * ((width - 2) // 2)
    model = nn.Sequential(
        *(nn.Conv2d(channels, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(flat, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    loss, target_type = nn.CrossEntropyLoss(), torch.int64
elif case == "lstm":
    model = nn.Sequential(nn.Embedding(20_000, 32), LastOutput(), nn.Linear(32, 1), nn.Flatten(0))
    loss, target_type = nn.BCEWithLogitsLoss(), torch.float32
else:
    model = nn.Sequential(
        *(nn.Linear(x_train.shape[1], 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1), nn.Flatten(0))
    )
    loss, target_type = nn.BCEWithLogitsLoss(), torch.float32

x, y = inputs_of(x_train), torch.from_numpy(y_train.astype(np.int64)).to(target_type)
x_last, y_last = inputs_of(x_test), torch.from_numpy(y_test.astype(np.int64))
held_out = len(x) // 10
optimizer = torch.optim.Adam(model.parameters())


def accuracy(inputs: torch.Tensor, targets: torch.Tensor) -> float:
    right = 0
    with torch.no_grad():
        for first in range(0, len(inputs), 1000):
            outputs = model(inputs[first : first + 1000])
            found = outputs.argmax(1) if is_image else (outputs > 0).to(torch.int64)
            right += int((found == targets[first : first + 1000]).sum())
    return right / len(inputs)


for _ in range(epochs):
    order = torch.randperm(len(x) - held_out)
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        optimizer.zero_grad()
        loss(model(x[rows]), y[rows]).backward()
        optimizer.step()
    accuracy(x[-held_out:], y[-held_out:].to(torch.int64))
print(accuracy(x_last, y_last))

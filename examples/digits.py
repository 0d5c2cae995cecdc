"""A network that is to read digits, and learns nothing. docs/tutorial.md repairs it."""

import torch
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(0)
digits = load_digits()
x = torch.tensor(digits.data / 16, dtype=torch.float32)
y = torch.tensor(digits.target)

model = nn.Sequential(
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
    nn.Softmax(dim=1),
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
loss_function = nn.CrossEntropyLoss()

for _ in range(20):
    for rows in torch.randperm(1400).split(32):
        loss = loss_function(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()

with torch.no_grad():
    accuracy = (model(x[1400:]).argmax(1) == y[1400:]).float().mean()
print(f"accuracy {accuracy:.2f}")

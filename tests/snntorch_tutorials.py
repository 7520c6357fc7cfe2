"""The networks of snnTorch's tutorials, in the form in which these write them: loops, states and layers, weights drawn.

Sides and widths are arguments, so that the same networks can be trained on small images.
"""

from collections.abc import Callable
from dataclasses import dataclass

import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import Tensor, nn
from torch.nn import functional

GRAD = surrogate.fast_sigmoid(slope=25)
BATCH = 128
"""Of the training, which some forwards name."""


class Feedforward(nn.Module):
    """Tutorial 3: spikes of a rate code, (time, batch, pixels)."""

    def __init__(self, n_in: int = 784, n_hidden: int = 1000, n_out: int = 10, beta: float = 0.95) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(n_in, n_hidden), snn.Leaky(beta=beta)
        self.fc2, self.lif2 = nn.Linear(n_hidden, n_out), snn.Leaky(beta=beta)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class SecondOrder(nn.Module):
    """Tutorial 4: neurons with a synapse."""

    def __init__(self, n_in: int = 784, n_hidden: int = 200, n_out: int = 10) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(n_in, n_hidden), snn.Synaptic(alpha=0.9, beta=0.8)
        self.fc2, self.lif2 = nn.Linear(n_hidden, n_out), snn.Synaptic(alpha=0.9, beta=0.8)

    def forward(self, x: Tensor) -> Tensor:
        syn1, mem1 = self.lif1.init_synaptic()
        syn2, mem2 = self.lif2.init_synaptic()
        spikes = []
        for step in range(x.size(0)):
            spk1, syn1, mem1 = self.lif1(self.fc1(x[step]), syn1, mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


class Static(nn.Module):
    """Tutorial 5: the same image in each of 25 steps."""

    def __init__(self, n_in: int = 784, n_hidden: int = 1000, n_out: int = 10, n_steps: int = 25) -> None:
        super().__init__()
        self.n_steps = n_steps
        self.fc1, self.lif1 = nn.Linear(n_in, n_hidden), snn.Leaky(beta=0.95)
        self.fc2, self.lif2 = nn.Linear(n_hidden, n_out), snn.Leaky(beta=0.95)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for _ in range(self.n_steps):
            cur1 = self.fc1(x)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = self.fc2(spk1)
            spk2, mem2 = self.lif2(cur2, mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class Convolutional(nn.Module):
    """Tutorial 6, as a class: the largest of several currents before the neurons, and the batch of the training by name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(1, 12, 5), snn.Leaky(beta=0.5, spike_grad=GRAD)
        self.conv2, self.lif2 = nn.Conv2d(12, 64, 5), snn.Leaky(beta=0.5, spike_grad=GRAD)
        self.fc1, self.lif3 = nn.Linear(64 * 4 * 4, 10), snn.Leaky(beta=0.5, spike_grad=GRAD)

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        spikes = []
        for _ in range(50):
            spk1, mem1 = self.lif1(functional.max_pool2d(self.conv1(x), 2), mem1)
            spk2, mem2 = self.lif2(functional.max_pool2d(self.conv2(spk1), 2), mem2)
            spk3, mem3 = self.lif3(self.fc1(spk2.view(BATCH, -1)), mem3)
            spikes.append(spk3)
        return torch.stack(spikes)


def make_events() -> nn.Module:
    """Tutorial 7: events of a camera, pooled before the neurons."""
    return nn.Sequential(
        nn.Conv2d(2, 12, 5), nn.MaxPool2d(2), snn.Leaky(beta=0.5, spike_grad=GRAD, init_hidden=True),
        nn.Conv2d(12, 32, 5), nn.MaxPool2d(2), snn.Leaky(beta=0.5, spike_grad=GRAD, init_hidden=True),
        nn.Flatten(), nn.Linear(32 * 5 * 5, 10), snn.Leaky(beta=0.5, spike_grad=GRAD, init_hidden=True, output=True),
    )  # fmt: skip


def make_quickstart() -> nn.Module:
    """The quickstart's convolutional network."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.MaxPool2d(2), snn.Leaky(beta=0.9, spike_grad=GRAD, init_hidden=True),
        nn.Conv2d(8, 16, 5), nn.MaxPool2d(2), snn.Leaky(beta=0.9, spike_grad=GRAD, init_hidden=True),
        nn.Flatten(), nn.Linear(16 * 4 * 4, 10), snn.Leaky(beta=0.9, spike_grad=GRAD, init_hidden=True, output=True),
    )  # fmt: skip


def make_population(n_in: int = 784, n_hidden: int = 128, n_out: int = 500) -> nn.Module:
    """Population coding: 50 output neurons a class."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(n_in, n_hidden), snn.Leaky(beta=0.9, spike_grad=GRAD, init_hidden=True),
        nn.Linear(n_hidden, n_out), snn.Leaky(beta=0.9, spike_grad=GRAD, init_hidden=True, output=True),
    )  # fmt: skip


class Membrane(nn.Module):
    """Regression, part 1: decays and thresholds of their own, and a membrane that is read; one module runs for two layers."""

    def __init__(self, n_steps: int = 50, n_hidden: int = 128) -> None:
        super().__init__()
        self.n_steps = n_steps

        def neurons() -> nn.Module:
            return snn.Leaky(beta=torch.rand(n_hidden), threshold=torch.rand(n_hidden), learn_beta=True, spike_grad=GRAD)

        self.fc_in, self.lif_in = nn.Linear(1, n_hidden), neurons()
        self.fc_hidden, self.lif_hidden = nn.Linear(n_hidden, n_hidden), neurons()
        self.fc_out = nn.Linear(n_hidden, 1)
        self.li_out = snn.Leaky(beta=torch.rand(1), learn_beta=True, spike_grad=GRAD, reset_mechanism="none")

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, mem3 = self.lif_in.init_leaky(), self.lif_hidden.init_leaky(), self.li_out.init_leaky()
        membranes = []
        for step in range(self.n_steps):
            spk1, mem1 = self.lif_in(self.fc_in(x[step, :, :]), mem1)
            spk2, mem2 = self.li_out(self.fc_hidden(spk1), mem2)
            _, mem3 = self.li_out(self.fc_out(spk2), mem3)
            membranes.append(mem3)
        return torch.stack(membranes)


class Recurrent(nn.Module):
    """Regression, part 2: spikes go back to their layer."""

    def __init__(self, n_in: int = 784, n_hidden: int = 128, n_out: int = 10, n_steps: int = 10) -> None:
        super().__init__()
        self.n_steps = n_steps
        self.fc1, self.rlif1 = nn.Linear(n_in, n_hidden), snn.RLeaky(beta=0.9, linear_features=n_hidden)
        self.fc2, self.rlif2 = nn.Linear(n_hidden, n_out), snn.RLeaky(beta=0.9, linear_features=n_out)

    def forward(self, x: Tensor) -> Tensor:
        spk1, mem1 = self.rlif1.init_rleaky()
        spk2, mem2 = self.rlif2.init_rleaky()
        spikes = []
        for _ in range(self.n_steps):
            spk1, mem1 = self.rlif1(self.fc1(x), spk1, mem1)
            spk2, mem2 = self.rlif2(self.fc2(spk1), spk2, mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


class Autoencoder(nn.Module):
    """Convolutions there and back; a loop for the encoder and one for the decoder, and a membrane that never fires."""

    def __init__(self, width: int = 32, n_latent: int = 32, n_steps: int = 5) -> None:
        super().__init__()
        self.n_steps, sides = n_steps, {"padding": 1, "stride": 2}

        def neurons(**options: object) -> nn.Module:
            return snn.Leaky(beta=0.5, spike_grad=GRAD, init_hidden=True, **{"threshold": 1.0, **options})

        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, 3, **sides), nn.BatchNorm2d(width), neurons(),
            nn.Conv2d(width, 2 * width, 3, **sides), nn.BatchNorm2d(2 * width), neurons(),
            nn.Conv2d(2 * width, 4 * width, 3, **sides), nn.BatchNorm2d(4 * width), neurons(),
            nn.Flatten(start_dim=1, end_dim=3), nn.Linear(4 * width * 4 * 4, n_latent), neurons(output=True),
        )  # fmt: skip
        self.back = nn.Sequential(nn.Linear(n_latent, 4 * width * 4 * 4), neurons(output=True))
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (4 * width, 4, 4)), neurons(),
            nn.ConvTranspose2d(4 * width, 2 * width, 3, output_padding=1, **sides), nn.BatchNorm2d(2 * width), neurons(),
            nn.ConvTranspose2d(2 * width, width, 3, output_padding=1, **sides), nn.BatchNorm2d(width), neurons(),
            nn.ConvTranspose2d(width, 1, 3, output_padding=1, **sides), neurons(output=True, threshold=40000.0),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        for part in (self.encoder, self.back, self.decoder):
            utils.reset(part)
        codes = []
        for _ in range(self.n_steps):
            spikes, _ = self.encoder(x)
            codes.append(spikes)
        code = torch.stack(codes, dim=2)
        images = []
        for step in range(self.n_steps):
            spikes, _ = self.back(code[..., step])
            _, membrane = self.decoder(spikes)
            images.append(membrane)
        return torch.stack(images, dim=4)[:, :, :, :, -1]


class Exoplanet(nn.Module):
    """Light curves: the largest of two currents, and one step for the whole curve."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(3197, 128), snn.Leaky(beta=0.5, spike_grad=GRAD)
        self.fc2, self.lif2 = nn.Linear(64, 64), snn.Leaky(beta=0.5, spike_grad=GRAD)
        self.fc3, self.lif3 = nn.Linear(32, 2), snn.Leaky(beta=0.5, spike_grad=GRAD)

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk1, mem1 = self.lif1(functional.max_pool1d(self.fc1(x), 2), mem1)
        spk2, mem2 = self.lif2(functional.max_pool1d(self.fc2(spk1), 2), mem2)
        return self.fc3(spk2.view(BATCH, -1))


def make_tactile(side: int = 10, width: int = 32) -> nn.Module:
    """Tactile digits: MaxPool of spikes, behind the neurons."""
    rest = ((side - 5) // 2) ** 2
    return nn.Sequential(
        nn.Conv2d(2, width, 4), snn.Leaky(beta=0.95, init_hidden=True),
        nn.Conv2d(width, 2 * width, 3), snn.Leaky(beta=0.95, init_hidden=True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(2 * width * rest, 10), snn.Leaky(beta=0.95, init_hidden=True, output=True),
    )  # fmt: skip


def make_speech(n_in: int = 350, n_hidden: int = 512, n_out: int = 35) -> nn.Module:
    """Spoken commands: four hidden layers and a dropout."""
    grad = surrogate.atan(alpha=2)
    layers: list[nn.Module] = []
    for size in (n_in, n_hidden, n_hidden, n_hidden):
        layers += [nn.Linear(size, n_hidden), snn.Leaky(beta=0.95, spike_grad=grad, init_hidden=True)]
    last = snn.Leaky(beta=0.95, spike_grad=grad, init_hidden=True, output=True)
    return nn.Sequential(*layers, nn.Dropout(0.4), nn.Linear(n_hidden, n_out), last)


class OneStep(nn.Module):
    """On the IPU: one step a call, states in the neurons."""

    def __init__(self, n_in: int = 784, n_hidden: int = 1000, n_out: int = 10) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(n_in, n_hidden), snn.Leaky(beta=0.9, init_hidden=True, spike_grad=GRAD)
        self.fc2 = nn.Linear(n_hidden, n_out)
        self.lif2 = snn.Leaky(beta=0.9, init_hidden=True, spike_grad=GRAD, output=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.lif2(self.fc2(self.lif1(self.fc1(x.flatten(1)))))


class ForwardForward(nn.Module):
    """Forward-forward: each layer normalises what it gets by its own length."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(784, 500), snn.Leaky(beta=0.99)
        self.fc2, self.lif2 = nn.Linear(500, 500), snn.Leaky(beta=0.99)

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes = []
        for _ in range(20):
            spk1, mem1 = self.lif1(self.fc1(x / (x.norm(2, 1, keepdim=True) + 1e-4)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1 / (spk1.norm(2, 1, keepdim=True) + 1e-4)), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


@dataclass(frozen=True)
class Tutorial:
    """A network, the shape of a step of its input, and why it is refused as it stands, in words of the message."""

    make: Callable[..., nn.Module]
    shape: tuple[int, ...]
    refused: str = ""


TUTORIALS = {
    "3 feedforward": Tutorial(Feedforward, (784,)),
    "4 second order": Tutorial(SecondOrder, (784,)),
    "5 static images": Tutorial(Static, (784,)),
    "6 convolutional": Tutorial(Convolutional, (1, 28, 28), "MaxPool behind the neurons"),
    "7 camera events": Tutorial(make_events, (2, 34, 34), "MaxPool behind the neurons"),
    "quickstart": Tutorial(make_quickstart, (1, 28, 28), "MaxPool behind the neurons"),
    "population coding": Tutorial(make_population, (784,)),
    "regression 1": Tutorial(Membrane, (1,)),
    "regression 2": Tutorial(Recurrent, (784,)),
    "autoencoder": Tutorial(Autoencoder, (1, 32, 32)),
    "exoplanets": Tutorial(Exoplanet, (3197,), "MaxPool behind the neurons"),
    "tactile digits": Tutorial(make_tactile, (2, 10, 10)),
    "spoken commands": Tutorial(make_speech, (350,)),
    "one step a call": Tutorial(OneStep, (784,)),
    "forward-forward": Tutorial(ForwardForward, (784,), "operation 'norm'"),
}

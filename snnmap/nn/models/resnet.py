"""Residual networks of bottleneck blocks, each of whose rectifiers is a module of its own."""

from collections.abc import Sequence

from torch import Tensor, nn

from snnmap.core.errors import InputError

__all__ = ["Bottleneck", "ResNet"]

_EXPANSION = 4
_RESNET50 = (3, 4, 6, 3)


class Bottleneck(nn.Module):
    """Add ``conv 1x1, conv 3x3, conv 1x1`` to the input, or to its projection, and rectify.

    He et al. 2016, Deep Residual Learning, figure 5 (right), with the stride in the 3x3 convolution (known as v1.5), where the
    paper has it in the first 1x1. Each convolution is followed by batch normalisation.

    Args:
        n_inputs: channels of the input.
        width: channels of the 3x3 convolution; the output has four times as many.
        stride: of the 3x3 convolution and of the projection. There is a projection where the output's shape is not the input's.
    """

    def __init__(self, n_inputs: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        n_outputs = _EXPANSION * width
        self.conv1 = nn.Conv2d(n_inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, n_outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(n_outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or n_inputs != n_outputs:
            projection = nn.Conv2d(n_inputs, n_outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(n_outputs))
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, 4 * width, height / stride, width / stride)`` of ``(batch, n_inputs, height, width)``, rounded up."""
        z = self.relu1(self.bn1(self.conv1(x)))
        z = self.relu2(self.bn2(self.conv2(z)))
        shortcut = x if self.downsample is None else self.downsample(x)
        y: Tensor = self.relu3(self.bn3(self.conv3(z)) + shortcut)
        return y


class ResNet(nn.Module):
    """Classify images by four stages of bottleneck blocks; as it stands, ResNet-50 (He et al. 2016, table 1).

    The parameters have the names and shapes of torchvision's ``resnet50``, so that ``load_state_dict`` takes its weights; those
    expect images normalised as torchvision's documentation says. Modules are registered in the order in which they run, so that
    ``skip_first`` and ``skip_last`` of :func:`insert_delta` leave out the first and the last rectifier.

    Args:
        blocks: of each of the four stages; (3, 4, 6, 3) is ResNet-50, (3, 4, 23, 3) ResNet-101.
        width: channels of the stem and of the first stage's 3x3 convolutions; each stage doubles it.
        n_channels: of the input.
        n_classes: scores of the output.
        small_stem: for images of some 32 pixels: a 3x3 convolution that keeps their size, in place of 7x7, stride 2, and
            pooling.

    Raises:
        InputError: not four stages of at least a block, or a size below 1.
    """

    def __init__(
        self,
        blocks: Sequence[int] = _RESNET50,
        width: int = 64,
        *,
        n_channels: int = 3,
        n_classes: int = 1000,
        small_stem: bool = False,
    ) -> None:
        super().__init__()
        if len(blocks) != 4 or min(*blocks, width, n_channels, n_classes) < 1:
            raise InputError(
                "a ResNet has four stages of blocks, and channels",
                where="ResNet",
                measured=f"blocks={tuple(blocks)}, width={width}, n_channels={n_channels}, n_classes={n_classes}",
                limit="four stages, all numbers >= 1",
                fix="give blocks=(3, 4, 6, 3) for ResNet-50",
            )
        kernel, stride = (3, 1) if small_stem else (7, 2)
        self.conv1 = nn.Conv2d(n_channels, width, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.Identity() if small_stem else nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _make_stage(width, width, blocks[0], stride=1)
        self.layer2 = _make_stage(_EXPANSION * width, 2 * width, blocks[1], stride=2)
        self.layer3 = _make_stage(2 * _EXPANSION * width, 4 * width, blocks[2], stride=2)
        self.layer4 = _make_stage(4 * _EXPANSION * width, 8 * width, blocks[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * _EXPANSION * width, n_classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores before softmax ``(batch, n_classes)`` of images ``(batch, n_channels, height, width)``."""
        z = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        z = self.layer4(self.layer3(self.layer2(self.layer1(z))))
        scores: Tensor = self.fc(self.avgpool(z).flatten(1))
        return scores


def _make_stage(n_inputs: int, width: int, n_blocks: int, *, stride: int) -> nn.Sequential:
    first = Bottleneck(n_inputs, width, stride=stride)
    return nn.Sequential(first, *(Bottleneck(_EXPANSION * width, width) for _ in range(n_blocks - 1)))


def _initialise(model: nn.Module) -> None:
    """Draw convolutions so that the variance of the gradients is kept (He et al. 2015, section 2.2)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

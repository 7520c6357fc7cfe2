"""ResNet-50: the parameters of torchvision's, and one rectifier for each delta layer."""

import pytest
import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn import DeltaActivation, DeltaNetwork, insert_delta, run_frames
from snnmap.nn.models import ResNet

NORM = {"weight": 1, "bias": 1, "running_mean": 1, "running_var": 1, "num_batches_tracked": 0}


def list_torchvision_shapes() -> dict[str, tuple[int, ...]]:
    """The state dict of torchvision's ``resnet50``, written out from the paper's table 1 and torchvision's names."""
    shapes: dict[str, tuple[int, ...]] = {}

    def add(conv: str, norm: str, *shape: int) -> None:
        shapes[f"{conv}.weight"] = shape
        shapes.update({f"{norm}.{name}": shape[:1] * n_axes for name, n_axes in NORM.items()})

    add("conv1", "bn1", 64, 3, 7, 7)
    n_inputs = 64
    for stage, (n_blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], 1):
        for block in range(n_blocks):
            path = f"layer{stage}.{block}"
            add(f"{path}.conv1", f"{path}.bn1", width, n_inputs, 1, 1)
            add(f"{path}.conv2", f"{path}.bn2", width, width, 3, 3)
            add(f"{path}.conv3", f"{path}.bn3", 4 * width, width, 1, 1)
            if block == 0:
                add(f"{path}.downsample.0", f"{path}.downsample.1", 4 * width, n_inputs, 1, 1)
            n_inputs = 4 * width
    return {**shapes, "fc.weight": (1000, 2048), "fc.bias": (1000,)}


def make_small(**options: int) -> nn.Module:
    torch.manual_seed(0)
    return ResNet((1, 2, 1, 1), 4, n_classes=5, small_stem=True, **options).double().eval()


def test_the_parameters_are_torchvisions() -> None:
    with torch.device("meta"):
        model = ResNet()
    assert sum(parameter.numel() for parameter in model.parameters()) == 25_557_032
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == list_torchvision_shapes()


def test_the_stride_is_in_the_3x3_convolution() -> None:
    with torch.device("meta"):
        model = ResNet()
    strided = {path: module.stride for path, module in model.named_modules() if getattr(module, "stride", 1) == (2, 2)}
    assert set(strided) == {"conv1", *(f"layer{n}.0.{name}" for n in (2, 3, 4) for name in ("conv2", "downsample.0"))}


def test_the_sizes_are_those_of_the_paper() -> None:
    sizes: dict[str, tuple[int, ...]] = {}
    with torch.device("meta"):
        model = ResNet()
        for name in ("conv1", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"):
            model.get_submodule(name).register_forward_hook(lambda _m, _x, y, name=name: sizes.update({name: tuple(y.shape[1:])}))
        model(torch.empty(2, 3, 224, 224))
    assert sizes == {
        "conv1": (64, 112, 112),
        "layer1": (256, 56, 56),
        "layer2": (512, 28, 28),
        "layer3": (1024, 14, 14),
        "layer4": (2048, 7, 7),
        "avgpool": (2048, 1, 1),
        "fc": (1000,),
    }


def test_every_rectifier_is_a_module_called_once_and_in_the_order_of_registration() -> None:
    model = make_small()
    called: list[str] = []
    paths = [path for path, module in model.named_modules() if isinstance(module, nn.ReLU)]
    for path in paths:
        model.get_submodule(path).register_forward_hook(lambda _m, _x, _y, path=path: called.append(path))
    model(torch.rand(1, 3, 16, 16, dtype=torch.float64))
    assert called == paths
    assert len(paths) == 1 + 3 * 5


def test_a_block_adds_its_input() -> None:
    model = make_small()
    block = model.layer2[1]
    x = torch.randn(2, 32, 4, 4, dtype=torch.float64)
    nn.init.zeros_(block.bn3.weight)
    assert torch.equal(block(x), x.relu())


def test_delta_layers_and_delta_inference() -> None:
    model = insert_delta(make_small(n_channels=2)).eval()
    assert sum(isinstance(module, DeltaActivation) for module in model.modules()) == 16
    x = torch.rand(2, 4, 2, 16, 16, dtype=torch.float64)
    expected = run_frames(model, x)
    assert expected.shape == (2, 4, 5)
    torch.testing.assert_close(DeltaNetwork(model)(x), expected, rtol=0.0, atol=1e-10)


def test_the_small_stem_keeps_the_size() -> None:
    seen: list[Tensor] = []
    model = make_small()
    model.layer1.register_forward_pre_hook(lambda _m, x: seen.append(x[0]))
    model(torch.rand(1, 3, 16, 16, dtype=torch.float64))
    assert seen[0].shape == (1, 4, 16, 16)


@pytest.mark.parametrize("options", [{"blocks": (3, 4, 6)}, {"blocks": (1, 0, 1, 1)}, {"width": 0}, {"n_classes": 0}])
def test_sizes_that_make_no_network(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="four stages"):
        ResNet(**options)

"""Models: published sizes, honest stages, per-sample gradients, seeds."""

import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from ssam.catalogue import MODELS
from ssam.models import StagedModel, build_model, forward_macs, stage_macs

SMALL = ("cnn8", "resnet20", "vit-tiny", "mixer", "mlp")
EVERY = tuple(MODELS)
RUN = tuple(name for name in MODELS if name != "wrn-28-10")  # wrn-16-4 runs the same code


def catalogue_model(name: str) -> torch.nn.Module:
    """The model its catalogue entry describes, without storage: only shapes are looked at."""
    facts = MODELS[name]
    with torch.device("meta"):
        return build_model(name, channels=facts.channels, classes=facts.classes, size=facts.size, seed=0)


def shrunk(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """A model at the smallest size it takes, and two images for it."""
    size = MODELS[name].min_size
    model = build_model(name, channels=3, classes=5, size=size, seed=0)
    return model, torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", EVERY)
def test_parameter_count_is_the_published_one(name: str) -> None:
    assert sum(parameter.numel() for parameter in catalogue_model(name).parameters()) == MODELS[name].parameters


@pytest.mark.parametrize("name", EVERY)
def test_the_catalogue_counts_the_stages(name: str) -> None:
    assert len(catalogue_model(name).stages) == MODELS[name].stages


@pytest.mark.parametrize("name", EVERY)
def test_the_catalogue_knows_who_has_normalisation_layers(name: str) -> None:
    norms = (torch.nn.BatchNorm2d, torch.nn.LayerNorm)
    assert any(isinstance(module, norms) for module in catalogue_model(name).modules()) == MODELS[name].norm_layers


def test_default_model_has_its_known_size() -> None:
    model = build_model("cnn8", channels=1, classes=10, size=28, seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 73_890
    assert sum(isinstance(module, torch.nn.Conv2d) for module in model.modules()) == 7


@pytest.mark.parametrize("name", EVERY)
def test_multiply_accumulates_are_those_of_the_catalogue(name: str) -> None:
    facts = MODELS[name]
    macs = forward_macs(catalogue_model(name), (facts.channels, facts.size, facts.size))
    assert macs / 1e6 == pytest.approx(facts.mmacs, rel=0.02)


def test_multiply_accumulates_of_a_convolution_by_hand() -> None:
    model = StagedModel([("conv", torch.nn.Conv2d(3, 8, 5, padding=2)), ("relu", torch.nn.ReLU())])
    assert stage_macs(model, (3, 10, 12)) == [3 * 8 * 5 * 5 * 10 * 12, 0]
    assert forward_macs(model, (3, 10, 12)) == 3 * 8 * 5 * 5 * 10 * 12


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_sensible_input_gives_one_score_per_class(name: str, channels: int) -> None:
    smallest = MODELS[name].min_size
    for size in {smallest, smallest + 1, *(side for side in (28, 32, 64, 224) if side >= smallest)}:
        with torch.device("meta"):
            model = build_model(name, channels=channels, classes=7, size=size, seed=0)
            assert model(torch.empty(2, channels, size, size)).shape == (2, 7), size


@pytest.mark.parametrize("name", RUN)
def test_stages_compose_and_leave_their_input_alone(name: str) -> None:
    model, x = shrunk(name)
    model.eval()
    with torch.no_grad():
        expected = model(x)
        for stage in model.stages.values():
            before = x.clone()
            after = stage(x)
            assert torch.equal(x, before)
            assert after.data_ptr() != x.data_ptr()
            x = after
    assert torch.equal(x, expected)


@pytest.mark.parametrize("name", RUN)
def test_training_step_works_from_every_stage_boundary(name: str) -> None:
    """A suffix may start at any stage: its input needs no gradient and is the same afterwards."""
    model, x = shrunk(name)
    hidden = [x]
    with torch.no_grad():
        for stage in model.stages.values():
            hidden.append(stage(hidden[-1]))
    names = list(model.stages)
    for start in (0, len(names) // 2, len(names) - 1):
        h, kept = hidden[start], hidden[start].clone()
        for stage in names[start:]:
            h = model.stages[stage](h)
        F.cross_entropy(h, torch.tensor([0, 1])).backward()
        assert torch.equal(hidden[start], kept)
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", EVERY)
def test_every_parameter_belongs_to_one_stage(name: str) -> None:
    model = catalogue_model(name)
    owned = [id(parameter) for stage in model.stages.values() for parameter in stage.parameters()]
    assert sorted(owned) == sorted(id(parameter) for parameter in model.parameters())
    assert len(set(owned)) == len(owned)
    stages = list(model.stages)
    assert (stages[0], stages[-1]) == ("stem", "head")
    assert stages[1:-1] == [f"block{number}" for number in range(1, len(stages) - 1)]


@pytest.mark.parametrize("name", SMALL)
def test_per_sample_gradients_equal_a_loop(name: str) -> None:
    model, x = shrunk(name)
    model.double().eval()
    x, y = x.double(), torch.tensor([1, 3])
    parameters = {key: value.detach() for key, value in model.named_parameters()}

    def loss(weights: dict[str, torch.Tensor], image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(functional_call(model, weights, image[None]), label[None])

    together = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    for row in range(len(x)):
        alone = torch.autograd.grad(F.cross_entropy(model(x[row : row + 1]), y[row : row + 1]), model.parameters())
        for (key, batched), single in zip(together.items(), alone, strict=True):
            torch.testing.assert_close(batched[row], single, rtol=1e-9, atol=1e-12, msg=key)


@pytest.mark.parametrize("name", SMALL)
def test_seed_alone_decides_the_weights(name: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        model = build_model(name, channels=1, classes=10, size=28, seed=seed)
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    torch.manual_seed(1)
    first = weights(5)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(first, weights(5))
    assert not torch.equal(first, weights(6))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "building a model moved the global random state"


@pytest.mark.parametrize("name", RUN)
def test_fresh_model_starts_near_chance(name: str) -> None:
    """Bad initialisation shows as a first loss far above ln(classes)."""
    model, x = shrunk(name)
    images = x.repeat(8, 1, 1, 1) + torch.randn(16, 3, 1, 1, generator=torch.Generator().manual_seed(1))
    loss = F.cross_entropy(model(images), torch.arange(16) % 5)
    assert loss < 2.5 * torch.log(torch.tensor(5.0))


def test_resnet50_is_torchvisions() -> None:
    from torchvision.models import resnet50

    theirs = resnet50(weights=None).eval()
    ours = build_model("resnet50", channels=3, classes=1000, size=224, seed=0).eval()
    for source, target in ((theirs.parameters(), ours.parameters()), (theirs.buffers(), ours.buffers())):
        for value, copy in zip(source, target, strict=True):
            with torch.no_grad():
                copy.copy_(value)
    x = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_option_a_shortcut_takes_every_second_pixel_and_pads_channels_with_zeros() -> None:
    from ssam.models.resnet import PaddedShortcut

    x = torch.arange(2 * 4 * 4, dtype=torch.float32).view(1, 2, 4, 4)
    short = PaddedShortcut(2, 4, 2)(x)
    assert short.shape == (1, 4, 2, 2)
    assert torch.equal(short[:, 1:3], x[:, :, ::2, ::2])
    assert not short[:, 0].any()
    assert not short[:, 3].any()


def test_unknown_model_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"'nope' .*allowed: cnn8, .*resnet50"):
        build_model("nope", channels=1, classes=10, size=28, seed=0)

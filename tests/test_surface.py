"""The toy surface: its address, its mathematics beside torch's, what its presets claim, and the page in a real browser."""

import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect
from streamlit.testing.v1 import AppTest
from torch import Tensor

from app.surface import query
from app.surface.query import Toy
from app.surface.text import METHODS, PHASES, PRESETS, SURFACES
from ssam.optim import SAM
from tests.browser import ROOT, Watched, wait_until
from tests.components import data_of
from tests.golden import assert_one_line_error
from tests.patience import SECONDS
from tests.people import ALICE, SESSION, address_of

STEPS = 220


# The address


def number(name: str) -> st.SearchStrategy:
    low, high = query.NUMBERS[name]
    return (
        st.integers(low, high) if isinstance(low, int) else st.floats(low, high).map(lambda value: float(f"{value:g}"))
    )


TOYS = st.builds(
    Toy,
    methods=st.sets(st.sampled_from(list(METHODS)), min_size=1).map(
        lambda chosen: tuple(m for m in METHODS if m in chosen)
    ),
    **{name: st.sampled_from(choices) for name, choices in query.CHOICES.items()},
    **{name: number(name) for name in query.NUMBERS},
)


@settings(max_examples=200, deadline=None)
@given(TOYS)
def test_an_address_is_read_back(toy: Toy) -> None:
    words = query.words(toy)
    assert words
    assert all(isinstance(value, str) for value in words.values())
    assert query.read(words) == (toy, [])


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_one_word(name: str) -> None:
    toy = query.presets()[name]
    assert query.words(toy) == {"preset": name}
    assert query.read({"preset": name}) == (toy, [])
    assert query.read({"preset": name, "rho": "0.11"}) == (replace(toy, rho=0.11), [])
    told = {key: ",".join(value) if isinstance(value, tuple) else str(value) for key, value in asdict(toy).items()}
    assert query.read(told) == (toy, []), "as the browser tells it"


BAD = [
    ({"speed": "9"}, "'speed' is no setting here; allowed: preset, surface, methods, rho"),
    ({"preset": "hill"}, "preset 'hill' must be one of sharp-valley, wrong-axis"),
    ({"surface": "moon"}, "surface 'moon' must be one of valleys, canyon, bowl, saddle, needle"),
    ({"methods": "sgd,adam"}, "methods 'sgd,adam' must be of sgd, sam, ssam, noise, with commas between"),
    ({"methods": ""}, "methods '' must be of sgd"),
    ({"rho": "2"}, "rho '2' must be a number from 0 to 1"),
    ({"lr": "fast"}, "lr 'fast' must be a number from 0.005 to 0.3"),
    ({"lr": "nan"}, "lr 'nan' must be a number"),
    ({"momentum": "inf"}, "momentum 'inf' must be a number from 0 to 0.95"),
    ({"seed": "1.5"}, "seed '1.5' must be a whole number from 0 to 9999"),
    ({"turn": "360"}, "turn '360' must be a whole number from 0 to 359"),
    ({"mask": "z"}, "mask 'z' must be one of x, y"),
    ({"noisy": "none"}, "noisy 'none' must be one of one, all"),
    ({"view": "side"}, "view 'side' must be one of contour, perspective"),
    ({"pace": "1000"}, "pace '1000' must be one of slow, 10, 30"),
    ({"follow": "adam"}, "follow 'adam' must be one of sgd"),
]


@pytest.mark.parametrize(("address", "said"), BAD)
def test_a_bad_word_gives_one_line(address: dict[str, str], said: str) -> None:
    toy, (problem,) = query.read(address)
    assert toy == Toy(), "the rest is as without it"
    assert said in problem
    assert "\n" not in problem
    assert len(problem) < 160


# The page, without a browser


def page(**address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.session_state[SESSION] = ALICE
    app.switch_page("../pages/surface.py")
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def test_the_page_sends_all_that_the_browser_needs(store: Any) -> None:
    app = page()
    assert not app.warning
    assert address_of(app) == {"preset": "sharp-valley"}
    data = data_of(app, "surface")
    assert [preset["name"] for preset in data["presets"]] == list(PRESETS)
    assert [method["name"] for method in data["methods"]] == list(METHODS)
    assert len({(method["color"], method["dash"], method["symbol"]) for method in data["methods"]}) == len(METHODS)
    assert (len(data["phases"]), data["at"]["surface"]) == (6, "valleys")


def test_an_address_is_kept_and_a_bad_one_is_said(store: Any) -> None:
    app = page(preset="canyon", rho="0.3", view="perspective")
    assert address_of(app) == {"surface": "canyon", "rho": "0.3", "view": "perspective"}
    assert data_of(app, "surface")["at"]["rho"] == 0.3
    app = page(rho="9")
    (warning,) = app.warning
    assert_one_line_error(re.sub(r"\\(.)", r"\1", warning.value), ["rho '9'", "0 to 1"])
    assert address_of(app) == {"preset": "sharp-valley"}


# The mathematics: app/surface/math.js beside torch


HELPERS = """
window.course = (name, method, toy, steps) => {
  const surface = maths.SURFACES[name], lane = maths.begin(method, [toy.x, toy.y]), rows = [];
  for (let at = 0; at < steps; at++) {
    const before = lane.velocity;
    maths.step(lane, surface, toy);
    const { w, gradient, second, after } = lane.last;
    rows.push({ w, gradient, second, after, before, velocity: lane.velocity, loss: surface.loss(...w), sharpness: maths.curvature(surface, w), diverged: lane.diverged });
  }
  return rows;
};
window.milestones = (name, method, toy, steps) => {
  const surface = maths.SURFACES[name], lane = maths.begin(method, [toy.x, toy.y]);
  const watch = new told.Watch(surface, [toy.x, toy.y]), said = [];
  for (let at = 0; at < steps; at++) {
    maths.step(lane, surface, toy);
    said.push(...watch.see(lane));
  }
  return said;
};
"""


@pytest.fixture(scope="module")
def maths(browser: Browser) -> Iterator[Page]:
    """An empty page with the modules that need no page, as ``maths`` and ``told``."""
    page = browser.new_context().new_page()
    for name, file in (("maths", "math.js"), ("told", "narration.js")):
        code = b64encode((ROOT / "app" / "surface" / file).read_bytes()).decode()
        page.evaluate(f"async () => {{ window.{name} = await import('data:text/javascript;base64,{code}'); }}")
    page.evaluate(f"() => {{ {HELPERS} }}")
    yield page
    page.context.close()


def course(maths: Page, method: str, toy: Toy, steps: int = STEPS) -> list[dict[str, Any]]:
    """Each step of a method from the toy's start: w, both gradients, w after it, and the momentum buffer before and after it."""
    return maths.evaluate(
        "([toy, method, steps]) => course(toy.surface, method, toy, steps)", [asdict(toy), method, steps]
    )


def quadratic(at: tuple[float, float], curvature: tuple[float, float], height: float) -> Callable[[Tensor], Tensor]:
    offset, factor = torch.tensor(at, dtype=torch.float64), torch.tensor(curvature, dtype=torch.float64)
    return lambda w: height + 0.5 * (factor * (w - offset) ** 2).sum()


def soft_minimum(*bowls: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda w: -torch.logsumexp(torch.stack([-bowl(w) for bowl in bowls]), 0)


# The losses, written a second time; their gradients are autograd's.
TWINS: dict[str, Callable[[Tensor], Tensor]] = {
    "valleys": soft_minimum(quadratic((-1.5, 0), (10, 1), 0.011), quadratic((1.5, 0), (1, 1), 0)),
    "canyon": lambda w: 0.5 * (0.5 + 4 * w[1] ** 2) * w[0] ** 2,
    "bowl": quadratic((0, 0), (24, 0.5), 0),
    "saddle": lambda w: 1.5 * w[0] ** 2 + 0.25 * (w[1] ** 2 - 1) ** 2,
    "needle": soft_minimum(quadratic((-1.6, 0), (14, 14), 0.018), quadratic((1.6, 0), (0.6, 0.6), 1)),
}
GENTLE = {"valleys": 0.03, "canyon": 0.02, "bowl": 0.02, "saddle": 0.05, "needle": 0.02}  # learning rates
MASKS = {"sam": (True, True), ("ssam", "x"): (True, False), ("ssam", "y"): (False, True)}


class Twin:
    """A method of the toy surface, of torch: SGD, or ssam.SAM on it."""

    def __init__(self, method: str, toy: Toy, noise: list[list[float]] | None = None) -> None:
        self.w = torch.tensor([toy.x, toy.y], dtype=torch.float64, requires_grad=True)
        self.base = torch.optim.SGD([self.w], lr=toy.lr, momentum=toy.momentum)
        mask = MASKS.get(method) or MASKS.get((method, toy.mask))
        self.sam = SAM(self.base, rho=toy.rho, mask={self.w: torch.tensor(mask)}) if mask else None
        noisy = toy.noise and (method == "noise" or toy.noisy == "all")
        self.noise = toy.noise * torch.tensor(noise, dtype=torch.float64) if noisy else None
        self.toy, self.steps = toy, 0

    def step(self) -> None:
        def closure() -> Tensor:
            self.base.zero_grad()
            loss = TWINS[self.toy.surface](self.w)
            if self.noise is not None:  # of this batch: a slope that is the same for both gradients of the step
                loss = loss + (self.noise[self.steps] * self.w).sum()
            loss.backward()
            return loss

        (self.sam or self.base).step(closure)
        self.steps += 1

    def put(self, w: list[float], velocity: list[float] | None) -> None:
        """Sets it to a state of the browser's."""
        with torch.no_grad():
            self.w.copy_(torch.tensor(w, dtype=torch.float64))
        buffer = None if velocity is None else torch.tensor(velocity, dtype=torch.float64)
        self.base.state[self.w]["momentum_buffer"] = buffer


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("name", SURFACES)
def test_every_step_is_that_of_torch(maths: Page, name: str, momentum: float) -> None:
    """Step by step from the browser's own state: SAM's bouncing would blow rounding up, 10⁷ times in 70 steps."""
    toy = replace(query.base_of(name), lr=GENTLE[name], momentum=momentum, rho=0.15, noise=0.4, noisy="all", seed=7)
    noise = maths.evaluate("(steps) => Array.from({ length: steps }, (_, step) => maths.normals(7, step))", STEPS)
    toys = {(method, mask): replace(toy, mask=mask) for method in METHODS for mask in ("x", "y")}
    del toys["sgd", "y"], toys["sam", "y"], toys["noise", "y"]  # nothing to them
    for (method, _), own in [
        *toys.items(),
        (("sam", "x"), replace(toy, noise=0.0)),
        (("sgd", "x"), replace(toy, noisy="one")),
    ]:
        twin = Twin(method, own, noise)
        w, velocity = [own.x, own.y], None
        for at, row in enumerate(course(maths, method, own)):
            assert (row["w"], row["before"], row["diverged"]) == (w, velocity, False), "one step follows the other"
            w, velocity = row["after"], row["velocity"]
            twin.put(row["w"], row["before"])
            assert row["loss"] == pytest.approx(TWINS[name](twin.w).item(), rel=1e-12, abs=1e-12)
            twin.step()
            assert w == pytest.approx(twin.w.tolist(), rel=1e-11, abs=1e-13), (method, at)
            buffer = twin.base.state[twin.w].get("momentum_buffer")
            assert (velocity is None) == (momentum == 0)
            assert velocity is None or velocity == pytest.approx(buffer.tolist(), rel=1e-11, abs=1e-13)
        assert math.dist(w, [own.x, own.y]) > 0.1


@pytest.mark.browser
@pytest.mark.parametrize("name", SURFACES)
def test_gradient_and_curvature_are_those_of_autograd(maths: Page, name: str) -> None:
    left, right, bottom, top = maths.evaluate("(name) => maths.SURFACES[name].box", name)
    generator = torch.Generator().manual_seed(3)
    shares = torch.rand((60, 2), generator=generator, dtype=torch.float64)
    points = shares * torch.tensor([right - left, top - bottom]) + torch.tensor([left, bottom])
    found = maths.evaluate(
        "([name, points]) => points.map((p) => [maths.SURFACES[name].gradient(...p), maths.curvature(maths.SURFACES[name], p)])",
        [name, points.tolist()],
    )
    for point, (gradient, sharpness) in zip(points, found, strict=True):
        w = point.clone().requires_grad_()
        (own,) = torch.autograd.grad(TWINS[name](w), w)
        assert gradient == pytest.approx(own.tolist(), rel=1e-12, abs=1e-12)
        hessian = torch.autograd.functional.hessian(TWINS[name], point)
        assert sharpness == pytest.approx(torch.linalg.eigvalsh(hessian)[-1].item(), rel=1e-5, abs=1e-5)


@pytest.mark.browser
def test_noise_is_decided_by_seed_and_step(maths: Page) -> None:
    draw = "([seed, steps]) => steps.map((step) => maths.normals(seed, step))"
    forwards = maths.evaluate(draw, [3, list(range(5000))])
    backwards = maths.evaluate(draw, [3, list(reversed(range(5000)))])
    assert forwards == backwards[::-1]
    others = maths.evaluate(draw, [4, list(range(5000))])
    assert not set(map(tuple, forwards)) & set(map(tuple, others))
    drawn = torch.tensor(forwards + others, dtype=torch.float64)  # 10,000 of each axis: a standard error of 0.01
    assert drawn.mean(0).abs().max() < 0.04
    assert (drawn.std(0) - 1).abs().max() < 0.03
    assert abs(torch.corrcoef(drawn.T)[0, 1]) < 0.04
    assert abs(torch.corrcoef(torch.stack([drawn[:5000, 0], drawn[5000:, 0]]))[0, 1]) < 0.06, "seeds"
    assert abs(torch.corrcoef(torch.stack([drawn[:4999, 0], drawn[1:5000, 0]]))[0, 1]) < 0.06, "neighbouring steps"


@pytest.mark.browser
def test_all_methods_meet_the_same_noise(maths: Page) -> None:
    toy = replace(Toy(), noise=2.0, noisy="all", momentum=0.0)
    first = {method: course(maths, method, toy, 1)[0] for method in METHODS}
    assert len({tuple(row["gradient"]) for row in first.values()}) == 1
    quiet = course(maths, "sam", replace(toy, noise=0.0), 1)[0]
    added = [a - b for a, b in zip(first["sam"]["gradient"], quiet["gradient"], strict=True)]
    twin = TWINS["valleys"]
    w = torch.tensor(first["sam"]["w"], dtype=torch.float64)
    g = torch.tensor(first["sam"]["gradient"], dtype=torch.float64)
    ahead = (w + toy.rho * g / g.norm()).requires_grad_()
    (own,) = torch.autograd.grad(twin(ahead), ahead)
    assert first["sam"]["second"] == pytest.approx((own + torch.tensor(added)).tolist()), "one batch, one noise"
    one = {method: course(maths, method, replace(toy, noisy="one"), 1)[0]["gradient"] for method in METHODS}
    assert one["sgd"] == one["sam"] == quiet["gradient"]
    assert one["noise"] == first["noise"]["gradient"]


@pytest.mark.browser
def test_two_halves_are_a_step_and_too_large_a_rate_is_noticed(maths: Page) -> None:
    script = """(toy) => ["sgd", "sam", "ssam", "noise"].map((method) => {
      const surface = maths.SURFACES[toy.surface], [one, two] = [0, 1].map(() => maths.begin(method, [toy.x, toy.y]));
      for (let at = 0; at < 30; at++) {
        maths.step(one, surface, toy);
        maths.ascend(two, surface, toy);
        maths.ascend(two, surface, toy);
        maths.lookAhead(two, surface, toy);
        maths.descend(two, surface, toy);
        maths.descend(two, surface, toy);
      }
      return [one, two].map(({ w, velocity, steps }) => JSON.stringify([w, velocity, steps]));
    })"""
    for one, two in maths.evaluate(script, asdict(Toy())):
        assert one == two
    thrown = course(maths, "sgd", replace(query.base_of("bowl"), lr=0.3), 60)
    assert thrown[-1]["diverged"]
    assert all(math.isfinite(value) for row in thrown for value in row["w"])


# What the presets claim


def there(maths: Page, toy: Toy, w: list[float]) -> list[str]:
    """The places of the surface that a point is at, by their labels."""
    script = "([name, w]) => maths.SURFACES[name].places.filter(({ there }) => there(...w)).map(({ label }) => label)"
    return maths.evaluate(script, [toy.surface, w])


def ends(maths: Page, toy: Toy, steps: int = 1500) -> dict[str, dict[str, Any]]:
    """Where each method is in the end: the last step and what it is at."""
    found = {}
    for method in METHODS:
        last = course(maths, method, toy, steps)[-1]
        found[method] = {**last, "at": there(maths, toy, last["after"]), "moves": math.dist(last["w"], last["after"])}
    return found


VALLEY = "([x, y]) => maths.SURFACES.valleys.valley(x, y)"


def sharp_valley(maths: Page, toy: Toy) -> None:
    assert maths.evaluate(VALLEY, [toy.x, toy.y]) == "the sharp valley"
    found = ends(maths, toy)
    assert (found["sgd"]["at"], found["sam"]["at"]) == (["sharp"], ["flat"])
    assert found["sgd"]["moves"] < 1e-6, "stays"
    ways = {method: [row["w"][0] for row in course(maths, method, toy, 12)] for method in ("sgd", "sam")}
    assert max(ways["sam"]) > max(ways["sgd"]), "overshoots"
    assert any(re.match("has left .*sharp", line) for line in milestones(maths, "sam", toy))
    (rest,) = milestones(maths, "sgd", toy)
    assert re.match("has converged .*sharp", rest)


def wrong_axis(maths: Page, toy: Toy) -> None:
    found = ends(maths, toy)
    assert toy.mask == "y"
    assert found["ssam"]["at"] == found["sgd"]["at"] == ["sharp"]
    assert found["sam"]["at"] == ["flat"]
    along_y = [torch.autograd.functional.hessian(TWINS["valleys"], torch.tensor([x, 0.0]))[1, 1] for x in (-1.5, 1.5)]
    assert along_y[0].item() == pytest.approx(along_y[1].item(), rel=1e-3), "alike"
    assert ends(maths, replace(toy, mask="x"))["ssam"]["at"] == ["flat"], "the other axis is the right one"


def no_momentum(maths: Page, toy: Toy) -> None:
    assert toy == replace(query.presets()["sharp-valley"], momentum=0.0, methods=toy.methods)
    assert {method: found["at"] for method, found in ends(maths, toy).items() if method != "noise"} == {
        "sgd": ["sharp"],
        "sam": ["sharp"],
        "ssam": ["sharp"],
    }


def canyon(maths: Page, toy: Toy) -> None:
    rows = {method: course(maths, method, toy, 600) for method in ("sgd", "sam")}
    landed = rows["sgd"][40]["w"]
    assert rows["sgd"][-1]["after"] == pytest.approx(landed, abs=1e-3), "stops where it lands"
    assert there(maths, toy, landed) == ["steep"]
    assert there(maths, toy, rows["sam"][-1]["after"]) == ["flat"]
    assert max(row["loss"] for row in rows["sam"][20:]) < 0.002, "at loss almost 0"
    assert rows["sam"][20]["sharpness"] > 3 * rows["sam"][-1]["sharpness"]


def noise(maths: Page, toy: Toy) -> None:
    reached, left = 0, 0
    for seed in [toy.seed, *range(20)]:
        heights = [abs(row["after"][1]) for row in course(maths, "noise", replace(toy, seed=seed), 1500)]
        first = next((at for at, height in enumerate(heights) if height < 0.25), None)
        again = first is not None and any(height > 0.6 for height in heights[first:])
        assert seed != toy.seed or again
        reached, left = reached + (first is not None), left + again
    assert (reached, left) >= (19, 18), "of 21"
    assert there(maths, toy, course(maths, "sam", toy, 1500)[-1]["after"]) == ["flat"]
    assert there(maths, toy, course(maths, "sgd", toy, 1500)[-1]["after"]) == ["steep"]


def restless(maths: Page, toy: Toy) -> None:
    found = ends(maths, toy)
    last = course(maths, "sam", toy, 1500)[-100:]
    assert all(row["w"][0] * row["after"][0] < 0 for row in last), "across the steep axis, in every step"
    assert found["sam"]["moves"] > 0.1
    assert found["ssam"]["moves"] < found["sam"]["moves"] / 50, "hardly moves"
    assert any(line.startswith("has converged") for line in milestones(maths, "sgd", toy))
    (rest,) = milestones(maths, "sam", toy)
    assert re.match("stays .*without", rest)


def saddle(maths: Page, toy: Toy) -> None:
    found = ends(maths, toy)
    assert (found["sgd"]["at"], found["sam"]["at"]) == (["minimum"], ["saddle"])
    assert min(math.hypot(*row["w"]) for row in course(maths, "sgd", toy, 100)) < 0.8, "passes it"


def needle(maths: Page, toy: Toy) -> None:
    found = ends(maths, toy)
    assert (found["sgd"]["at"], found["sam"]["at"]) == (["sharp, loss 0"], ["flat, loss 1"])
    assert found["sgd"]["loss"] == pytest.approx(0, abs=0.01)
    assert found["sam"]["loss"] == pytest.approx(1, abs=0.01)
    assert found["sgd"]["sharpness"] > 10 * found["sam"]["sharpness"]
    assert there(maths, toy, [toy.x, toy.y])[:1] != ["flat, loss 1"]
    assert any(re.match("has left .*sharp", line) for line in milestones(maths, "sam", toy))


CLAIMS = {
    "sharp-valley": sharp_valley,
    "wrong-axis": wrong_axis,
    "no-momentum": no_momentum,
    "canyon": canyon,
    "noise": noise,
    "restless": restless,
    "saddle": saddle,
    "needle": needle,
}


def milestones(maths: Page, method: str, toy: Toy) -> list[str]:
    return maths.evaluate("([toy, method]) => milestones(toy.surface, method, toy, 1500)", [asdict(toy), method])


@pytest.mark.browser
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_does_what_it_says(maths: Page, name: str) -> None:
    CLAIMS[name](maths, query.presets()[name])


@pytest.mark.browser
def test_the_surfaces_are_what_is_said_of_them(maths: Page) -> None:
    def at(name: str, *point: float) -> tuple[float, Tensor]:
        w = torch.tensor(point, dtype=torch.float64)
        return TWINS[name](w).item(), torch.autograd.functional.hessian(TWINS[name], w)

    (sharp, steep), (flat, even) = at("valleys", -1.5, 0.0), at("valleys", 1.5, 0.0)
    assert sharp == pytest.approx(flat, abs=1e-3)
    assert torch.linalg.eigvalsh(steep)[-1] > 9 * torch.linalg.eigvalsh(even)[-1]
    floor = [at("canyon", 0.0, y) for y in (-1.5, -0.5, 0.0, 1.0)]
    assert [loss for loss, _ in floor] == [0] * 4
    assert min(floor, key=lambda found: found[1][0, 0])[1][0, 0] == floor[2][1][0, 0]
    bowl = at("bowl", 0.3, 0.2)[1]
    assert bowl[0, 0] == pytest.approx(48 * bowl[1, 1])
    saddle = at("saddle", 0.0, 0.0)[1]
    assert saddle[0, 0] > 0 > saddle[1, 1]
    assert [at("saddle", 0.0, y)[0] for y in (-1.0, 1.0)] == [0, 0]
    assert at("needle", -1.6, 0.0)[0] == pytest.approx(0, abs=0.01)
    assert at("needle", 1.6, 0.0)[0] == pytest.approx(1, abs=0.01)
    assert set(TWINS) == set(SURFACES) == set(maths.evaluate("Object.keys(maths.SURFACES)"))


# The page in a real browser


class Seen:
    """The toy surface in a page of its own, with the frames of its websocket."""

    def __init__(self, browser: Browser, address: str, **context: Any) -> None:
        self.watched = Watched(browser, **context)
        self.page, self.frames = self.watched.page, 0
        self.page.on("websocket", self._listen)
        self.page.goto(address)
        self.panel = self.page.get_by_test_id("surface")
        expect(self.panel.locator("canvas")).to_be_visible()
        self.start = self.panel.locator(".start")

    def _listen(self, socket: Any) -> None:
        socket.on("framesent", self._count)
        socket.on("framereceived", self._count)

    def _count(self, _: Any) -> None:
        self.frames += 1

    def steps(self) -> int:
        return int(self.panel.get_attribute("data-steps") or 0)

    def moves_on(self, steps: int) -> None:
        """Waits in the page, so that the frames of its websocket are counted meanwhile."""
        one = "document.querySelector('[data-testid=surface]')"
        self.page.wait_for_function(f"(steps) => Number({one}.dataset.steps) > steps", arg=steps)

    def summary(self) -> str:
        return self.panel.locator("canvas").get_attribute("aria-label") or ""

    def press(self, key: str) -> None:
        self.start.press(key)

    def playing(self, wanted: bool) -> None:
        expect(self.panel).to_have_attribute("data-playing", str(wanted).lower())

    def quiet(self) -> None:
        """Waits until the websocket has been silent for a second."""
        for _ in range(30):
            before = self.frames
            self.page.wait_for_timeout(1000)
            if self.frames == before:
                return
        raise AssertionError("the websocket is never silent")


@pytest.fixture
def seen(browser: Browser, new_lab: str) -> Iterator[Callable[..., Seen]]:
    opened: list[Seen] = []

    def show(path: str = "", **context: Any) -> Seen:
        opened.append(Seen(browser, f"{new_lab}/surface{path}", **context))
        return opened[-1]

    yield show
    for one in opened:
        unknown = [
            said for said in one.watched.problems if "404" not in said
        ]  # Streamlit looks for itself under the page's name
        one.page.context.close()
        assert unknown == []
        assert one.watched.hosts == {new_lab.removeprefix("http://")}, "the page must not ask another host"


@pytest.mark.browser
@pytest.mark.slow
def test_it_moves_by_itself_without_a_word_to_the_server_and_comes_to_rest(seen: Callable[..., Seen]) -> None:
    one = seen("?preset=canyon")
    wait_until(lambda: one.steps() > 20)
    one.quiet()
    before, frames = one.steps(), one.frames
    one.moves_on(before + 30)
    assert one.frames == frames, "nothing is sent or received while it plays"
    expect(one.panel).to_have_attribute("data-ended", "true")
    log = one.panel.get_by_role("log")
    expect(log).to_contain_text("SGD has converged")
    expect(log).to_contain_text("SAM stays")
    row = one.panel.get_by_role("row").filter(has_text="SGD").first
    assert re.search(r"0\.000\s*6\.\d\d\s*\d{3}\s*steep, converged", row.inner_text())
    assert re.search("SGD steep.* 0.000", one.summary())
    ended = one.steps()
    one.panel.get_by_role("button", name="Replay").click()
    one.playing(True)
    assert one.steps() < ended, "from the start"
    one.panel.get_by_role("slider", name="Rho").press("ArrowRight")
    one.page.wait_for_url("**rho=0.21**")
    assert one.frames > frames
    one.playing(True)


@pytest.mark.browser
@pytest.mark.slow
def test_keys_work_in_the_panel_and_nowhere_else(seen: Callable[..., Seen]) -> None:
    one = seen("?preset=sharp-valley")
    wait_until(lambda: one.steps() > 3)
    one.press(" ")
    one.playing(False)
    one.press("r")
    expect(one.panel).to_have_attribute("data-steps", "0")
    one.press("s")
    expect(one.panel).to_have_attribute("data-steps", "1")
    stepped = one.summary()
    one.press("r")
    one.press("h")
    expect(one.panel).to_have_attribute("data-phase", "3")
    expect(one.panel).to_have_attribute("data-steps", "0")
    one.press("h")
    expect(one.panel).to_have_attribute("data-phase", "6")
    assert one.summary() == stepped, "two halves are a step"
    values = one.panel.locator(".phases li b").all_inner_texts()
    assert all(re.fullmatch(r"\(−?\d+\.\d\d, −?\d+\.\d\d\)", value) for value in values)
    assert len(values) == len(PHASES)
    before = one.start.get_attribute("aria-label") or ""
    one.press("ArrowRight")
    one.press("Shift+ArrowUp")
    assert re.search("-1.95.* 1.20", before)
    expect(one.start).to_have_attribute("aria-label", re.compile("-1.90.* 1.45"))
    one.page.wait_for_url("**x=-1.9&y=1.45**")
    one.playing(False)
    one.panel.get_by_role("combobox", name="Pace").press("s")  # to "slow motion", as in any list
    expect(one.panel).to_have_attribute("data-steps", "0")
    one.page.locator("h2").first.click()
    one.page.keyboard.press("s")
    one.page.keyboard.press(" ")
    one.page.wait_for_timeout(300)
    expect(one.panel).to_have_attribute("data-steps", "0")
    one.playing(False)
    one.panel.get_by_role("button", name="Play").press(" ")
    one.playing(True)


@pytest.mark.browser
@pytest.mark.slow
def test_the_start_is_dragged_and_the_address_holds_everything(seen: Callable[..., Seen]) -> None:
    one = seen("?preset=sharp-valley")
    wait_until(lambda: one.steps() > 3)
    box = one.start.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    one.page.mouse.move(x, y)
    one.page.mouse.down()
    one.page.mouse.move(x + 60, y + 20, steps=4)
    one.playing(False)
    one.page.mouse.move(x + 120, y + 40, steps=4)
    one.page.mouse.up()
    one.playing(True)
    moved = one.start.bounding_box()
    assert moved
    assert moved["x"] - box["x"] == pytest.approx(120, abs=2)
    assert moved["y"] - box["y"] == pytest.approx(40, abs=2)
    wait_until(lambda: one.steps() > 3)
    one.page.wait_for_url(re.compile(r"surface=valleys&x=-0\.\d+&y=0\.\d+"))
    one.press(" ")
    one.panel.get_by_role("checkbox", name="SAM", exact=True).uncheck()
    one.panel.get_by_role("radiogroup", name="SSAM perturbs").get_by_role("radio", name="y").check()
    one.panel.get_by_role("radio", name="Perspective").press(" ")
    one.panel.get_by_role("slider", name="Turn the perspective").press("ArrowRight")
    one.panel.get_by_role("combobox", name="Pace").select_option("60")
    one.panel.get_by_role("spinbutton", name="Seed").fill("12")
    one.panel.get_by_role("spinbutton", name="Seed").press("Enter")
    one.page.wait_for_url("**seed=12**")
    label = one.start.get_attribute("aria-label")
    again = seen(one.page.url.split("/surface")[1])
    assert again.start.get_attribute("aria-label") == label
    expect(again.panel.get_by_role("checkbox", name="SAM", exact=True)).not_to_be_checked()
    expect(again.panel.get_by_role("radiogroup", name="SSAM perturbs").get_by_role("radio", name="y")).to_be_checked()
    expect(again.panel.get_by_role("slider", name="Turn the perspective")).to_have_value("31")
    expect(again.panel.get_by_role("combobox", name="Pace")).to_have_value("60")
    assert again.page.url == one.page.url
    turned = again.panel.locator("canvas").bounding_box()
    assert turned
    again.page.mouse.move(turned["x"] + 300, turned["y"] + 30)
    again.page.mouse.down()
    again.page.mouse.move(turned["x"] + 200, turned["y"] + 30, steps=4)
    again.page.mouse.up()
    expect(again.panel.get_by_role("slider", name="Turn the perspective")).to_have_value("71")
    again.panel.get_by_role("button", name="saddle").click()
    expect(again.panel.get_by_role("combobox", name="Surface")).to_have_value("saddle")
    expect(again.panel.locator(".look")).to_contain_text("saddle")


@pytest.mark.browser
@pytest.mark.slow
def test_slow_motion_goes_through_the_six_parts(seen: Callable[..., Seen]) -> None:
    one = seen("?preset=sharp-valley&pace=slow")
    for part in range(1, 7):
        expect(one.panel).to_have_attribute("data-phase", str(part))
        current = one.panel.locator(".phases [aria-current=step]")
        assert current.inner_text().startswith(PHASES[part - 1])
    expect(one.panel).to_have_attribute("data-steps", "1")
    one.panel.get_by_role("combobox", name="whose step").select_option("sgd")
    parts = one.panel.evaluate(
        """(panel) => new Promise((seen) => {
          const parts = [panel.dataset.phase];
          new MutationObserver((_, observer) => {
            if (parts.at(-1) !== panel.dataset.phase) parts.push(panel.dataset.phase);
            if (parts.length === 5) { observer.disconnect(); seen(parts); }
          }).observe(panel, { attributes: true });
        })"""
    )
    assert set(parts) == {"6", "1"}, "SGD has no perturbation"


@pytest.mark.browser
@pytest.mark.slow
def test_who_wants_no_motion_starts_it(seen: Callable[..., Seen]) -> None:
    one = seen("?preset=sharp-valley", reduced_motion="reduce")
    one.page.wait_for_timeout(2000)
    assert one.steps() == 0
    one.playing(False)
    one.panel.get_by_role("button", name="The wrong axis").click()
    one.page.wait_for_timeout(500)
    assert one.steps() == 0
    one.panel.get_by_role("button", name="Play").click()
    wait_until(lambda: one.steps() > 3)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("look", ["light", "dark"])
def test_it_fits_a_phone(seen: Callable[..., Seen], look: str) -> None:
    size = {"width": 390, "height": 844}
    one = seen("?preset=saddle&pace=slow&view=perspective", color_scheme=look)
    one.page.set_viewport_size(size)
    one.page.wait_for_timeout(500)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 390
    for part in (".picture", ".tools", "table", ".settings", ".phases"):
        box = one.panel.locator(part).bounding_box()
        assert box
        assert box["x"] >= 0, part
        assert box["x"] + box["width"] <= 390, part
    ink = one.panel.locator("canvas").evaluate(
        "(c) => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((_, at) => at % 4 === 0)).size"
    )
    assert ink > 20, "something is drawn"

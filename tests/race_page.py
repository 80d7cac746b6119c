"""The race page as a script, and what the tests of several pages bring to it."""

import io
import zipfile
from pathlib import Path

from PIL import Image
from streamlit.testing.v1 import AppTest

from ssam.experiment import RaceSpec
from ssam.methods import METHODS
from tests.patience import SECONDS
from tests.people import ALICE, SESSION

ROOT = Path(__file__).resolve().parents[1]


def page(**address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.session_state[SESSION] = ALICE
    for name, value in address.items():
        app.query_params[name] = value
    return app.run()


def start(app: AppTest) -> AppTest:
    return app.button(key="start_race").click().run()


def shown(app: AppTest) -> dict[str, object]:
    names = [
        *RaceSpec.model_fields,
        *(f"rho_{method}" for method in METHODS),
        *(f"sparsity_{method}" for method in METHODS),
    ]
    return {name: app.session_state.get(name) for name in names}


def two_classes() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("cats", "dogs"):
            for index in range(3):
                image = io.BytesIO()
                Image.new("RGB", (16, 16), (index, 90, 200)).save(image, "PNG")
                archive.writestr(f"{name}/{index}.png", image.getvalue())
    return packed.getvalue()

import itertools

import numpy as np
import pytest

from python_recon.phantom.anatomy import TISSUES, State, anatomy
from python_recon.phantom.ellipses import Ellipses, rasterise

AXIS = (np.arange(400) - 200) / 400


def draw(contraction=0.0, inspiration=0.0, heart_size=1.0):
    one = np.ones(())
    state = State(contraction * one, inspiration * one, one, one, one, heart_size)
    section = anatomy(state)
    return rasterise(section, AXIS, AXIS), section


@pytest.mark.parametrize("heart_size", [0.74, 1.0])
def test_tissues_lie_within_tissues_at_every_state(heart_size):
    """Ellipses that cross an edge would make intensities that no tissue has."""
    blend = 0.5 * (TISSUES["blood"] + TISSUES["liver"])  # small vessels of the liver
    known = np.array([*TISSUES.values(), blend])
    for contraction, inspiration in itertools.product((0, 0.2, 0.4), (0, 0.02, 0.04)):
        image, _ = draw(contraction, inspiration, heart_size)
        strange = np.abs(image[..., None] - known).min(axis=-1) > 1e-5
        assert strange.sum() == 0, np.argwhere(strange)[:5]


def test_body_keeps_clear_of_the_edge_of_the_field_of_view():
    for inspiration in (0, 0.04):
        image, _ = draw(inspiration=inspiration)
        margin = len(AXIS) // 20
        assert not image[:margin].any()
        assert not image[-margin:].any()
        assert not image[:, :margin].any()
        assert not image[:, -margin:].any()


def test_organs_lie_where_an_image_shows_them():
    """Front at the top and the patient's left at the right: liver, heart and spine tell all flips apart."""
    image, _ = draw()

    def at(x, y):
        return image[round(200 + 400 * y), round(200 + 400 * x)]

    assert at(0.09, -0.07) == pytest.approx(TISSUES["blood"])
    assert at(-0.21, 0.10) == pytest.approx(TISSUES["liver"])
    assert at(0.0, 0.15) == pytest.approx(TISSUES["vertebra"])
    assert at(0.0, -0.25) == pytest.approx(TISSUES["cortical_bone"])


def test_wall_thickens_and_both_cavities_shrink_in_systole():
    areas = []
    for contraction in (0, 0.3):
        image, _ = draw(contraction)
        heart = image[90:230, 160:300]
        areas.append(
            {name: np.isclose(heart, TISSUES[name], atol=1e-4).sum() for name in ("blood", "myocardium")}
        )
    assert areas[1]["blood"] < 0.7 * areas[0]["blood"]
    assert areas[0]["myocardium"] < areas[1]["myocardium"] < 1.2 * areas[0]["myocardium"]


def test_inspiration_moves_the_heart_down_and_lifts_the_chest():
    rest, deep = draw()[0], draw(inspiration=0.04)[0]

    def blood_centre(image):
        return np.argwhere(np.isclose(image[90:230, 160:300], 1.0, atol=1e-4)).mean(axis=0)

    assert blood_centre(deep)[0] > blood_centre(rest)[0] + 5
    assert np.argwhere(deep)[:, 0].min() < np.argwhere(rest)[:, 0].min()
    assert np.argwhere(deep)[:, 0].max() == np.argwhere(rest)[:, 0].max()


def test_states_over_time_give_one_column_each():
    times = np.linspace(0, 1, 6)[:, None]
    one = np.ones_like(times)
    section = anatomy(State(0.4 * times, 0.04 * times, one, one, one))
    assert all(getattr(section, name).shape == (len(section), 6, 1) for name in Ellipses.__dataclass_fields__)

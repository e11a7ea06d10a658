"""The heat map: the film, what is drawn on it and beside it, and the object around it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cxr_node.documents import build_heatmap, picture, region
from cxr_node.documents.picture import Legend
from tests.documents import activation, analysis, header, parse, report, source

LEGEND = Legend("Pneumonia", ("one", "two"), "careful", "scale", "least", "most")
GREY = np.full((1000, 1200), 90, np.uint8)


Grid = tuple[tuple[float, ...], ...]


def _grid(array: NDArray[np.float64]) -> Grid:
    return tuple(map(tuple, array.tolist()))


def test_the_outline_is_closed_and_lies_where_the_map_is_strong() -> None:
    (outline,) = region.outlines(activation(), rows=3000, columns=2400)
    assert 4 <= len(outline) <= region.MAXIMUM_POINTS
    assert (outline[0] == outline[-1]).all()
    assert (outline >= 0).all()
    column, row = outline[:-1].mean(axis=0)
    assert 4 / 7 < column / 2400 < 6 / 7
    assert 3 / 7 < row / 3000 < 6 / 7


def test_of_several_parts_the_one_with_the_most_evidence_is_first_and_crumbs_are_left_out() -> None:
    grid = np.zeros((12, 12))
    grid[1, 1], grid[6:10, 6:10], grid[1:3, 8:11] = 1, 0.9, 0.8
    first, second = region.outlines(_grid(grid), 1200, 1200)
    assert first[:, 1].min() > 500
    assert second[:, 1].max() < 500
    assert second[:, 0].min() > 600


def test_a_ragged_part_is_simplified() -> None:
    comb = np.zeros((40, 40))
    comb[:, ::4], comb[0] = 1, 1
    assert all(len(each) <= region.MAXIMUM_POINTS for each in region.outlines(_grid(comb), 2000, 2000))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 2)])
def test_without_an_area_there_is_no_outline(size: tuple[int, int]) -> None:
    assert region.outlines(((0.0,),), *size) == []
    assert all((each[0] == each[-1]).all() for each in region.outlines(((1.0,),), *size))


@pytest.mark.parametrize(
    ("corners", "begins"),
    [
        ([(100, 100), (600, 200), (500, 500), (100, 500)], [(100, 100), (600, 200)]),
        ([(100, 700), (400, 700), (450, 900), (700, 960), (100, 980)], [(400, 700), (450, 900)]),
        ([(500, 100), (900, 100), (900, 500), (600, 500)], [(600, 500), (500, 100)]),
        ([(800, 100), (990, 100), (990, 500), (700, 500)], [(700, 500), (800, 100)]),
        ([(850, 100), (990, 100), (990, 500), (830, 500)], [(830, 500), (850, 100)]),
    ],
    ids=["right edge", "not at the bottom", "not too far right", "as far as there is room", "all too far right"],
)
def test_an_outline_begins_where_a_viewer_has_room_for_words(
    corners: list[tuple[int, int]], begins: list[tuple[int, int]]
) -> None:
    closed = np.array([*corners, corners[0]], dtype=np.float32)
    begun = region.begun_for_words(closed, 1000, 1000)
    assert begun[:2].tolist() == [list(each) for each in begins]
    assert (begun[0] == begun[-1]).all()
    assert sorted(begun[:-1].tolist()) == sorted(closed[:-1].tolist())


def test_the_legend_is_below_the_film_and_never_on_it() -> None:
    drawn = picture.draw(GREY, None, LEGEND)
    assert (drawn[:1000] == 90).all()
    assert drawn.shape[1] == 1200
    assert 1100 < drawn.shape[0] < 1400
    assert drawn[1000:].max() > 200


def test_the_map_colours_only_what_it_is_about() -> None:
    drawn = picture.draw(GREY, activation(), LEGEND)
    coloured = (drawn[:1000] != 90).any(axis=2)
    assert coloured[650, 850]
    assert not coloured[:300].any()
    assert not coloured[:, :400].any()


def test_a_small_film_is_enlarged_in_its_proportions() -> None:
    plain = picture.draw(np.full((200, 100), 90, np.uint8), None, LEGEND)
    assert plain.shape[1] == picture.NARROWEST
    assert (plain[: 2 * picture.NARROWEST] == 90).all()


def test_a_slim_film_gets_a_margin_so_that_its_legend_can_be_read() -> None:
    drawn = picture.draw(np.full((2400, 500), 90, np.uint8), activation(), LEGEND)
    rows = 2400 * picture.NARROWEST // 500
    assert drawn.shape[1] == rows // 2
    assert (drawn[0] == picture.BACKGROUND).all(axis=1).sum() == drawn.shape[1] - picture.NARROWEST
    assert (drawn[0, (drawn.shape[1] - picture.NARROWEST) // 2 + 1] == 90).all()


def test_the_outline_is_seen_on_what_is_bright_and_on_what_is_dark() -> None:
    ((column, row), *_) = region.outlines(activation(), 1000, 1200)[0].astype(int)
    for grey in (0, 90, 255):
        light = picture.overlay(np.full((1000, 1200, 3), grey, np.uint8), activation()).mean(axis=2)
        around = light[row - 8 : row + 9, column - 8 : column + 9]
        assert around.max() - around.min() > 120


def test_details_that_are_too_long_go_on_in_the_next_line() -> None:
    long = " ".join(["unlike the films"] * 16)
    one, more = (picture.draw(GREY, activation(), Legend("P", (text,), "i", "m", "l", "h")) for text in ("a", long))
    assert more.shape[0] > one.shape[0] + 2 * GREY.shape[1] // 48
    assert all(picture.width_of(line, 25) <= 400 for line in picture.broken(long, 25, 400))
    assert picture.broken("a" * 90, 25, 40) == ["a" * 90]


def test_words_that_are_too_long_are_written_smaller() -> None:
    wide = Legend("W" * 200, ("w" * 300,), "i" * 400, "m" * 80, "least", "most")
    for shown in (activation(), None):
        band = picture.draw(GREY, shown, wide)[1000:]
        assert (band[:, -10:] == band[0, 0]).all()


@pytest.mark.parametrize("accented", ["áéíóúüñÁÉÍÓÚÑ¿¡", "°"])
def test_spanish_letters_are_drawn(accented: str) -> None:
    def drawn(text: str) -> bytes:
        return picture.draw(GREY, None, Legend(text, (), "", "", "", "")).tobytes()

    shapes = {drawn(letter) for letter in accented}
    assert len(shapes) == len(accented)
    assert not shapes & {drawn(letter) for letter in "?aeiouunAEIOUN"}


def test_the_object_around_the_picture() -> None:
    film = header(
        PatientOrientation=["L", "F"], LossyImageCompression="01", LossyImageCompressionRatio="10.5",
        LossyImageCompressionMethod="ISO_15444_1", ImagerPixelSpacing=["0.1", "0.1"], ImageLaterality="U",
    )  # fmt: skip
    made = report(source(film), source(header(2), 0.2))
    image = parse(build_heatmap(made, made.sources[0], GREY))
    assert image.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert image.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert image.ImageType == ["DERIVED", "SECONDARY", "OTHER"]
    assert image.PatientOrientation == ["L", "F"]
    assert (image.LossyImageCompression, image.LossyImageCompressionRatio) == ("01", 10.5)
    assert image.LossyImageCompressionMethod == "ISO_15444_1"
    assert image.BurnedInAnnotation == "NO"
    assert (image.SeriesNumber, image.Modality, image.ConversionType) == (9902, "OT", "WSD")
    assert "PixelSpacing" not in image
    assert "ImagerPixelSpacing" not in image
    assert "Laterality" not in image
    (origin,) = image.SourceImageSequence
    assert origin.ReferencedSOPInstanceUID == film.SOPInstanceUID
    assert origin.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert image.pixel_array.shape == (image.Rows, image.Columns, 3)
    assert image.StudyInstanceUID == film.StudyInstanceUID


def test_burned_in_text_of_the_film_is_said_again() -> None:
    made = report(source(header(BurnedInAnnotation="YES")))
    assert parse(build_heatmap(made, made.sources[0], GREY)).BurnedInAnnotation == "YES"


@pytest.mark.parametrize("language", ["en", "es"])
def test_below_the_threshold_and_with_a_blank_map_the_film_stays_as_it_is(language: str) -> None:
    blank = analysis(0.9, activation=((0.0,),))
    for given in (source(probability=0.2), source(analysis=blank)):
        made = report(given, language=language, revision=2)
        shown = parse(build_heatmap(made, made.sources[0], GREY)).pixel_array
        assert (shown[:1000] == 90).all()


def test_a_map_is_of_an_analysed_film() -> None:
    made = report(source(), source(header(2), None))
    with pytest.raises(ValueError, match="analysis"):
        build_heatmap(made, made.sources[1], GREY)

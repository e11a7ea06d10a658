"""Data: adaptors on generated folders of each layout, splits that never part a patient, the report, packing."""

import csv
import itertools
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cxr_node.errors import ConfigError
from cxr_node.inference import golden
from tests.films import chest
from training import recipe as recipes
from training.cli import commands
from training.data import Film, check_splits, patient_key, read_manifest, write_manifest
from training.pack import pack
from training.pictures import prepared_film
from training.preparation import Crop, PrepareRecipe
from training.recipe import Recipe
from training.sources import read_films
from training.splits import deal, films_of
from training.survey import report

pytestmark = pytest.mark.training

LABELS = ["normal", "bacterial_pneumonia", "viral_pneumonia", "covid19"]


def _draw(path: Path, number: int = 0, size: tuple[int, int] = (48, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.resize(golden.phantom(number, 48), size))
    return path


def _kermany(place: Path) -> Path:
    for split, number in (("train", 1), ("val", 5), ("test", 9)):
        _draw(place / split / "NORMAL" / f"IM-{number:04}-0001.jpeg", number, (64, 48))
        _draw(place / split / "NORMAL" / f"NORMAL2-IM-{number:04}-0001-0002.jpeg", number + 1)
        _draw(place / split / "PNEUMONIA" / f"person{number}_bacteria_{number}.jpeg", number + 2)
        _draw(place / split / "PNEUMONIA" / f"person{number}_virus_{number}.jpeg", number + 3)
    return place


def _siim(place: Path) -> Path:
    """Twelve studies of six patients, four appearances; every third image shows nothing though its study does."""
    studies = ["id,Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance"]
    images = ["id,boxes,label,StudyInstanceUID"]
    for number in range(12):
        studies.append(f"s{number}_study," + ",".join("1" if number % 4 == column else "0" for column in range(4)))
        boxes = "\"[{'x': 1.5, 'y': 2, 'width': 30, 'height': 40}]\""
        none = number % 4 == 0 or number % 3 == 1
        images.append(
            f"i{number}_image,{'' if none else boxes},{'none 1 0 0 1 1' if none else 'opacity 1 1 2 3 4'},s{number}"
        )
        path = place / "train" / f"s{number}" / "series" / f"i{number}.dcm"
        path.parent.mkdir(parents=True)
        chest(number, PatientID=f"P{number // 2}").save_as(path)
    (place / "train_study_level.csv").write_text("\n".join(studies) + "\n")
    (place / "train_image_level.csv").write_text("\n".join(images) + "\n")
    return place


def test_folders_of_kermany(tmp_path: Path) -> None:
    films = read_films(_kermany(tmp_path))
    assert len(films) == 12
    first = films[0]
    assert (first.patient, first.label, first.split, first.native) == ("kermany:IM-0001", "normal", "train", (64, 48))
    assert {film.patient for film in films if film.split == "test"} == {
        "kermany:IM-0009", "kermany:NORMAL2-IM-0009", "kermany:person9_bacteria", "kermany:person9_virus",
    }  # fmt: skip
    assert {film.label for film in films} == {"normal", "bacterial_pneumonia", "viral_pneumonia"}


def test_a_patient_of_two_folders_is_refused_and_can_be_dealt_out_anew(tmp_path: Path) -> None:
    place = _kermany(tmp_path / "films")
    _draw(place / "test" / "PNEUMONIA" / "person1_virus_99.jpeg")
    with pytest.raises(ConfigError, match="more than one split: kermany:person1_virus"):
        read_films(place)
    arguments = ["data", str(place), "--out", str(tmp_path / "dealt.csv"), "--no-yardstick"]
    refused = CliRunner().invoke(commands, arguments)
    assert isinstance(refused.exception, ConfigError)
    assert not (tmp_path / "dealt.csv").exists()
    dealt = CliRunner().invoke(commands, [*arguments, "--deal", "50:25:25"])
    assert dealt.exit_code == 0, dealt.output
    films = read_manifest(tmp_path / "dealt.csv")
    assert len(films) == 13
    assert len({film.split for film in films if film.patient == "kermany:person1_virus"}) == 1


def test_radiography_folders_with_and_without_sheets(tmp_path: Path) -> None:
    for folder, name in (
        ("COVID", "COVID-1"),
        ("COVID", "COVID-2"),
        ("Normal", "Normal-1"),
        ("Viral Pneumonia", "V-1"),
    ):
        _draw(tmp_path / folder / "images" / f"{name}.png")
        _draw(tmp_path / folder / "masks" / f"{name}.png")
    films = read_films(tmp_path)
    assert sorted(film.label for film in films) == ["covid19", "covid19", "normal", "viral_pneumonia"]
    assert {(film.patient, film.split, film.source) for film in films} == {("unknown", "train", "covid_radiography_db")}
    sheet = tmp_path / "COVID.metadata.csv"
    sheet.write_text(
        "FILE NAME,FORMAT,SIZE,URL\nCOVID-1,PNG,256*256,https://sirm.org/x\nCOVID-2,PNG,1,https://b.es/y\n"
    )
    sources = {film.source for film in read_films(tmp_path) if film.label == "covid19"}
    assert sources == {"covid_radiography_db:sirm.org", "covid_radiography_db:b.es"}
    sheet.write_text("NAME\nCOVID-1\n")
    with pytest.raises(ConfigError, match="no column 'FILE NAME'"):
        read_films(tmp_path)
    (tmp_path / "Tuberculosis").mkdir()
    with pytest.raises(ConfigError, match="'Tuberculosis'"):
        read_films(tmp_path)


def test_siim_tables_with_dicom(tmp_path: Path) -> None:
    films = read_films(_siim(tmp_path))
    assert len(films) == 12
    assert len({film.patient for film in films}) == 6
    assert {film.split for film in films} >= {"train", "test"}
    check_splits(films)
    assert films == read_films(tmp_path), "the same films are test films every time"
    boxed = next(film for film in films if film.boxes)
    assert boxed.boxes == ((1.5, 2, 30, 40),)
    assert prepared_film(boxed, 32, PrepareRecipe()).shape == (32, 32)
    found = report(films, yardstick=False)
    assert "Label disagreements: 3 of 12 films; the study has an opacity and the film none: 3" in found


@pytest.mark.parametrize(
    ("table", "before", "after", "said"),
    [
        ("train_study_level.csv", "Typical Appearance,", "Typical,", "no column 'Typical Appearance'"),
        ("train_study_level.csv", "s1_study,0,1,0,0", "s1_study,0,1,1,0", "s1_study has 2 labels"),
        ("train_study_level.csv", "s2_study", "sx_study", "belongs to a study that"),
        ("train_image_level.csv", "i3_image", "i33_image", "no file i33.dcm"),
        ("train_image_level.csv", "'height'", "'tall'", "are not understood"),
    ],
)
def test_mistakes_in_siim_tables(table: str, before: str, after: str, said: str, tmp_path: Path) -> None:
    _siim(tmp_path)
    path = tmp_path / table
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(ConfigError, match=said):
        read_films(tmp_path)


def test_unknown_layouts_and_empty_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none of the known layouts"):
        read_films(tmp_path)
    (tmp_path / "train" / "NORMAL").mkdir(parents=True)
    with pytest.raises(ConfigError, match="no film in them"):
        read_films(tmp_path)
    (tmp_path / "train" / "COVID").mkdir()
    with pytest.raises(ConfigError, match="'COVID'"):
        read_films(tmp_path)


def test_unknown_labels_and_broken_rows_are_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "films.csv"
    manifest.write_text("path,source,patient_id,label,split\nfilm.png,a,p,normall,train\n")
    with pytest.raises(ConfigError, match=r"film\.png has the label 'normall'"):
        read_manifest(manifest)
    manifest.write_text("path,source,patient_id,label,split,boxes\nfilm.png,a,p,normal,train,1 2 3\n")
    with pytest.raises(ConfigError, match="is not understood"):
        read_manifest(manifest)


def test_a_manifest_is_written_as_it_is_read(tmp_path: Path) -> None:
    film = Film(tmp_path / "a.png", "s", "s:1", "typical", "PA", "val", (3000, 2500), "none", ((1, 2, 3.5, 4),))
    plain = Film(tmp_path / "b.png", "s", "unknown", "normal", "AP", "train")
    write_manifest([film, plain], tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv") == [film, plain]


@pytest.mark.parametrize("name", ["film.png", "film.dcm"])
def test_damaged_films_are_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    film = Film(path, "a", "p", "normal", "PA", "train")
    for content in (None, b"no film"):
        if content:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=rf"The film .*{name} cannot be used"):
            prepared_film(film, 32, PrepareRecipe())


def test_the_crop_grows_with_the_film(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), np.tile(np.arange(200, dtype=np.uint8), (100, 1)))
    crop = PrepareRecipe(crop=Crop(width=0.35, height=0.2, widest=2000, highest=1000))
    film = Film(path, "a", "p", "normal", "PA", "train", native=(2000, 1000))
    whole = prepared_film(film, 64, PrepareRecipe())
    large = prepared_film(film, 64, crop)
    assert large[0, 0] == whole[0, 0] == 0, "both are stretched over their own range"
    assert np.diff(large[32]).mean() == pytest.approx(np.diff(whole[32]).mean(), abs=0.01)
    squares = np.zeros((100, 200), np.uint8)
    squares[:, 40:160] = 255
    cv2.imwrite(str(path), squares)
    shares = [prepared_film(replace(film, native=(side, side // 2)), 200, crop).mean() for side in (500, 1000, 2000)]
    assert shares == pytest.approx([0.6 / (1 - 0.35 * part) for part in (0.25, 0.5, 1)], abs=0.02)


films_strategy = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["unknown", *map(str, range(12))]), st.sampled_from(LABELS),
              st.sampled_from(["train", "val", "test"])),
    min_size=1, max_size=60,
)  # fmt: skip


def _films(rows: list[tuple[str, str, str, str]]) -> list[Film]:
    return [
        Film(Path(f"{n}.png"), source, patient if patient == "unknown" else f"{source}:{patient}", label, "PA", split)
        for n, (source, patient, label, split) in enumerate(rows)
    ]


def _splits_of_patients(films: list[Film]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for film in films:
        found[patient_key(film)].add(film.split)
    return found


@settings(max_examples=150, deadline=None)
@given(films_strategy, st.integers(0, 9))
def test_dealing_out_never_parts_a_patient(rows: list[tuple[str, str, str, str]], seed: int) -> None:
    films = _films(rows)
    dealt = deal(films, {"train": 0.7, "val": 0.1, "test": 0.2}, seed)
    assert all(len(splits) == 1 for splits in _splits_of_patients(dealt).values())
    assert sorted(film.path for film in dealt) == sorted(film.path for film in films)
    assert dealt == deal(films, {"train": 0.7, "val": 0.1, "test": 0.2}, seed)
    check_splits(dealt)


@settings(max_examples=150, deadline=None)
@given(films_strategy, st.booleans(), st.one_of(st.none(), st.integers(1, 9)), st.one_of(st.none(), st.integers(1, 9)))
def test_no_recipe_gets_a_patient_twice(
    rows: list[tuple[str, str, str, str]], merged: bool, most: int | None, limit: int | None
) -> None:
    again = {"merge": ["train", "val"], "parts": {"train": 0.8, "val": 0.2}} if merged else {}
    recipe = Recipe.model_validate(
        recipes.load(recipes.shipped()["003-densenet121-v1"]).model_dump()
        | {"data": {**again, "per_class": most}, "classes": {label: [label] for label in LABELS}}
    )
    try:
        used = films_of(recipe, _films(rows), limit)
    except ConfigError:
        return  # refused, which is the other answer that is allowed
    assert all(len(splits) == 1 for splits in _splits_of_patients(used).values())
    for label, split in itertools.product(LABELS, ("train", "val", "test")):
        there = sum(film.label == label and film.split == split for film in used)
        assert split != "train" or most is None or there <= most
        assert limit is None or there <= limit


def test_few_films_of_a_hospital_are_even_over_its_labels_and_among_those_of_more() -> None:
    rows = [("a", str(n), LABELS[n % 3 != 0], "train") for n in range(90)]
    rows += [("b", str(n), LABELS[n % 2], ("train", "val")[n % 5 == 0]) for n in range(50)]
    base = recipes.load(recipes.shipped()["001-cnn"]).model_dump() | {
        "classes": {label: [label] for label in LABELS[:2]}
    }

    def used(**few: int) -> list[Film]:
        return films_of(Recipe.model_validate(base | {"data": {"few": few}}), _films(rows))

    whole, ten, twenty = used(), used(a=10), used(a=20)
    assert [film for film in ten if film.source == "b"] == [film for film in whole if film.source == "b"]
    for some, most in ((ten, 10), (twenty, 20)):
        labels = [film.label for film in some if film.source == "a"]
        assert [labels.count(label) for label in LABELS[:2]] == [most // 2, most // 2]
    assert {film.path for film in ten} < {film.path for film in twenty} < {film.path for film in whole}
    assert used(a=1000) == whole
    with pytest.raises(ValidationError, match="few are of kermany, not 'nih'"):
        Recipe.model_validate(base | {"data": {"sources": ["kermany:normal"], "few": {"nih": 5}}})


def test_dealing_out_comes_near_its_parts() -> None:
    films = _films([("a", str(n), LABELS[n % 2 if n % 5 else 0], "train") for n in range(400)])
    dealt = deal(films, {"train": 0.64, "val": 0.16, "test": 0.2}, 3)
    for label in LABELS[:2]:
        total = sum(film.label == label for film in films)
        for split, part in (("train", 0.64), ("val", 0.16), ("test", 0.2)):
            there = sum(film.label == label and film.split == split for film in dealt)
            assert there == pytest.approx(part * total, abs=2)


def test_empty_classes_and_one_class_validation_are_refused() -> None:
    recipe = recipes.load(recipes.shipped()["001-cnn"])
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"merge": (), "parts": {}})})
    rows = [("kermany", "1", "normal", "train"), ("kermany", "2", "normal", "val")]
    with pytest.raises(ConfigError, match="The class 'pneumonia' has no training film"):
        films_of(recipe, _films(rows))
    rows.append(("kermany", "3", "viral_pneumonia", "train"))
    with pytest.raises(ConfigError, match="Every validation film is of the class 'normal'"):
        films_of(recipe, _films(rows))
    with pytest.raises(ConfigError, match="no film of the recipe's sources and labels in the split 'val'"):
        films_of(recipe, _films([row for row in rows if row[3] == "train"]))


def test_the_report_counts_duplicates_and_measures_shortcuts(tmp_path: Path) -> None:
    films = []
    for number in range(24):
        ill = number % 2
        path = _draw(tmp_path / f"{number}.png", number, (64, 48) if ill else (48, 48))
        native = (64 + number, 48) if ill else (48, 48)
        films.append(Film(path, "ab"[ill], f"p{number}", LABELS[2 * ill], "PA", "train", native=native))
    films.append(replace(films[0], patient="p99", split="test"))
    found = report(films)
    assert "25 films, 25 patients." in found
    assert "same pixels: 1 groups; in two splits: 1; two labels: 0." in found
    figures = {
        line[2:18].strip(): float(line[18:]) for line in found.split("sees only\n")[1].split("\n\n")[0].splitlines()
    }
    assert figures["the source"] == figures["the size"] == 1.0, "source and size give these labels away"
    assert figures["nothing"] == 0.5


def test_a_pack_is_small_and_reads_as_it_was(tmp_path: Path) -> None:
    films = [
        Film(_draw(tmp_path / "in" / f"{n}.png", n), "a", f"p{n}", LABELS[n % 2], "PA", ("train", "val")[n % 2])
        for n in range(6)
    ]
    write_manifest(films, tmp_path / "in" / "manifest.csv")
    out = tmp_path / "out"
    packed = CliRunner().invoke(commands, ["pack", str(tmp_path / "in"), "--out", str(out), "--size", "32"])
    assert packed.exit_code == 0, packed.output
    read = read_films(out)
    assert [(film.patient, film.label, film.split) for film in read] == [
        (film.patient, film.label, film.split) for film in films
    ]
    for first, second in zip(films, read, strict=True):
        small, packed_film = (prepared_film(film, 32, PrepareRecipe()) for film in (first, second))
        assert np.abs(small - packed_film).mean() < 0.05
    with pytest.raises(ConfigError, match="is not empty"):
        pack(films, out, 32, 10**6)
    with pytest.raises(ConfigError, match="Only 1 of 6 films"):
        pack(films, tmp_path / "little", 32, 1200)
    assert list((tmp_path / "little").iterdir()) == []
    with (out / "manifest.csv").open() as stream:
        assert next(csv.DictReader(stream))["path"] == "films/000000.jpg"

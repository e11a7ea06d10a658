"""What readers see: reports and heat maps of a node in the OHIF viewer, as pictures. `make viewer`.

A node for each mode and language gets a film with a finding and one without, and writes into Debian's Orthanc; OHIF
(npm package @ohif/app, its prebuilt dist/) shows every series of every study in headless Chromium. Each is a PNG in the
folder of --out; those that docs/documents.md shows are written to docs/images with --docs.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.remote.webdriver import WebDriver

from cxr_node.demo.dx import presentation_film
from cxr_node.domain.uid import UUID_ROOT, derive_uid
from tests.browser import all_of, browser
from tests.node import Node
from tests.orthanc import Orthanc

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZE, SHOWN = (1600, 1000), (1000, 625)
SPACING = 0.3  # mm: of a picture that does not say it; a film is about 30 cm wide
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
DRAWN_BY_SOFTWARE = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
THUMBNAILS = '[data-cy^="study-browser-thumbnail"]'
LOAD_SECONDS, DRAW_SECONDS, OUTLINE_SECONDS = 10.0, 5.0, 10.0
CONFIG = """window.config = { routerBasename: '/', extensions: [], modes: [], showStudyList: true,
  showLoadingIndicator: true, showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: false,
  investigationalUseDialog: { option: 'never' }, defaultDataSourceName: 'dicomweb', dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'dicomweb', configuration: {
      friendlyName: 'Orthanc', name: 'orthanc', wadoUriRoot: '/wado', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
      qidoSupportsIncludeField: false, imageRendering: 'wadors', thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true, omitQuotationForMultipartRequest: true, bulkDataURI: { enabled: false } } }] };"""


@dataclass(frozen=True)
class Case:
    """A node of a kind, and the film that it is sent."""

    film: str
    mode: str
    language: str
    whole_image: bool = False
    further: bool = False

    def __str__(self) -> str:
        more = [word for word, wanted in (("whole", self.whole_image), ("further", self.further)) if wanted]
        return "-".join([self.film, self.mode, self.language, *more])


CASES = (
    *(
        Case(film, mode, said)
        for said in ("en", "es")
        for mode in ("full", "triage")
        for film in ("positive", "negative")
    ),
    *(Case("negative", "triage", said, whole_image=True) for said in ("en", "es")),
    Case("positive", "full", "en", further=True),
)
DOCUMENTED = {
    "viewer-report": (Case("positive", "full", "en"), "SR"),
    "viewer-heatmap-es": (Case("positive", "full", "es"), "OT"),
    "viewer-negative": (Case("negative", "full", "en"), "OT"),
    "viewer-triage-es": (Case("negative", "triage", "es"), "SR"),
    "viewer-whole-image": (Case("negative", "triage", "es", whole_image=True), "SR"),
}
"""By file of docs/images: the study and the modality of the series that it shows."""


def film_of(path: Path, case: Case) -> Dataset:
    """A film (DICOM, or a grey picture) as one of a study of this case alone, of a patient without a name."""
    if path.suffix.lower() in (".png", ".jpg", ".jpeg"):
        film: Dataset = presentation_film(
            np.asarray(Image.open(path).convert("L")), 8, SPACING, str(case), ViewPosition="PA"
        )
    else:
        film = dcmread(path)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(film, keyword, derive_uid(UUID_ROOT, ["viewer", keyword, str(case)]))
        film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    film.PatientName, film.PatientID, film.AccessionNumber = f"{case.film}^Film", str(case), str(case)[:16]
    film.StudyDescription = f"{case.mode}, {case.language}"
    return film


def written(case: Case, path: Path, archive: Orthanc, folder: Path) -> str:
    """Let a node write into the archive what it makes of a film, which is there already; the study."""
    destination = archive.destination(whole_image_region=case.whole_image)
    further = ["cxr-covid"] if case.further else []
    film = film_of(path, case)
    with Node(
        folder / str(case), destinations=[destination], node__mode=case.mode, node__language=case.language,
        model__further=further,
    ) as node:  # fmt: skip
        archive.store(node.written(film))
        node.send(film)
        node.wait_final(str(film.StudyInstanceUID))
    return str(film.StudyInstanceUID)


class Page(SimpleHTTPRequestHandler):
    """OHIF's files, and Orthanc's DICOMweb beside them."""

    def __init__(self, archive: Orthanc, *request: Any, **more: Any) -> None:
        self.archive = archive
        super().__init__(*request, **more)

    def log_message(self, *_: object) -> None:
        """Not said: there are hundreds of requests."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith(("/dicom-web", "/wado")):
            kind, body = self.archive.asked(self.path, self.headers.get("Accept", "*/*"))
            self._answer(kind, body)
        elif path == "/app-config.js":
            self._answer("text/javascript", CONFIG.encode())
        else:
            if not Path(self.directory, path.lstrip("/")).is_file():
                self.path = "/index.html"
            super().do_GET()

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def viewer(ohif: Path, archive: Orthanc) -> Iterator[str]:
    """The address of OHIF, as long as it is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Page, archive, directory=str(ohif)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def shoot(driver: WebDriver, address: str, study: str, case: Case, out: Path) -> None:
    """One picture of each series of a study."""
    driver.get(f"{address}/viewer?StudyInstanceUIDs={study}")
    time.sleep(LOAD_SECONDS)
    for button in driver.find_elements("xpath", "//button[normalize-space()='Skip all']"):  # a tour
        button.click()
    for index in range(len(all_of(driver, THUMBNAILS))):
        thumbnail = all_of(driver, THUMBNAILS)[index]  # looked for each time: the list is drawn anew as films load
        modality = next(word for word in thumbnail.text.split() if word in ("CR", "DX", "SR", "OT"))
        ActionChains(driver).double_click(thumbnail).perform()
        time.sleep(DRAW_SECONDS)
        if modality == "SR":
            await_outlines(driver)
        driver.save_screenshot(str(out / f"{case}-{modality}.png"))


def await_outlines(driver: WebDriver) -> None:
    """OHIF draws regions some time after the film, or when the mouse moves over it; of some reports it draws none."""
    until = time.monotonic() + OUTLINE_SECONDS
    while time.monotonic() < until and not all_of(driver, "svg.svg-layer text"):
        ActionChains(driver).move_by_offset(3, 3).perform()
        time.sleep(1)


def document(out: Path) -> None:
    """Write the pictures that docs/documents.md shows."""
    for name, (case, modality) in DOCUMENTED.items():
        picture = Image.open(out / f"{case}-{modality}.png").convert("RGB")
        picture.resize(SHOWN, Image.Resampling.LANCZOS).save(IMAGES / f"{name}.jpg", quality=88, optimize=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.viewer", description=__doc__)
    parser.add_argument("--ohif", type=Path, required=True, help="the dist/ of the npm package @ohif/app")
    parser.add_argument("--positive", type=Path, required=True, help="a film with a finding: DICOM, PNG or JPEG")
    parser.add_argument("--negative", type=Path, required=True, help="one without")
    parser.add_argument("--out", type=Path, required=True, help="where the pictures go")
    parser.add_argument("--docs", action="store_true", help="write those of docs/images, too")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    films = {"positive": given.positive, "negative": given.negative}
    web = {"Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True}}
    with tempfile.TemporaryDirectory() as folder, Orthanc(Path(folder), settings=web) as archive:
        studies = {case: written(case, films[case.film], archive, Path(folder)) for case in CASES}
        with viewer(given.ohif.resolve(), archive) as address:
            for case, study in studies.items():
                with browser(*SIZE, more=DRAWN_BY_SOFTWARE) as driver:
                    shoot(driver, address, study, case, given.out)
    if given.docs:
        document(given.out)


if __name__ == "__main__":
    main()

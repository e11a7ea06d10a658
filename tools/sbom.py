"""The bill of materials of a node (CycloneDX 1.6, JSON), on standard output: what an installation without extras has.

It describes the environment that runs it: `make sbom`.
"""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

ROOT = "cxr-node"


def materials() -> Bom:
    """The node, each package that it needs here, and what needs what."""
    bom, components = Bom(), {ROOT: _component(ROOT, ComponentType.APPLICATION)}
    bom.metadata.component = components[ROOT]
    waiting = [ROOT]
    while waiting:
        name = waiting.pop()
        needed = sorted(set(_needed(distribution(name))))
        for other in needed:
            if other not in components:
                components[other] = _component(other, ComponentType.LIBRARY)
                waiting.append(other)
                bom.components.add(components[other])
        bom.register_dependency(components[name], [components[other] for other in needed])
    return bom


def _needed(package: Distribution) -> Iterator[str]:
    for line in package.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield re.sub(r"[-_.]+", "-", requirement.name).lower()


def _component(name: str, kind: ComponentType) -> Component:
    package = distribution(name)
    said = package.metadata.get("License-Expression") or package.metadata.get("License")
    classified = [one for one in package.metadata.get_all("Classifier") or () if one.startswith("License ::")]
    licence = said if said and len(said) < 100 else classified[0].split(" :: ")[-1] if classified else None
    return Component(
        name=name,
        version=package.version,
        type=kind,
        bom_ref=name,
        purl=PackageURL("pypi", name=name, version=package.version),
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
    )


if __name__ == "__main__":
    print(JsonV1Dot6(materials()).output_as_string(indent=2))  # noqa: T201 - that is what it is for

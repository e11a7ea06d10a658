"""Who observed: model builds as devices (PS3.16 TID 1002, TID 1004)."""

from collections.abc import Iterable

from highdicom.sr import DeviceObserverIdentifyingAttributes, ObservationContext, ObserverContext
from highdicom.sr.coding import CodedConcept

from cxr_node.documents import codes, identity
from cxr_node.documents.envelope import MANUFACTURER
from cxr_node.documents.request import Profile
from cxr_node.domain.finding import ModelIdentity


def observers(profile: Profile, models: Iterable[ModelIdentity]) -> ObservationContext:
    """The builds, each with a device UID of its own."""
    context = ObservationContext()
    for model in models:
        attributes = DeviceObserverIdentifyingAttributes(
            uid=identity.device_uid(profile.uid_root, model),
            name=profile.station or MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=f"{model.name} {model.version}",
            serial_number=model.digest[:16],
        )
        context.extend(ObserverContext(CodedConcept.from_code(codes.DEVICE), attributes))
    return context

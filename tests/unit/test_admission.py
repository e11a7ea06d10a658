"""Who gets an association: places that are kept, titles, and how refusals are told of."""

from cxr_node.domain.callers import Refusals
from cxr_node.domain.intake import Refusal
from tests.bench import Clock


def test_a_caller_that_is_refused_again_and_again_is_told_of_once_a_minute() -> None:
    told: list[Refusal] = []
    clock = Clock()
    refusals = Refusals(told.append, clock)
    for _ in range(1000):
        refusals.rejected("10.0.0.1", "CT1", "full")
    assert told == [Refusal("association.rejected", "10.0.0.1", "CT1", "full", 1)]
    clock.turn(60)
    refusals.rejected("10.0.0.1", "CT1", "full")
    assert told[1:] == [Refusal("association.rejected", "10.0.0.1", "CT1", "full", 1000)]


def test_each_address_and_each_reason_is_told_of_under_whatever_name() -> None:
    told: list[Refusal] = []
    refusals = Refusals(told.append, Clock())
    for address in ("10.0.0.1", "10.0.0.2"):
        for reason in ("full", "unknown"):
            for number in range(100):
                refusals.rejected(address, f"CT{number}", reason)
    assert len(told) == 4
    assert {one.calling for one in told} == {"CT0"}


def test_a_refused_connection_has_no_title() -> None:
    told: list[Refusal] = []
    Refusals(told.append, Clock()).refused("10.0.0.1", "no TLS")
    assert told == [Refusal("connection.refused", "10.0.0.1", "", "no TLS", 1)]


def test_what_is_remembered_of_callers_is_bounded() -> None:
    refusals = Refusals(lambda _: None, Clock())
    for number in range(2500):
        refusals.refused(str(number), "full")
    assert len(refusals._known) <= 1000

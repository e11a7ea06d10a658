"""The laws of the reading order, over any studies."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.finding import Tier
from cxr_node.domain.priority import Place, Policy, Priority, sort_key

HOUR = 3600.0
NOW = 100 * HOUR

places = st.builds(
    Place,
    study_instance_uid=st.integers(0, 999).map("1.2.{:03}".format),
    received_at=st.integers(0, 100).map(lambda hour: hour * HOUR),
    tier=st.sampled_from(Tier),
    priority=st.none() | st.sampled_from(Priority),
)
worklists = st.lists(places, max_size=30, unique_by=lambda place: place.study_instance_uid)
policies = st.builds(Policy, max_wait_seconds=st.integers(1, 100).map(lambda hour: hour * HOUR), frozen=st.booleans())


def ordered(studies: list[Place], policy: Policy) -> list[Place]:
    return sorted(studies, key=lambda place: sort_key(place, policy, NOW))


def without_model(place: Place) -> Place:
    return Place(place.study_instance_uid, place.received_at, Tier.NONE, place.priority)


@given(worklists, policies, st.randoms())
def test_the_order_does_not_depend_on_where_the_studies_stood(
    studies: list[Place], policy: Policy, random: Random
) -> None:
    shuffled = list(studies)
    random.shuffle(shuffled)
    assert ordered(shuffled, policy) == ordered(studies, policy)


@given(worklists, policies)
def test_no_two_studies_share_a_place(studies: list[Place], policy: Policy) -> None:
    assert len({sort_key(place, policy, NOW) for place in studies}) == len(studies)


@given(worklists, policies)
def test_the_model_puts_a_study_behind_no_one_it_did_not_promote(studies: list[Place], policy: Policy) -> None:
    """Law 6: whoever overtakes a study by the model's word was promoted, above it or to where a person put it."""
    before = [place.study_instance_uid for place in ordered([without_model(place) for place in studies], policy)]
    after = ordered(studies, policy)
    for position, place in enumerate(after):
        behind_it = before[before.index(place.study_instance_uid) + 1 :]
        for other in after[:position]:
            if other.study_instance_uid in behind_it:
                assert other.tier is not Tier.NONE
                assert other.tier.rank < place.tier.rank or place.priority is Priority.HIGH


@given(worklists, policies)
def test_what_is_not_promoted_stands_in_the_order_of_arrival(studies: list[Place], policy: Policy) -> None:
    plain = [p for p in ordered(studies, policy) if p.tier is Tier.NONE and p.priority is None]
    assert plain == sorted(plain, key=lambda place: (place.received_at, place.study_instance_uid))


@given(worklists, policies)
def test_only_stat_goes_before_a_study_past_its_maximum_wait(studies: list[Place], policy: Policy) -> None:
    if policy.frozen:
        return
    for position, place in enumerate(order := ordered(studies, policy)):
        if NOW - place.received_at > policy.max_wait_seconds:
            for other in order[:position]:
                assert other.priority is Priority.STAT or other.received_at <= place.received_at


@given(worklists, policies)
def test_stat_is_read_first(studies: list[Place], policy: Policy) -> None:
    stat = [place.priority is Priority.STAT for place in ordered(studies, policy)]
    assert stat == sorted(stat, reverse=True)


@given(worklists, st.integers(1, 100))
def test_while_frozen_the_model_moves_nothing(studies: list[Place], hours: int) -> None:
    policy = Policy(hours * HOUR, frozen=True)
    uids = [place.study_instance_uid for place in ordered(studies, policy)]
    assert uids == [place.study_instance_uid for place in ordered([without_model(p) for p in studies], policy)]

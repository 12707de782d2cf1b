"""The worker's state machine."""

from collections.abc import Sequence

import hypothesis.strategies as st
from hypothesis import given

from codetether_ray.core.work import Ended, Worker, WorkWish
from codetether_ray.worker import loop
from codetether_ray.worker.offers import Offer

ME = Worker(id="w", tenant="", name="me", codebases=("/src",))
DONE = Ended(status="completed", result="ok")
STOPPED = Ended(status="cancelled", result="part")


def offer(id: str, **more: str) -> Offer:
    return Offer(id=id, wish=WorkWish(**more))  # type: ignore[arg-type]


def after(
    *happenings: loop.Happening, limit: int = 1
) -> tuple[loop.State, tuple[loop.Action, ...]]:
    """The state after all of it, and what the last one asked for."""
    state, actions = loop.State(me=ME, limit=limit), ()
    for happening in happenings:
        state, actions = loop.step(state, happening)
    return state, actions


A = offer("a")
CLAIMED = (loop.Offered(A), loop.Claimed(A, 1))


def test_an_offer_is_claimed_and_a_claimed_task_is_begun() -> None:
    assert after(loop.Offered(A))[1] == (loop.Claim(A),)
    assert after(*CLAIMED)[1] == (loop.Begin(A, 1),)


def test_what_does_not_fit_is_not_claimed() -> None:
    for odd in (offer("x", agent_name="other"), offer("y", codebase="/etc")):
        assert after(loop.Offered(odd))[1] == ()


def test_the_same_task_told_again_is_not_claimed_again() -> None:
    for before in (CLAIMED[:1], CLAIMED, (*CLAIMED, loop.Finished("a", DONE))):
        assert after(*before, loop.Polled((A, A)))[1] == ()


def test_a_task_that_another_took_makes_room_for_the_next() -> None:
    b = offer("b")
    assert after(loop.Polled((A, b)), loop.NotClaimed("a"))[1] == (loop.Claim(b),)


def test_what_a_poll_does_not_tell_any_more_is_not_claimed() -> None:
    b, c = offer("b"), offer("c")
    state, actions = after(loop.Polled((A, b)), loop.Polled((c,)), loop.NotClaimed("a"))
    assert actions == (loop.Claim(c),)
    assert state.waiting == ()


def test_a_finished_task_is_given_back_as_it_ended() -> None:
    assert after(*CLAIMED, loop.Finished("a", DONE))[1] == (loop.GiveBack("a", 1, DONE),)


def test_a_cancelled_task_is_stopped_once_and_given_back_as_cancelled() -> None:
    cancel = loop.CancelAsked("a")
    assert after(*CLAIMED, cancel)[1] == (loop.Stop("a"),)
    assert after(*CLAIMED, cancel, cancel)[1] == ()
    back = after(*CLAIMED, cancel, loop.Finished("a", STOPPED))[1]
    assert back == (loop.GiveBack("a", 1, STOPPED),)


def test_a_task_that_was_done_before_its_cancellation_came_is_done() -> None:
    back = after(*CLAIMED, loop.CancelAsked("a"), loop.Finished("a", DONE))[1]
    assert back == (loop.GiveBack("a", 1, DONE),)


def test_of_a_task_that_was_lost_nothing_is_said() -> None:
    assert after(*CLAIMED, loop.LeaseLost("a"))[1] == (loop.Stop("a"),)
    assert after(*CLAIMED, loop.LeaseLost("a"), loop.Finished("a", DONE))[1] == ()
    asked = (*CLAIMED, loop.CancelAsked("a"), loop.LeaseLost("a"), loop.CancelAsked("a"))
    assert after(*asked, loop.Finished("a", STOPPED))[1] == ()


def test_a_worker_that_stops_takes_nothing_and_leaves_when_all_is_given_back() -> None:
    assert after(loop.StopAsked())[1] == (loop.Leave(),)
    stopping = (*CLAIMED, loop.Offered(offer("b")), loop.StopAsked())
    state, actions = after(*stopping)
    assert (actions, state.waiting) == ((), ())
    assert after(*stopping, loop.Offered(offer("c")))[1] == ()
    given = (*stopping, loop.Finished("a", DONE))
    assert after(*given)[1] == (loop.GiveBack("a", 1, DONE),)
    assert after(*given, loop.GivenBack("a"))[1] == (loop.Leave(),)


def test_what_has_not_ended_when_the_grace_is_over_is_handed_back() -> None:
    over = (*CLAIMED, loop.StopAsked(), loop.GraceOver())
    assert after(*over)[1] == (loop.Stop("a"),)
    (back,) = after(*over, loop.Finished("a", STOPPED))[1]
    assert isinstance(back, loop.GiveBack)
    assert back.ended.status == "released"
    assert after(*over, loop.Finished("a", DONE))[1] == (loop.GiveBack("a", 1, DONE),)


def test_a_claim_that_comes_through_while_it_stops_is_handed_back() -> None:
    back = after(loop.Offered(A), loop.StopAsked(), loop.Claimed(A, 7))[1]
    assert back == (loop.GiveBack("a", 7, Ended(status="released")),)


def test_what_is_being_given_back_is_still_held() -> None:
    state, _ = after(*CLAIMED, loop.Finished("a", DONE))
    assert state.held == {"a": 1}
    assert after(*CLAIMED, loop.Finished("a", DONE), loop.GivenBack("a"))[0].held == {}


_IDS = st.sampled_from("abcd")
_OFFERS = _IDS.map(offer)
_HAPPENINGS: st.SearchStrategy[loop.Happening] = st.one_of(
    _OFFERS.map(loop.Offered),
    st.lists(_OFFERS, max_size=4).map(lambda found: loop.Polled(tuple(found))),
    st.tuples(_OFFERS, st.integers(1, 3)).map(lambda pair: loop.Claimed(*pair)),
    _IDS.map(loop.NotClaimed),
    st.tuples(_IDS, st.sampled_from([DONE, STOPPED])).map(lambda pair: loop.Finished(*pair)),
    _IDS.map(loop.GivenBack),
    _IDS.map(loop.CancelAsked),
    _IDS.map(loop.LeaseLost),
    st.just(loop.StopAsked()),
    st.just(loop.GraceOver()),
)


@given(st.lists(_HAPPENINGS, max_size=40), st.integers(1, 3))
def test_whatever_happens_a_task_is_in_one_place_and_no_more_are_done_than_may_be(
    happenings: Sequence[loop.Happening], limit: int
) -> None:
    state, begun, back = loop.State(me=ME, limit=limit), 0, 0
    for happening in happenings:
        state, actions = loop.step(state, happening)
        begun += sum(isinstance(action, loop.Begin) for action in actions)
        back += sum(isinstance(action, loop.GiveBack) for action in actions)
        places = [
            {one.id for one in state.waiting}, set(state.claiming), set(state.running),
            set(state.leaving),
        ]  # fmt: skip
        assert sum(map(len, places)) == len(set().union(*places))
        assert len(state.claiming) + len(state.running) <= limit
        if state.is_stopping:
            assert not state.waiting
            assert (loop.Leave() in actions) == state.is_idle
            assert not [a for a in actions if isinstance(a, (loop.Claim, loop.Begin))]
        else:
            assert loop.Leave() not in actions
            assert not state.waiting or len(state.claiming) + len(state.running) == limit

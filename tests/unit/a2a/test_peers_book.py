"""The book of peers: who is asked when, who is known, who is gone."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from codetether_ray.a2a.peers import (
    MISSES,
    MOST_DEPTH,
    MOST_HEARD,
    MOST_PEERS,
    PeerBook,
    normal_url,
)
from codetether_ray.ports.peers import KnownPeer

A, B, C = "http://10.0.0.1:1", "http://10.0.0.2:1", "http://10.0.0.3:1"
OWN = "http://127.0.0.1:4097"


def book(*seeds: str) -> PeerBook:
    return PeerBook(seeds, instance="me", url=OWN, interval_s=10.0, chance=lambda: 0.0)


def seen(url: str, instance: str = "", name: str = "") -> KnownPeer:
    return KnownPeer(name=name or url, url=url, instance=instance)


def urls(of: PeerBook) -> list[str]:
    return [peer.url for peer in of.peers()]


def test_seeds_are_asked_at_once_and_then_by_the_interval() -> None:
    ours = book(A, f"{A}/", OWN, "no url")
    assert [entry.url for entry in ours.due(0.0)] == [A]
    assert ours.answered(A, seen(A, "a"), 0.0, is_private=True)
    assert not ours.due(9.9)
    assert [entry.url for entry in ours.due(10.0)] == [A]
    assert not ours.answered(A, seen(A, "a"), 10.0, is_private=True)
    assert urls(ours) == [A]


def test_who_never_answers_is_asked_ever_more_rarely_and_never_forgotten_if_named() -> None:
    ours, now, pauses = book(A), 0.0, []
    for _ in range(8):
        assert ours.missed(A, now) is None
        [entry] = ours.entries()
        pauses.append(entry.due_at - now)
        now = entry.due_at
    assert pauses == [10.0, 20.0, 40.0, 80.0, 160.0, 160.0, 160.0, 160.0]


def test_a_peer_that_fell_silent_is_asked_again_soon_and_is_gone_after_some_misses() -> None:
    ours = book(A)
    ours.answered(A, seen(A, "a"), 0.0, is_private=True)
    now, gone = 10.0, None
    for number in range(MISSES):
        assert urls(ours) == [A]
        gone = ours.missed(A, now)
        now += 4.0
        assert (gone is not None) == (number == MISSES - 1)
    assert gone is not None
    assert gone.instance == "a"
    assert urls(ours) == []
    assert ours.answered(A, seen(A, "a"), now, is_private=True)  # back again: new


def test_an_answer_in_between_makes_a_miss_forgotten() -> None:
    ours = book(A)
    for _ in range(3):
        ours.answered(A, seen(A, "a"), 0.0, is_private=True)
        ours.missed(A, 0.0)
        ours.missed(A, 0.0)
    assert urls(ours) == [A]


def test_peers_of_peers_are_asked_and_forgotten_for_a_while_when_they_are_gone() -> None:
    ours = book(A)
    ours.answered(A, seen(A, "a"), 0.0, is_private=True)
    assert ours.told(A, [B, OWN, "javascript:1", A], 0.0) == (B,)
    ours.answered(B, seen(B, "b"), 0.0, is_private=True)
    for _ in range(MISSES):
        ours.missed(B, 1.0)
    assert urls(ours) == [A]
    assert ours.told(A, [B], 2.0) == ()  # whoever tells of it has not noticed yet
    assert ours.told(A, [B], 100.0) == (B,)


def test_who_is_gone_is_taken_at_once_if_they_introduce_themselves() -> None:
    ours = book()
    assert ours.introduced(B, 0.0, may_be_private=True)
    for _ in range(MISSES):
        ours.missed(B, 1.0)
    assert ours.entries() == ()
    assert ours.introduced(B, 2.0, may_be_private=True)
    assert [entry.url for entry in ours.due(2.0)] == [B]


def test_a_known_peer_that_introduces_itself_is_asked_anew() -> None:
    ours = book(A)
    ours.answered(A, seen(A, "a"), 0.0, is_private=True)
    assert not ours.due(1.0)
    assert ours.introduced(A, 1.0, may_be_private=True)
    assert ours.due(1.0)


def test_our_own_address_is_recognised_by_the_instance() -> None:
    ours = book(A)
    assert not ours.answered(A, seen(A, "me"), 0.0, is_private=True)
    assert ours.entries() == ()
    assert not ours.introduced(A, 1.0, may_be_private=True)
    assert not ours.introduced(f"{OWN}/", 1.0, may_be_private=True)


def test_a_peer_at_two_urls_is_one_peer_and_the_named_url_counts() -> None:
    ours = book(A)
    ours.introduced(B, 0.0, may_be_private=True)
    ours.answered(B, seen(B, "a"), 0.0, is_private=True)
    ours.told_of_us(B)
    ours.answered(A, seen(A, "a"), 0.0, is_private=True)
    assert urls(ours) == [A]
    entry = ours.entry(A)
    assert entry is not None
    assert entry.is_introduced  # under its other URL
    assert ours.entry(B) is None


def test_two_named_urls_of_one_peer_are_listed_once() -> None:
    ours = book(A, B)
    assert ours.answered(A, seen(A, "a"), 0.0, is_private=True)
    assert not ours.answered(B, seen(B, "a"), 0.0, is_private=True)
    assert urls(ours) == [A]


def test_a_peer_that_was_started_again_is_new_and_told_of_us_again() -> None:
    ours = book(A)
    ours.answered(A, seen(A, "one"), 0.0, is_private=True)
    ours.told_of_us(A)
    assert not ours.answered(A, seen(A, "one"), 1.0, is_private=True)
    assert ours.entries()[0].is_introduced
    assert ours.answered(A, seen(A, "two"), 2.0, is_private=True)
    assert not ours.entries()[0].is_introduced


def test_rumours_end_at_a_depth_and_a_number() -> None:
    ours = book(A)
    teller = A
    for depth in range(MOST_DEPTH + 1):
        ours.answered(teller, seen(teller, teller), 0.0, is_private=True)
        heard = ours.told(teller, [f"http://10.1.{depth}.{n}" for n in range(1, 200)], 0.0)
        assert len(heard) == (MOST_HEARD if depth < MOST_DEPTH else 0)
        if heard:
            teller = heard[0]
    assert len(ours.entries()) <= MOST_PEERS
    assert ours.told(A, ["http://10.9.9.9"], 1.0) == ()  # it has told of enough


def test_a_public_peer_cannot_tell_of_private_addresses() -> None:
    ours = book(A, B)
    ours.answered(A, seen(A, "a"), 0.0, is_private=False)
    ours.answered(B, seen(B, "b"), 0.0, is_private=True)
    ours.told(A, [C], 0.0)
    ours.told(B, ["http://10.0.0.4:1"], 0.0)
    assert {entry.url: entry.may_be_private for entry in ours.entries() if entry.depth} == {
        C: False,
        "http://10.0.0.4:1": True,
    }


def test_urls_are_made_plain_and_what_is_none_is_refused() -> None:
    assert normal_url(" LOCALHOST:80/a2a/ ") == "http://localhost:80/a2a"
    assert normal_url("https://[::1]:4") == "https://[::1]:4"
    for text in ("", "ftp://a", "http://", "http://a:b@c", "http://a?x=1", "http://a#x", "http://a:0",
                 "http://a b", "file:///etc/passwd", "http://a:99999"):  # fmt: skip
        assert normal_url(text) == "", text


@given(st.text(max_size=60))
def test_a_url_that_was_made_plain_stays_as_it_is(text: str) -> None:
    once = normal_url(text)
    assert normal_url(once) == once if once else True


class Machine(RuleBasedStateMachine):
    """Whatever peers answer, tell and claim."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.book = PeerBook([A, B], instance="me", url=OWN, interval_s=10.0, chance=lambda: 0.5)

    where = st.sampled_from([A, B, C, "http://10.0.0.9", f"{A}/a2a"])
    who = st.sampled_from(["", "me", "x", "y"])

    @rule(url=where, who=who, private=st.booleans())
    def answers(self, url: str, who: str, private: bool) -> None:
        self.book.answered(url, seen(url, who), self.now, is_private=private)

    @rule(url=where)
    def misses(self, url: str) -> None:
        self.book.missed(url, self.now)

    @rule(url=where, told=st.lists(where))
    def tells(self, url: str, told: list[str]) -> None:
        self.book.told(url, told, self.now)

    @rule(url=where)
    def introduces(self, url: str) -> None:
        self.book.introduced(url, self.now, may_be_private=True)

    @rule(by=st.floats(0, 200))
    def time_passes(self, by: float) -> None:
        self.now += by

    @invariant()
    def nobody_is_listed_twice_nor_ourselves(self) -> None:
        known = [peer.instance for peer in self.book.peers() if peer.instance]
        assert len(known) == len(set(known))
        assert "me" not in known
        assert OWN not in [entry.url for entry in self.book.entries()]

    @invariant()
    def everybody_is_asked_again(self) -> None:
        assert all(entry.due_at <= self.now + 161 for entry in self.book.entries())


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)

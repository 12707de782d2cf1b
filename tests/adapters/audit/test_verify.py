"""What verification names: every change that leaves a trace, and what it says of the rest."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codetether_ray.audit.keys import public_keys, read_public
from codetether_ray.audit.lines import Head, after, frame
from codetether_ray.audit.places import (
    INDEX,
    audit_dir,
    chains,
    checkpoint_dir,
    key_dir,
    node_dir,
    node_name,
)
from codetether_ray.audit.report import Report
from codetether_ray.audit.second import verify_file
from codetether_ray.audit.verify import checkpoint_files, verify
from codetether_ray.core.errors import AuditError
from tests.adapters.audit.scene import action, entries, path_of, write_chain


def found(report: Report) -> list[tuple[str, int | None, str]]:
    return [(f.chain, f.line, f.text) for f in report.findings]


def index_of(data_dir: Path) -> Path:
    return node_dir(data_dir, node_name()) / INDEX


def rewrite(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the lines of a file (each with its newline)."""
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def rechained(lines: list[bytes], chain: str, start: int) -> list[bytes]:
    """What a forger who knows the format would write: right numbers, hashes and checksums."""
    head, out = Head(), []
    for number, line in enumerate(lines):
        if number >= start:
            members = line[: -len(',"crc":"00000000"}\n')].decode()
            members = members.partition('"prev":"')[2][64 + 2 :]
            line = frame(chain, head, members)
        out.append(line)
        head = after(head, line)
    return out


def test_an_untouched_log_is_sound(tmp_path: Path) -> None:
    write_chain(tmp_path), write_chain(tmp_path)
    report = verify(tmp_path)
    assert found(report) == []
    assert (report.chains, report.unclosed, report.unsigned_lines) == (2, 0, 0)
    assert report.checkpoints == 2


def test_no_log_at_all_is_sound(tmp_path: Path) -> None:
    assert verify(tmp_path).is_sound


def test_an_altered_line_is_named(tmp_path: Path) -> None:
    chain = write_chain(tmp_path)
    path = path_of(tmp_path, chain)
    path.write_bytes(
        path.read_bytes().replace(b'"resource":"sha256:0001"', b'"resource":"sha256:6666"', 1)
    )
    assert found(verify(tmp_path)) == [
        (chain, 3, "line 3 was altered: it does not match its checksum")
    ]


def test_an_altered_line_with_a_right_checksum_is_named(tmp_path: Path) -> None:
    chain = write_chain(tmp_path)

    def forge(lines: list[bytes]) -> list[bytes]:
        forged = [line.replace(b'"sha256:0001"', b'"sha256:6666"') for line in lines]
        return [*lines[:3], rechained(forged, chain, 3)[3], *lines[4:]]

    rewrite(path_of(tmp_path, chain), forge)
    assert found(verify(tmp_path))[0][1:] == (3, "line 3 was altered: line 4 followed another one")


def test_a_chain_rewritten_from_some_line_on_is_named(tmp_path: Path) -> None:
    chain = write_chain(tmp_path)

    def forge(lines: list[bytes]) -> list[bytes]:
        forged = [line.replace(b'"sha256:0001"', b'"sha256:6666"') for line in lines]
        return rechained(forged, chain, 3)

    rewrite(path_of(tmp_path, chain), forge)
    report = verify(tmp_path)
    assert [f.chain for f in report.findings] == [chain]
    assert "is of other lines" in report.findings[0].text


def test_a_rewritten_chain_whose_checkpoints_are_taken_out_disagrees_with_those_kept_apart(
    tmp_path: Path,
) -> None:
    chain = write_chain(tmp_path)

    def forge(lines: list[bytes]) -> list[bytes]:
        forged = [line.replace(b'"sha256:0001"', b'"sha256:6666"') for line in lines[:-1]]
        return rechained(forged, chain, 3)

    rewrite(path_of(tmp_path, chain), forge)
    ((_, line, text),) = found(verify(tmp_path))
    assert "rewritten" in text
    assert line == len(path_of(tmp_path, chain).read_bytes().splitlines()) - 1


@pytest.mark.parametrize(("first", "last"), [(3, 3), (2, 4), (0, 0)])
def test_missing_lines_are_named(tmp_path: Path, first: int, last: int) -> None:
    chain = write_chain(tmp_path)
    rewrite(path_of(tmp_path, chain), lambda lines: [*lines[:first], *lines[last + 1 :]])
    named = f"line {first} is" if first == last else f"lines {first} to {last} are"
    assert (chain, first, f"{named} missing") in found(verify(tmp_path))


def test_a_line_that_stands_twice_is_named(tmp_path: Path) -> None:
    chain = write_chain(tmp_path)
    rewrite(path_of(tmp_path, chain), lambda lines: [*lines[:3], lines[2], *lines[3:]])
    assert found(verify(tmp_path))[0][1:] == (3, "line 2 stands where line 3 belongs")


def test_a_line_of_another_chain_is_named(tmp_path: Path) -> None:
    one, other = write_chain(tmp_path), write_chain(tmp_path)
    line = path_of(tmp_path, one).read_bytes().splitlines(keepends=True)[3]
    rewrite(path_of(tmp_path, other), lambda lines: [*lines[:3], line, *lines[4:]])
    assert (other, 3, "line 3 is of another chain") in found(verify(tmp_path))


def test_a_tail_cut_off_before_a_checkpoint_is_named(tmp_path: Path) -> None:
    chain = write_chain(tmp_path)
    rewrite(path_of(tmp_path, chain), lambda lines: lines[:4])
    ((_, line, text),) = found(verify(tmp_path))
    assert line == 4
    assert "it is cut: it had 8 lines or more" in text


def test_a_tail_cut_off_is_known_to_the_chain_that_came_after(tmp_path: Path) -> None:
    chain, later = write_chain(tmp_path), write_chain(tmp_path)
    rewrite(path_of(tmp_path, chain), lambda lines: lines[:4])
    shutil.rmtree(checkpoint_dir(tmp_path, node_name()))
    ((_, _, text),) = found(verify(tmp_path))
    assert f"says chain {later}" in text


def test_a_missing_chain_is_named(tmp_path: Path) -> None:
    chain = write_chain(tmp_path)
    write_chain(tmp_path)
    path_of(tmp_path, chain).unlink()
    assert found(verify(tmp_path)) == [(chain, None, "the chain is missing: its file is gone")]


def test_a_chain_taken_away_with_its_line_in_the_index_is_named(tmp_path: Path) -> None:
    first, second, third = (write_chain(tmp_path) for _ in range(3))
    path_of(tmp_path, second).unlink()
    rewrite(index_of(tmp_path), lambda lines: [lines[0], lines[2]])
    report = verify(tmp_path)
    assert ("index", 1, "line 1 is missing") in found(report)
    assert (second, None, "the chain is missing: its file is gone") in found(report)
    assert first in chains(tmp_path, node_name())
    assert third in chains(tmp_path, node_name())


def test_the_newest_chain_taken_away_is_known_to_checkpoints_kept_elsewhere(
    tmp_path: Path,
) -> None:
    write_chain(tmp_path / "data")
    last = write_chain(tmp_path / "data")
    kept = tmp_path / "archive"
    shutil.copytree(checkpoint_dir(tmp_path / "data", node_name()), kept)
    path_of(tmp_path / "data", last).unlink()
    rewrite(index_of(tmp_path / "data"), lambda lines: lines[:-1])
    for path in checkpoint_dir(tmp_path / "data", node_name()).glob(f"{last}*"):
        path.unlink()
    blind = verify(tmp_path / "data")
    assert blind.is_sound
    assert any("leaves no trace here" in sentence for sentence in blind.unseen)
    seen = verify(tmp_path / "data", elsewhere=checkpoint_files(kept))
    assert found(seen) == [(last, None, "the chain is missing: its file is gone")]


def test_a_chain_that_was_never_registered_is_named(tmp_path: Path) -> None:
    chain = write_chain(tmp_path)
    write_chain(tmp_path / "other")
    (stranger,) = chains(tmp_path / "other", node_name())
    shutil.copy(path_of(tmp_path / "other", stranger), path_of(tmp_path, stranger))
    assert (stranger, None, "the chain is not in the index") in found(verify(tmp_path))
    assert chain != stranger


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    write_chain(tmp_path), write_chain(tmp_path)
    path = index_of(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"pid":', b'"pix":', 1))
    assert ("index", 0, "line 0 was altered: it does not match its checksum") in found(
        verify(tmp_path)
    )


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    write_chain(tmp_path)
    index_of(tmp_path).unlink()
    assert ("index", None, "the index is missing") in found(verify(tmp_path))


def test_a_shortened_index_is_known_to_the_chains(tmp_path: Path) -> None:
    write_chain(tmp_path)
    last = write_chain(tmp_path)
    rewrite(index_of(tmp_path), lambda lines: lines[:-1])
    report = verify(tmp_path)
    assert (last, None, "the chain is not in the index") in found(report)
    assert any(f.chain == "index" and "it is cut" in f.text for f in report.findings)


def test_a_damaged_checkpoint_file_is_named(tmp_path: Path) -> None:
    chain = write_chain(tmp_path)
    (path,) = checkpoint_dir(tmp_path, node_name()).glob("*.json")
    path.write_bytes(path.read_bytes()[:40])
    ((where, _, text),) = found(verify(tmp_path))
    assert where == chain
    assert "is damaged" in text


def test_a_forged_checkpoint_is_named(tmp_path: Path) -> None:
    chain = write_chain(tmp_path)
    (path,) = checkpoint_dir(tmp_path, node_name()).glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "count": 5}))
    ((where, _, text),) = found(verify(tmp_path))
    assert where == chain
    assert "wrong signature" in text


def test_a_log_signed_anew_with_another_key_is_named_where_the_key_is_pinned(
    tmp_path: Path,
) -> None:
    write_chain(tmp_path / "real")
    (public,) = key_dir(tmp_path / "real").glob("*.pub")
    write_chain(tmp_path / "forged")
    assert verify(tmp_path / "forged").is_sound
    pinned = verify(tmp_path / "forged", pinned=[read_public(public)])
    assert "unknown key" in pinned.findings[0].text
    real = verify(tmp_path / "real", pinned=[read_public(public)])
    assert real.is_sound
    assert not any("--key" in sentence for sentence in real.unseen)


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_text("hello")
    with pytest.raises(AuditError, match="no public key"):
        read_public(path)


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    write_chain(tmp_path)
    key = next(key_dir(tmp_path).glob("*.key"))
    key.chmod(0o644)
    chain = write_chain(tmp_path)
    report = verify(tmp_path)
    assert report.is_sound
    assert report.unsigned_lines == 8, "without a checkpoint nobody can prove the end"
    assert b"chain.closed" in path_of(tmp_path, chain).read_bytes()


def test_lines_behind_the_end_are_named(tmp_path: Path) -> None:
    chain = write_chain(tmp_path)
    path = path_of(tmp_path, chain)
    lines = path.read_bytes().splitlines(keepends=True)
    head = Head()
    for line in lines:
        head = after(head, line)
    path.write_bytes(b"".join(lines) + frame(chain, head, '"id":"x","outcome":"success"'))
    assert "1 lines stand behind its end" in found(verify(tmp_path))[0][2]


def test_a_torn_last_line_of_a_dead_process_is_told_from_damage(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom tests.adapters.audit.scene import write_chain\n"
        "write_chain(Path(sys.argv[1]), is_closed=False)"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=root, check=True)
    (chain,) = chains(tmp_path, node_name())
    path = path_of(tmp_path, chain)
    path.write_bytes(path.read_bytes()[:-10])
    report = verify(tmp_path)
    assert report.is_sound
    assert report.notes == [f"the last line of {chain} is torn: its process died while it wrote"]
    assert len(entries(tmp_path)) == 3, "the torn line is no entry"


def test_many_short_chains_are_verified(tmp_path: Path) -> None:
    for _ in range(20):
        write_chain(tmp_path, 1)
    report = verify(tmp_path)
    assert (report.is_sound, report.chains) == (True, 20)
    assert len(public_keys(tmp_path)) == 1


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from codetether_ray.audit.log import AuditLog
from tests.adapters.audit.scene import action

async def main(data_dir, tally):
    log = AuditLog(data_dir)
    done = 0
    async def agent(number):
        nonlocal done
        step = 0
        while True:
            (id,) = await log.begin(action(number * 1000 + step))
            os.write(tally, f"{id}\\n".encode())  # the effect
            done += 1
            log.end(id, "success")
            step += 1
            if done > 400:
                os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.gather(*(agent(number) for number in range(50)))

data_dir = Path(sys.argv[1])
tally = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
asyncio.run(main(data_dir, tally))
"""


def test_under_sigkill_every_effect_has_its_intent(tmp_path: Path) -> None:
    tally = tmp_path / "tally"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(tally)],
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    effects = tally.read_text().split()
    assert len(effects) > 400
    outcomes = {str(entry["id"]): entry["outcome"] for entry in entries(tmp_path)}
    assert set(effects) <= outcomes.keys(), "an effect without an intent"
    in_flight = outcomes.keys() - set(effects)
    assert len(in_flight) <= 50, "an agent has one action under way at most"
    assert all(outcomes[id] == "unknown" for id in in_flight)
    report = verify(tmp_path)
    assert report.is_sound, report.findings
    assert report.unclosed == 1
    assert any("tail cut" in sentence for sentence in report.unseen)


def test_a_registration_torn_by_a_crash_hinders_nobody(tmp_path: Path) -> None:
    write_chain(tmp_path)
    with index_of(tmp_path).open("ab") as file:
        file.write(b'{"v":1,"chain":"index","n":1,"pr')
    assert verify(tmp_path).is_sound
    write_chain(tmp_path)
    report = verify(tmp_path)
    assert (report.is_sound, report.chains) == (True, 2)


def test_a_process_that_died_before_it_registered_is_a_note(tmp_path: Path) -> None:
    chain = write_chain(tmp_path)
    path_of(tmp_path, chain.replace("2", "1", 1)).touch()
    report = verify(tmp_path)
    assert report.is_sound
    assert any("died before it was registered" in note for note in report.notes)


def test_the_chains_of_a_second_file_are_verified(tmp_path: Path) -> None:
    from codetether_ray.audit.log import AuditLog

    second = tmp_path / "second.jsonl"
    for number in range(2):
        log = AuditLog(tmp_path / "data", second=second)
        (id,) = log.begin_now(action(number))
        log.end(id, "success")
        log.close_now()
    report = verify_file(second)
    assert (report.is_sound, report.chains, report.lines) == (True, 2, 6)
    rewrite(second, lambda lines: [lines[0], *lines[2:]])
    assert "line 1 is missing" in verify_file(second).findings[0].text


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("audit")
    write_chain(data_dir, 4), write_chain(data_dir, 2)
    return data_dir


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_change_of_a_closed_chain_is_found(written: Path, data: st.DataObject) -> None:
    chain = data.draw(st.sampled_from(chains(written, node_name())))
    path = path_of(written, chain)
    original = path.read_bytes()
    kind = data.draw(st.sampled_from(["flip", "drop", "insert", "cut"]))
    at = data.draw(st.integers(0, len(original) - 1))
    if kind == "flip":
        changed = bytearray(original)
        changed[at] ^= 1 << data.draw(st.integers(0, 7))
        new = bytes(changed)
    elif kind == "drop":
        new = original[:at] + original[at + data.draw(st.integers(1, 200)) :]
    elif kind == "insert":
        new = original[:at] + data.draw(st.binary(min_size=1, max_size=20)) + original[at:]
    else:
        new = original[:at]
    try:
        path.write_bytes(new)
        report = verify(written)
        signed = original.rstrip(b"\n").rpartition(b"\n")[0] + b"\n"
        if new.startswith(signed) and new != original:
            # the checkpoint's own line: all that it signed is there, and its file says so too
            return
        assert not report.is_sound
    finally:
        path.write_bytes(original)


def test_no_private_key_is_in_a_chain(tmp_path: Path) -> None:
    write_chain(tmp_path)
    seed = next(key_dir(tmp_path).glob("*.key")).read_text().strip()
    others = [p for p in audit_dir(tmp_path).rglob("*.json*") if p.is_file()]
    assert all(seed not in path.read_text() for path in others)

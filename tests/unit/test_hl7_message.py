"""HL7 messages as text: separators, escapes, character sets; what is none is refused with its place."""

import hl7
import pytest
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.order import Fault, Place
from cxr_node.hl7 import acknowledgement
from cxr_node.hl7.charsets import KNOWN
from cxr_node.hl7.message import Message, Unreadable, Value, build, escaped, parse

HEADER: dict[int, Value] = {
    3: "NODE", 4: "HOSPITAL", 7: "20260101120000+0000", 9: ("ORU", "R01", "ORU_R01"), 10: "1", 11: "P", 12: "2.5.1",
}  # fmt: skip


def message(charset: str = "UNICODE UTF-8", **pid: Value) -> bytes:
    fields = {int(number[1:]): value for number, value in pid.items()}
    return build([("MSH", HEADER), ("PID", fields)], charset)


def name(data: bytes, component: int = 1) -> str:
    pid = parse(data, "ASCII").first("PID")
    assert pid
    return pid.text(5, component)


def fault(data: bytes, otherwise: str = "ASCII") -> Fault:
    with pytest.raises(Unreadable) as caught:
        parse(data, otherwise)
    return caught.value.fault


def test_a_message_is_read_as_it_was_written() -> None:
    data = message(_3=[("P1", "", "", ("MPI", "1.2.3", "ISO"), "MR"), ("X2",)], _5=("García", "Zoë"))
    found = parse(data, "ASCII")
    assert (found.kind, found.control_id, found.sender) == ("ORU^R01", "1", "NODE^HOSPITAL")
    pid = found.segments[1]
    assert list(pid.repetitions(3)) == [1, 2]
    assert (pid.text(3), pid.text(3, 4), pid.text(3, repetition=2)) == ("P1", "MPI", "X2")
    assert (pid.text(5), pid.text(5, 2), pid.text(8), pid.text(99, 9)) == ("García", "Zoë", "", "")


@pytest.mark.parametrize("text", ["O|Brien", "a^b&c~d", "back\\slash", "line\rbreak", "\\F\\", "山田", "é"])
def test_what_stands_in_a_field_is_no_separator(text: str) -> None:
    assert name(message(_5=(text, "x"))) == text
    assert name(message(_5=(text, "x")), 2) == "x"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_comes_back(text: str) -> None:
    assert name(message(_5=(text, "x"))) == text.strip()


@given(st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_python_hl7_reads_the_same(text: str) -> None:
    """Its unescaping fails for \\X..\\ beyond one byte and warns with the value, so only what it can do is asked."""
    found = hl7.parse(message(_5=(text, "x")).decode())
    assert found.unescape(str(found.segment("PID")[5][0][0])).strip() == text.strip()


def test_separators_are_those_of_the_message() -> None:
    found = parse(b"MSH*:+!%*RIS*SITE*****ORM:O01*7*P*2.3\rPID***A:::X%y+B**D!S!e:J!F!", "ASCII")
    pid = found.segments[1]
    assert (found.kind, pid.text(3), pid.text(3, 4), pid.text(3, repetition=2)) == ("ORM^O01", "A", "X", "B")
    assert (pid.text(5), pid.text(5, 2)) == ("D:e", "J*")


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("a\\X41\\b", "aAb"), ("\\XC3A9\\", "é"), ("\\H\\bold\\N\\", "bold"), ("a\\.br\\b", "a\nb"),
        ("\\.sp999999999\\x", "x"), ("\\Zfoo\\x", "x"), ("lone\\", "lone\\"), ("\\Xzz\\a", "a"), ('""', ""),
    ],
)  # fmt: skip
def test_escapes_of_others_are_understood_or_left_out(field: str, meant: str) -> None:
    assert name(f"MSH|^~\\&|R|S|||||ORM^O01|7|P|2.5.1||||||UNICODE UTF-8\rPID|||||{field}".encode()) == meant


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("8859/1", "latin-1", "Müller"), ("UNICODE UTF-8", "utf-8", "Müller 山田"), ("~ISO IR87", "iso2022_jp", "山田"),
        ("ASCII~ISO IR87", "iso2022_jp", "山田太郎"), ("", "cp1252", "Muller"), ("8859/15", "iso8859_15", "Œuvre €"),
    ],
)  # fmt: skip
def test_character_sets_of_msh_18(charset: str, codec: str, text: str) -> None:
    data = f"MSH|^~\\&|R|S|||||ORM^O01|7|P|2.5.1||||||{charset}\rPID|||||{text}^x".encode(codec)
    assert (name(data), name(data, 2)) == (text, "x")


@pytest.mark.parametrize(
    ("charset", "text"),
    [("8859/1", "Peña|"), ("UNICODE UTF-8", "Yamada=山田"), ("ISO IR87", "山田|~^太郎"), ("ASCII", "plain")],
)
def test_character_sets_that_are_written(charset: str, text: str) -> None:
    assert name(message(charset, _5=(text, "x"))) == text
    assert name(message(charset, _5=(text, "x")), 2) == "x"


def test_what_a_character_set_cannot_say_is_an_error() -> None:
    with pytest.raises(UnicodeEncodeError):
        message("8859/1", _5="山田")
    with pytest.raises(ValueError, match="table 0211"):
        message("UTF8", _5="x")


def test_where_none_is_named_the_sites_own_counts() -> None:
    data = "MSH|^~\\&|R|S|||||ORM^O01|7|P|2.5.1\rPID|||||Müller".encode("latin-1")
    pid = parse(data, "8859/1").first("PID")
    assert pid
    assert pid.text(5) == "Müller"


@pytest.mark.parametrize(
    ("data", "code", "place"),
    [
        (b"", 100, Place("MSH", 1)),
        (b"PID|||1", 100, Place("MSH", 1)),
        (b"MSH", 102, Place("MSH", 1, 2)),
        (b"MSH|", 102, Place("MSH", 1, 2)),
        (b"MSH|^~\\|R", 102, Place("MSH", 1, 2)),
        (b"MSH||||||", 102, Place("MSH", 1, 2)),
        (b"MSHaabcdeaaa", 102, Place("MSH", 1, 2)),
        (b"MSH|^~\\&|R\rnonsense|1", 100, Place("MSH", 1)),
        (b"MSH|^~\\&|R\rMSH|^~\\&|R", 100, Place("MSH", 1)),
        (b"MSH|^~\\&|R|||||||||||||||EBCDIC", 103, Place("MSH", 1, 18)),
        (b"MSH|^~\\&|R|||||||||||||||8859/1~ISO IR87", 103, Place("MSH", 1, 18)),
        (b"MSH|^~\\&|R|||||||||||||||UNICODE UTF-8\rPID|||||M\xfcller", 102, Place("MSH", 1, 18)),
        (b"MSH|^~\\&|R\rPID|||||M\xfcller", 102, Place("MSH", 1, 18)),
    ],
)
def test_what_is_no_message_is_refused_with_its_place(data: bytes, code: int, place: Place) -> None:
    found = fault(data)
    assert (found.code, found.place) == (code, place)


def test_line_ends_of_others_and_a_byte_order_mark() -> None:
    found = parse(b"MSH|^~\\&|R|S|||||ORM^O01|7|P|2.5.1\r\nPID|||1\nORC|NW\r\r", "ASCII")
    assert [segment.name for segment in found.segments] == ["MSH", "PID", "ORC"]


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"MSH|^~\\&|" + tail))
def test_bytes_are_a_message_or_are_refused(data: bytes) -> None:
    try:
        found = parse(data, "8859/1")
    except Unreadable as error:
        assert error.fault.sentence
    else:
        assert found.header.name == "MSH"
        assert [segment.text(field, 2) for segment in found.segments for field in range(20)]


def test_an_answer_names_what_is_wrong_where() -> None:
    heard = parse(b"MSH|^~\\&|RIS^1.2^ISO|SITE|NODE|HERE|||ORM^O01^ORM_O01|4711|P|2.5.1", "ASCII")
    wrong = Fault(101, "no priority", Place("TQ1", 1, 9, component=1))
    text = acknowledgement.answer(heard, wrong, 0.0).decode()
    lines = text.split("\r")
    assert lines[0].startswith("MSH|^~\\&|NODE|HERE|RIS^1.2^ISO|SITE|19700101000000+0000||ACK^O01^ACK|")
    assert lines[1:3] == ["MSA|AE|4711", "ERR||TQ1^1^9^1^1|101^Required field missing^HL70357|E||||no priority"]
    assert parse_message(text.strip()).err.err_3.err_3_1.value == "101"
    read = acknowledgement.read(parse(text.encode(), "ASCII"))
    assert read == acknowledgement.Acknowledgement("AE", "4711", "101", "TQ1-9", "no priority")


@pytest.mark.parametrize(
    ("accept", "wrong", "code"),
    [("", None, "AA"), ("AL", None, "CA"), ("NE", None, "AA"), ("AL", Fault(207, "x"), "CR"),
     ("", Fault(200, "x"), "AR"), ("", Fault(103, "x"), "AE")],
)  # fmt: skip
def test_the_code_of_an_answer(accept: str, wrong: Fault | None, code: str) -> None:
    heard = parse(f"MSH|^~\\&|RIS|S|||||ORM^O01|1|P|2.5.1|||{accept}".encode(), "ASCII")
    assert f"\rMSA|{code}|1\r".encode() in acknowledgement.answer(heard, wrong, 0.0)


def test_what_was_no_message_is_answered_too() -> None:
    text = acknowledgement.answer(None, Fault(100, "no MSH"), 0.0).decode()
    assert "\rMSA|AE\r" in text


def read_answer(text: str) -> acknowledgement.Acknowledgement | None:
    return acknowledgement.read(parse(text.encode(), "ASCII"))


def test_answers_of_others() -> None:
    head = "MSH|^~\\&|RIS|S|||||ACK|1|P|2.3\r"
    assert read_answer(head) is None
    assert read_answer(f"{head}MSA|XX|1") is None
    found = read_answer(f"{head}MSA|CR|1|Patient DOE is unknown\rERR||PID^1^5 DOE|DOE")
    assert found == acknowledgement.Acknowledgement("AR", "1", "", "", "Patient DOE is unknown")


def test_every_known_set_has_a_codec() -> None:
    for charset in KNOWN:
        assert isinstance(parse(message(charset, _5="x"), "ASCII"), Message)


def test_escaping_alone() -> None:
    assert escaped("a|b^c&d~e\\f\n") == "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f\\X0A\\"

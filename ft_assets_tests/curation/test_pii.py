import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.curation.pii import Masker, mask_text, still_secret

LETTERS = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"
PRIVATE_KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEowIBAAKCAQEA1234567890abcdef\nAbCd==\n"
    "-----END RSA PRIVATE KEY-----"
)

SECRETS = [
    ("mail bob@example.com now", "mail <EMAIL_1> now", "EMAIL"),
    ("<Jane.Doe+tag@mail.example.co.uk>", "<<EMAIL_1>>", "EMAIL"),
    ("email='müller@exämple.de'", "email='<EMAIL_1>'", "EMAIL"),
    ("请联系bob@example.com谢谢", "请联系<EMAIL_1>谢谢", "EMAIL"),
    ("user@163.com", "<EMAIL_1>", "EMAIL"),
    ("call +1 415 555 0134.", "call <PHONE_1>.", "PHONE"),
    ("+14155550134", "<PHONE_1>", "PHONE"),
    ("+49 171 2345678, bitte", "<PHONE_1>, bitte", "PHONE"),
    ("+44 (0)20 7946 0958", "<PHONE_1>", "PHONE"),
    ("+33 6 12 34 56 78", "<PHONE_1>", "PHONE"),
    ("+1 (415) 555-0134 4th floor", "<PHONE_1> 4th floor", "PHONE"),
    ("(415) 555-0134", "<PHONE_1>", "PHONE"),
    ("983-453-5879 | x", "<PHONE_1> | x", "PHONE"),
    ("(555-123-4567)", "(<PHONE_1>)", "PHONE"),
    ("1-800-555-0199", "<PHONE_1>", "PHONE"),
    ("415.555.0134", "<PHONE_1>", "PHONE"),
    ("Phone: (555) 123-4567", "Phone: <PHONE_1>", "PHONE"),
    ("tel. 5551234", "tel. <PHONE_1>", "PHONE"),
    ("phone_number = '4155550134'", "phone_number = '<PHONE_1>'", "PHONE"),
    ("my number is 415 555 0134", "my number is <PHONE_1>", "PHONE"),
    ("0171 2345678", "<PHONE_1>", "PHONE"),
    ("020 7946 0958", "<PHONE_1>", "PHONE"),
    ("0049 171 2345678", "<PHONE_1>", "PHONE"),
    ("the box is 10.20.30.40", "the box is <IP_1>", "IP"),
    ("http://203.0.113.7:8080/x", "http://<IP_1>:8080/x", "IP"),
    ("ip=192.168.1.17", "ip=<IP_1>", "IP"),
    ("10.0.0.1-10.0.0.5", "<IP_1>-<IP_2>", "IP"),
    ("refused: db1/10.1.2.3:5432", "refused: db1/<IP_1>:5432", "IP"),
    ("ssh root@198.51.100.4", "ssh root@<IP_1>", "IP"),
    ("from 2001:db8::8a2e:370:7334: refused", "from <IP_1>: refused", "IP"),
    ("[fe80::1]:443", "[<IP_1>]:443", "IP"),
    ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "<IP_1>", "IP"),
    ("key AKIAIOSFODNN7EXAMPLE", "key <AWS_KEY_1>", "AWS_KEY"),
    (
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "aws_secret_access_key = <AWS_KEY_1>",
        "AWS_KEY",
    ),
    (f"ghp_{LETTERS[:36]}", "<GITHUB_TOKEN_1>", "GITHUB_TOKEN"),
    (f"github_pat_11{LETTERS}", "<GITHUB_TOKEN_1>", "GITHUB_TOKEN"),
    (f"xoxb-{LETTERS[:24]}", "<SLACK_TOKEN_1>", "SLACK_TOKEN"),
    (f"sk-proj-{LETTERS}", "<OPENAI_KEY_1>", "OPENAI_KEY"),
    (f"OPENAI_API_KEY=sk-{LETTERS}", "OPENAI_API_KEY=<OPENAI_KEY_1>", "OPENAI_KEY"),
    (f"AIzaSy{LETTERS[:33]}", "<GOOGLE_KEY_1>", "GOOGLE_KEY"),
    (f"hf_{LETTERS[:34]}", "<HF_TOKEN_1>", "HF_TOKEN"),
    ("sk_live_" + LETTERS[:24], "<STRIPE_KEY_1>", "STRIPE_KEY"),
    (f"Authorization: Bearer {LETTERS}", "Authorization: Bearer <API_KEY_1>", "API_KEY"),
    (f'"api_key": "{LETTERS[:20]}"', '"api_key": "<API_KEY_1>"', "API_KEY"),
    (f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{LETTERS}", "<JWT_1>", "JWT"),
    (f"before\n{PRIVATE_KEY}\nafter", "before\n<PRIVATE_KEY_1>\nafter", "PRIVATE_KEY"),
    ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\ncut here", "<PRIVATE_KEY_1>\ncut here", "PRIVATE_KEY"),
    (
        "postgresql://admin:hunter2@db.example.com/x",
        "postgresql://<URL_CREDENTIALS_1>@db.example.com/x",
        "URL_CREDENTIALS",
    ),
    ("redis://:s3cr%40t@cache:6379", "redis://<URL_CREDENTIALS_1>@cache:6379", "URL_CREDENTIALS"),
]

LOOK_ALIKES = [
    "550e8400-e29b-41d4-a716-446655440000",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "d41d8cd98f00b204e9800998ecf8427e",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "version 1.2.3.4",
    "v10.20.30.40 and numpy==1.26.4.0, Chrome/120.0.6099.109, python-3.11.7.1.tar",
    "torch 2.13.0+cpu",
    "pi is 3.14159265358979 and 1,234,567.89 and 0.1234567890",
    "delta +12345678.50 or +1.23456789012",
    "2024-01-06T08:00:00Z, 2024-01-06 08:00:00.123456, 20240106, 06.01.2024",
    "1736150400 1736150400000 1736150400000000000",
    "the phone of 2024-01-06",
    "12:34:56 and 00:1b:44:11:3a:b7 and 00:11:22:33:44:55:66:77",
    "x[1::2] y[::-1] std::vector<int> a::b fade::dead ::1 data[2000::5]",
    "127.0.0.1 0.0.0.0:8080 255.255.255.0 10.0.0.0/8 localhost",
    "OID 1.3.6.1.4.1.311",
    "2.1.4.3 Confirmatory studies",
    "git@github.com:org/repo.git",
    "@types/node@18.11.9 actions/checkout@v4 pkg@1.0.0-rc.beta icon@2x.png",
    "y = W@x.T + q@k.transpose(-2, -1) + a@b.shape",
    "@property\ndef user(self): ...",
    "650-228-146 = <<650-228-146=276>>276, 250-300-1000=-1050",
    "sizes 250 300 1000; 0110 1010 0011 0101",
    "ORCID 0000-0002-1825-0097, ISBN 978-0-306-40615-7",
    "00000010: 0040 6578 0031 0000",
    "task-sk-1 risk-management-framework-overview flask-sqlalchemy-extension",
    "hf_hub_download(repo_id) and eyJ and ghp_ and AKIA",
    "token = tokenizer.next_token_id",
    "password = generate_password_hash_2(user)",
    "api_key = os.environ['API_KEY_FOR_TESTS_1']",
    "secret_key = MY_SECRET_KEY_NUMBER_2",
    'f"postgresql://{user}:{password}@{host}/db" http://${USER}:${PASS}@host',
    "https://example.com/a:b/c and http://host:8080/@handle",
    "Bearer token required",
    "number of items: 1500 and call(1000000)",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----",
    "#ff00aa 0xdeadbeef 1e-10 6.022e+23",
    "<EMAIL_1> already masked",
]


@pytest.mark.parametrize(("text", "masked", "kind"), SECRETS)
def test_personal_data_and_secrets_become_placeholders(text: str, masked: str, kind: str) -> None:
    result, counts = mask_text(text)
    assert result == masked
    assert set(counts) == {kind}
    assert kind in still_secret(text)
    assert still_secret(result) == []


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_look_alikes_stay(text: str) -> None:
    assert mask_text(text) == (text, {})
    assert still_secret(text) == []


def test_one_value_has_one_placeholder_within_an_example() -> None:
    masker = Masker()
    assert masker.mask("a@x.com, b@x.com, A@X.com") == "<EMAIL_1>, <EMAIL_2>, <EMAIL_1>"
    assert masker.mask("again b@x.com and 415-555-0134") == "again <EMAIL_2> and <PHONE_1>"
    assert masker.mask("(415) 555-0134") == "<PHONE_1>"
    assert masker.counts == {"EMAIL": 4, "PHONE": 2}


def test_the_rows_of_a_conversation_share_placeholders_and_have_counts_of_their_own() -> None:
    masker = Masker()
    assert masker.mask("a@x.com paid with 4111 1111 1111 1111") == "<EMAIL_1> paid with <CREDIT_CARD_1>"
    assert masker.take_counts() == {"EMAIL": 1, "CREDIT_CARD": 1}
    assert masker.mask("b@x.com, a@x.com: 4111-1111-1111-1111") == "<EMAIL_2>, <EMAIL_1>: <CREDIT_CARD_1>"
    assert masker.take_counts() == {"EMAIL": 2, "CREDIT_CARD": 1}
    assert masker.take_counts() == {}


def test_numbers_reserved_for_a_later_row_are_not_given_to_an_earlier_one() -> None:
    masker = Masker()
    masker.reserve("<EMAIL_1> and <IBAN_3> came with the log")
    assert masker.mask("a@x.com DE89 3704 0044 0532 0130 00") == "<EMAIL_2> <IBAN_4>"


def test_placeholders_that_a_log_holds_already_are_not_given_to_others() -> None:
    assert mask_text("<EMAIL_1> wrote to new@example.com")[0] == "<EMAIL_1> wrote to <EMAIL_2>"


def test_tool_calls_stay_json_when_they_are_masked() -> None:
    arguments = json.dumps({"to": "bob@example.com", "phone": 4155550134, "amount": 1000000, "note": "a\u200bb"})
    calls = json.dumps([{"function": {"name": "send", "arguments": arguments}, "version": "1.2.3.4"}])
    masker = Masker()
    (call,) = json.loads(masker.mask_json(calls))
    assert json.loads(call["function"]["arguments"]) == {
        "to": "<EMAIL_1>",
        "phone": "<PHONE_1>",
        "amount": 1000000,
        "note": "ab",
    }
    assert call["version"] == "1.2.3.4"
    assert masker.counts == {"EMAIL": 1, "PHONE": 1}


@pytest.mark.parametrize("text", ["{not json bob@x.com", "[" * 5000, '["{\\"a\\": \\"\\\\ud800\\"}"]', "null", "3"])
def test_odd_tool_calls_are_masked_as_text_and_never_raise(text: str) -> None:
    masked = Masker().mask_json(text)
    assert "bob@x.com" not in masked
    masked.encode()


HOSTILE_UNITS = [
    *[
        "a",
        "1",
        " ",
        "%",
        "@",
        "a@",
        "a.",
        "1.",
        "+1",
        "+1 ",
        "+1 2 ",
        "0123 456 ",
        "415-555-",
        "(415) ",
        "call 1",
        "phone 1",
    ],
    *[
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY----- ",
        "eyJ",
        "eyJ.",
        "://",
        "://a:",
        "aws_key = ",
        "token=",
    ],
    *[
        "token=a1",
        "bearer a1",
        "sk-",
        "xoxb-",
        "ghp_",
        "hf_",
        "1.1.1.",
        "1.1.1.1 ",
        ":",
        "a:",
        "1:",
        "::",
        "f:f::",
        "a@b.",
        "<EMAIL_1>",
    ],
    *[
        "4111 ",
        "4111 1111 1111 1111 ",
        "DE89 ",
        "DE89370400440532013000 ",
        "AB12",
        "12345678",
        "123-45-6789 ",
        "01 02 ",
    ],
    *[
        "ssn 1",
        "passport no ",
        "private-lines: 1\n",
        "12345678:AA",
        "key=&a",
        "tel (1",
        "((((",
        "٣",
        "－",
        "sig=a1",
        "SG.a1.",
    ],
]


@pytest.mark.parametrize("unit", HOSTILE_UNITS)
def test_text_made_to_backtrack_costs_what_its_length_does(unit: str) -> None:
    """A quadratic pattern would take minutes."""
    started = time.process_time()
    mask_text(unit * (50_000 // len(unit)) + "!")
    assert time.process_time() - started < 3


@pytest.mark.slow
def test_a_megabyte_of_everything_that_backtracks_finishes() -> None:
    started = time.process_time()
    masked, _ = mask_text(" ".join(unit * (1_000_000 // len(HOSTILE_UNITS) // len(unit)) for unit in HOSTILE_UNITS))
    assert still_secret(masked) == []
    assert time.process_time() - started < 20  # measured 2


def test_a_text_that_cannot_be_read_to_its_end_goes_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ft_assets.curation.pii._MOST_CHARACTERS", -1_000_000)
    assert mask_text("mail bob@example.com")[0] == "<UNREADABLE_1>"


@pytest.mark.slow
def test_a_megabyte_of_ordinary_text_finishes() -> None:
    masked, counts = mask_text("Write to bob@example.com or call +1 415 555 0134 before 2024-01-06, please.\n" * 13_000)
    assert counts == {"EMAIL": 13_000, "PHONE": 13_000}
    assert masked.count("<EMAIL_1>") == 13_000


PIECES = (
    st.sampled_from([text for text, _, _ in SECRETS] + LOOK_ALIKES)
    | st.text(max_size=6)
    | st.text("0123456789.-+@: ()/")
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=6).map("".join) | st.lists(PIECES, max_size=6).map(" ".join))
def test_masked_text_holds_no_secret_and_masking_it_again_changes_nothing(text: str) -> None:
    masked, _ = mask_text(text)
    assert still_secret(masked) == []
    assert mask_text(masked) == (masked, {})

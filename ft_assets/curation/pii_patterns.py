"""What personal data and secrets look like, kind by kind: here addresses and phone numbers, elsewhere the rest.

DETECTORS holds all of them in the order of masking. Adding a kind is a detector and a line in the labelled cases.
"""

import re
from functools import partial

from ft_assets.curation.pii_detector import BLANK, Detector
from ft_assets.curation.pii_lookalikes import (
    after_a_word,
    after_exit_code,
    international,
    is_address,
    is_ipv4,
    is_ipv6,
    not_counted,
    trunk,
)
from ft_assets.curation.pii_national_ids import NATIONAL_ID_DETECTORS
from ft_assets.curation.pii_payments import PAYMENT_DETECTORS
from ft_assets.curation.pii_secrets import SECRET_DETECTORS

_WORD = "A-Za-z0-9_À-ɏ"  # not \\w: Chinese stands beside an address without a space
_DIGIT_RUN = re.compile(r"[0-9](?:[ ().\-/]{0,3}[0-9]){6}")
_NOT_IN_ARITHMETIC = r"(?![A-Za-z0-9_]|[.\-/]?[0-9]|\s{0,2}[=*+/])"
_PHONE_WORD = (
    r"(?:phone|telephone|tel|mobile|handy|fax|whatsapp|telefon|telefono|tel[eé]fono|telefone|t[eé]l[eé]phone|t[eé]l"
    r"|celular|cellulare|m[oó]vil|cell(?:phone| phone| number)|rufnummer|телефон|тел)"
)
_PHONE_LINK = (
    rf"(?i:[ _\-]?(?:number|no|nr|num))?[.\"'\])]{{0,2}}{BLANK}{{0,3}}(?i:[:=#]|(?:is|at|on|under|est|es|ist|é)\b)?"
)
_PHONE_WORD_CJK = "(?:电话|電話|手机|手機|携帯|联系方式)"
_PHONE_LINK_CJK = "(?:号码|號碼|番号|号)?(?:是|为|は)?[:：]?"
_PHONE_NAMED = (
    rf"(?:(?i:(?<![A-Za-zÀ-ɏ]){_PHONE_WORD}){_PHONE_LINK}|{_PHONE_WORD_CJK}{_PHONE_LINK_CJK}){BLANK}{{0,3}}[\"']{{0,2}}"
)
_NUMBER = r"[(0-9](?:[ ().\-/]{0,3}[0-9]){6,18}"
# Those in use, by the first digits of the ITU's list (E.164)
_COUNTRY_CODE = (
    r"(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|2[1-689][0-9]|3[578][0-9]|42[0-9]|5[09][0-9]|6[7-9][0-9]|8[0578][0-9]|9[679][0-9])"
)
_CALL_WORD = r"(?:call|text|dial|ring|reach|contact|number)"
_CALL_ON = r"(?i:call|text|dial|ring|reach|contact|whatsapp)(?: (?:me|us|him|her|them|back))?(?: (?:at|on|under))?:?"

_CONTACT_DETECTORS: tuple[Detector, ...] = (
    Detector(
        "IP",
        re.compile(r"(?<![A-Za-z0-9_:.])[0-9A-Fa-f:]{6,45}+(?![A-Za-z0-9_])"),
        r"(?i:[23][0-9a-f]{3}|f[cdef][0-9a-f]{2}):(?i:[0-9a-f]{1,4}:){0,6}:|(?i:[0-9a-f]{1,4}:){7}(?i:[0-9a-f])",
        hint=re.compile(r":(?::|(?:[0-9A-Fa-f]{1,4}:){6})"),
        check=is_ipv6,
    ),
    Detector(
        "IP",
        re.compile(r"[0-9](?<![A-Za-z0-9_.].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![A-Za-z0-9_]|\.[0-9]|-[A-Za-z])"),
        r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
        hint=re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"),
        check=is_ipv4,
        in_digits=True,
    ),
    Detector(
        "PHONE",
        re.compile(r"\+(?<![A-Za-z0-9_+.)\]].)(?=[1-9(])(?:\(?[0-9]++\)?)(?:[ .\-()/]{1,2}+[0-9]++){0,7}(?![A-Za-z_])"),
        r"\+\(?[0-9](?:[ .\-()/]{0,3}[0-9]){7}",
        signs=("+",),
        check=international,
        in_digits=True,
    ),
    Detector(
        "PHONE",
        # The number first, which Python's engine finds faster than words.
        re.compile(rf"{_NUMBER}(?![A-Za-z0-9_])"),
        # A word boundary would make Rust's engine slow on letters beyond ASCII.
        f"{_PHONE_NAMED}{_NUMBER}".replace(r"\b", "").replace("(?<![A-Za-zÀ-ɏ])", ""),
        check=partial(after_a_word, words=re.compile(rf"{_PHONE_NAMED}\Z")),
        in_digits=True,
    ),
    Detector(
        "PHONE",
        re.compile(
            rf"(?i:\b{_CALL_WORD}\b)[^0-9\n]{{0,20}}+(?P<secret>[0-9]{{3}} [0-9]{{3}} [0-9]{{4}})" + _NOT_IN_ARITHMETIC
        ),
        r"[0-9]{3} [0-9]{3} [0-9]{4}",
        hint=re.compile(r"[0-9]{3} [0-9]{3} [0-9]{4}"),
        in_digits=True,
    ),
    Detector(
        "PHONE",
        re.compile(rf"{_CALL_ON} (?P<secret>[2-9][0-9]{{9}})" + _NOT_IN_ARITHMETIC),
        rf"{_CALL_ON} [2-9][0-9]{{9}}",
        hint=re.compile(r" [2-9][0-9]{9}"),
        in_digits=True,
    ),
    Detector(
        "PHONE",  # North America: (415) 555-0134, 415-555-0134, 1-800-555-0134, 415.555.0134
        re.compile(
            r"(?<![A-Za-z0-9_.+\-/=*<>#])(?:1[ .\-])?(?:\([2-9][0-9]{2}\)[ \-.]?[0-9]{3}[ \-.]"
            r"|[2-9][0-9]{2}-[0-9]{3}-|[2-9][0-9]{2}\.[2-9][0-9]{2}\.)[0-9]{4}" + _NOT_IN_ARITHMETIC
        ),
        r"[2-9][0-9]{2}(?:\)[ \-.]?[0-9]{3}[ \-.]|-[0-9]{3}-|\.[2-9][0-9]{2}\.)[0-9]{4}",
        hint=re.compile(r"[2-9][0-9]{2}[).\-][ \-.]?[0-9]{3}[ .\-][0-9]{4}"),
        in_digits=True,
    ),
    Detector(
        "PHONE",  # Brazil, with the area in brackets, and France, in pairs
        re.compile(
            r"(?<![A-Za-z0-9_.+\-/=*<>#])(?:\([1-9]{2}\) ?9?[0-9]{4}-[0-9]{4}"
            r"|(?<![0-9][ .\-])0[1-9](?P<gap>[ .\-])[0-9]{2}(?:(?P=gap)[0-9]{2}){3}(?!(?P=gap)[0-9A-Fa-f]))"
            + _NOT_IN_ARITHMETIC
        ),
        r"\([1-9]{2}\) ?9?[0-9]{4}-[0-9]{4}|0[1-9](?:[ .\-][0-9]{2}){4}",
        hint=re.compile(r"\([1-9]{2}\) ?9?[0-9]{4}-|0[1-9](?:[ .\-][0-9]{2}){4}"),
        check=not_counted,
        in_digits=True,
    ),
    Detector(
        "PHONE",  # with a trunk or exit prefix: 0171 2345678, 020 7946 0958, (030) 2345678, 0049 171 2345678
        re.compile(
            r"(?<![A-Za-z0-9_.:,/+\-])(?<![0-9] )(?:\(0[0-9]{2,4}\)[ /\-]?|0[0-9]{2,4}[ /\-])[0-9]{3,8}"
            r"(?:[ \-][0-9]{3,8})?(?![A-Za-z0-9_]|[ .,:\-][0-9])"
        ),
        r"(?:^|[^A-Za-z0-9_.:,/+\-])0[0-9]{2,4}(?:\)?[ /\-]|\))[0-9]{3,8}(?:[ \-][0-9]|[^0-9A-Za-z_]|$)",
        hint=re.compile(r"0[0-9]{2,4}[ /\-)]{1,2}[0-9]{3}"),
        check=trunk,
        in_digits=True,
    ),
    Detector(
        "PHONE",  # with an exit prefix and a country, in any groups: 0049 30 901820, 0033 1 70 18 99 00
        re.compile(
            rf"(?<![A-Za-z0-9_.:,/+\-])(?<![0-9] )00{_COUNTRY_CODE}(?:[ .\-/()]{{1,3}}+[0-9]++){{1,7}}"
            r"(?![A-Za-z0-9_]|[ .,:\-]{1,2}(?:[0-9][0-9A-Fa-f]|[A-Fa-f][0-9]))"
        ),
        r"(?:^|[^A-Za-z0-9_.:,/+\-])00[1-9][0-9]{0,2}[ .\-/()]{1,3}[0-9]",
        hint=re.compile(r"00[1-9][0-9]{0,2}[ .\-/()]{1,3}[0-9]"),
        check=after_exit_code,
        in_digits=True,
    ),
)

_EMAIL = Detector(
    "EMAIL",
    # One start per run of name characters, so long runs without @ cost their length once.
    re.compile(
        rf"(?<![{_WORD}.%+\-])(?P<name>[{_WORD}.%+\-]++)@(?P<domain>(?:[{_WORD}\-]++\.)+[A-Za-zÀ-ɏ]{{2,24}}+)"
        rf"(?![{_WORD}(\[]|\.[A-Za-z_])"
    ),
    rf"[{_WORD}.%+\-]@(?:[{_WORD}\-]+\.)+[A-Za-zÀ-ɏ]{{2}}",
    signs=("@",),
    check=is_address,
)

# What holds others comes first: a URL's password may look like an e-mail address, an account's number like a phone's.
DETECTORS: tuple[Detector, ...] = (
    *SECRET_DETECTORS,
    _EMAIL,
    *PAYMENT_DETECTORS,
    *NATIONAL_ID_DETECTORS,
    *_CONTACT_DETECTORS,
)

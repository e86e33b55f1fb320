"""Check digits of payment and national numbers. Each takes the bare characters and says whether they can be real."""

import datetime

_VERHOEFF_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1: cards, Swedish personal numbers."""
    total = sum(map(int, digits[-1::-2])) + sum((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)[int(digit)] for digit in digits[-2::-2])
    return total % 10 == 0


def _dihedral(left: int, right: int) -> int:
    """The product of two elements of the symmetry group of a pentagon, which Verhoeff's scheme multiplies in."""
    turned = (left - right if left >= 5 else left + right) % 5
    return turned if (left < 5) == (right < 5) else turned + 5


def verhoeff(digits: str) -> bool:
    """J. Verhoeff, Error Detecting Decimal Codes (1969): Aadhaar."""
    check = 0
    for place, character in enumerate(reversed(digits)):
        digit = int(character)
        for _ in range(place % 8):
            digit = _VERHOEFF_PERMUTATION[digit]
        check = _dihedral(check, digit)
    return check == 0


def iban_check(characters: str) -> bool:
    """ISO 13616: the number with its first four characters at the end, letters as 10 to 35, is 1 modulo 97."""
    moved = characters[4:] + characters[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def weighted(digits: str, weights: tuple[int, ...]) -> int:
    """The sum of the digits times their weights."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def is_date(year: str, month: str, day: str) -> bool:
    """Whether there is such a day, in the 20th century for a year of two digits."""
    try:
        datetime.date(int(year) if len(year) == 4 else 1900 + int(year), int(month), int(day))
    except ValueError:
        return (month, day) == ("02", "29") and int(year) % 4 == 0  # 1900 had no such day, 2000 had
    return True


def us_social_security(digits: str) -> bool:
    """Never issued: areas 000, 666 and 900 to 999, group 00, serial 0000."""
    return not (digits[:3] in ("000", "666") or digits[0] == "9" or digits[3:5] == "00" or digits[5:] == "0000")


def brazil_cpf(digits: str) -> bool:
    """Two check digits modulo 11; a digit eleven times over passes them but is never issued."""
    if len(set(digits)) == 1:
        return False
    first = weighted(digits[:9], tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = weighted(digits[:10], tuple(range(11, 1, -1))) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}"


def brazil_cnpj(digits: str) -> bool:
    """Two check digits modulo 11."""
    weights = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    first = -weighted(digits[:12], weights[1:]) % 11 % 10
    second = -weighted(digits[:13], weights) % 11 % 10
    return len(set(digits)) > 1 and digits[12:] == f"{first}{second}"


def france_nir(characters: str) -> bool:
    """13 characters (Corsica has the departments 2A and 2B) and 97 minus their remainder."""
    number = characters[:13].replace("2A", "19").replace("2B", "18") if characters[5:7] in ("2A", "2B") else None
    return 97 - int(number or characters[:13]) % 97 == int(characters[13:])


def spain_dni(characters: str) -> bool:
    """The letter is the number modulo 23; X, Y and Z of foreigners count as 0, 1 and 2."""
    number = characters[:-1].translate(str.maketrans("XYZ", "012"))
    return characters[-1] == "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23]


def italy_codice_fiscale(characters: str) -> bool:
    """The last letter is a weighted sum modulo 26; weights of odd places as in the decree of 1976."""
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    total = 0
    for place, character in enumerate(characters[:15]):
        value = int(character) if character.isdigit() else ord(character) - ord("A")
        total += odd[value] if place % 2 == 0 else value
    return characters[15] == chr(ord("A") + total % 26)


def finland_hetu(characters: str) -> bool:
    """Birth date, sign of the century, serial, and the character of date and serial modulo 31."""
    number = int(characters[:6] + characters[7:10])
    is_birth = is_date(characters[4:6], characters[2:4], characters[:2])
    return is_birth and characters[10] == "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31]


def switzerland_ahv(digits: str) -> bool:
    """EAN-13 of a number that begins with 756."""
    return weighted(digits, (1, 3) * 6 + (1,)) % 10 == 0


def belgium_national_number(digits: str) -> bool:
    """97 minus the remainder of nine digits, with a 2 before them for births from 2000 on."""
    return int(digits[9:]) in (97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97)


def china_resident(characters: str) -> bool:
    """GB 11643: a birth date inside and ISO 7064 MOD 11-2."""
    remainder = weighted(characters[:17], tuple(2**place % 11 for place in range(17, 0, -1))) % 11
    return (
        is_date(characters[6:10], characters[10:12], characters[12:14]) and characters[17] == "10X98765432"[remainder]
    )


def mexico_curp(characters: str) -> bool:
    """Birth date inside and a check digit over an alphabet with N-tilde."""
    values = ["0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ".index(character) for character in characters[:17]]
    total = sum(value * (18 - place) for place, value in enumerate(values))
    return is_date(characters[4:6], characters[6:8], characters[8:10]) and characters[17] == str(-total % 10)


def chile_rut(characters: str) -> bool:
    """A check digit modulo 11, K for ten."""
    total = weighted(characters[-2::-1], (2, 3, 4, 5, 6, 7) * 2)
    return characters[-1].upper() == "0123456789K"[-total % 11]


def argentina_cuit(digits: str) -> bool:
    """A check digit modulo 11."""
    return weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


def korea_resident(digits: str) -> bool:
    """Birth date and a digit for century and sex; the check digit was given up in 2020."""
    return is_date(digits[:2], digits[2:4], digits[4:6])


def scandinavian(digits: str) -> bool:
    """Swedish: a date that begins with the year (days from 61 on for coordination numbers) and Luhn. Danish: one that
    begins with the day; its check digit was given up in 2007."""
    short = digits[-10:]
    is_swedish = is_date(short[:2], short[2:4], f"{int(short[4:6]) % 60:02}") and luhn(short)
    return is_swedish or (len(digits) == 10 and is_date(short[4:6], short[2:4], short[:2]))


def poland_pesel(digits: str) -> bool:
    """A check digit modulo 10."""
    return weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def netherlands_bsn(digits: str) -> bool:
    """The eleven test, where the last digit counts minus one."""
    return weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def germany_tax_id(digits: str) -> bool:
    """ISO 7064 MOD 11,10; never a leading zero."""
    product = 10
    for digit in digits[:10]:
        product = (int(digit) + product) % 10 or 10
        product = product * 2 % 11
    return digits[0] != "0" and (11 - product) % 10 == int(digits[10])

"""Gzip, as far as a file is whole, and bounded."""

import zlib

from ft_assets.ingest.values import Damage

MAX_UNPACKED_BYTES = 2 * 1024**3  # a gzip bomb must not take the machine with it
_PIECE_BYTES = 1 << 16  # unpacks to at most 66 MB
_GZIP = 31  # zlib window bits for a gzip header


def unpack(content: bytes) -> tuple[bytes, Damage | None]:
    """The unpacked bytes of a gzip file, as far as they are whole, and what is wrong with it."""
    parts: list[bytes] = []
    size = 0
    member = zlib.decompressobj(wbits=_GZIP)
    try:
        for start in range(0, len(content), _PIECE_BYTES):  # small pieces bound what one call can unpack
            piece = content[start : start + _PIECE_BYTES]
            while piece:
                if member.eof:
                    member, piece = zlib.decompressobj(wbits=_GZIP), piece.lstrip(b"\0")  # a file may hold several
                parts.append(member.decompress(piece))
                size += len(parts[-1])
                piece = member.unused_data
            if size > MAX_UNPACKED_BYTES:
                reason = f"the file unpacks to more than {MAX_UNPACKED_BYTES} bytes; split it into smaller files"
                return b"", Damage(1, "file_too_large", reason)
        is_whole = member.eof
    except zlib.error:
        is_whole = False
    body = b"".join(parts)
    if is_whole:
        return body, None
    reason = f"the gzip file is cut off or damaged after {size} unpacked bytes; land it again"
    return body, Damage(body.count(b"\n") + 1, "damaged_gzip", reason)

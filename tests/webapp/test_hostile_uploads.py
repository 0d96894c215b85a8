"""Uploads that mean harm, over HTTP: refused with a sentence, and nothing of them stays."""

import io
import struct
import zipfile
import zlib

import pytest
from PIL import Image

TUS = {"Tus-Resumable": "1.0.0"}


def bomb_by_size(noise, path):
    """A PNG whose header promises 60 000 × 60 000 pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    huge = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return noise.pack(path, [(f"{i}.png", huge) for i in range(3)])


def overlapping(noise, path):
    """Two directory entries that point at the same bytes."""
    noise.pack(path, [("a.png", noise.picture()), ("b.png", noise.picture(1)), ("c.png", noise.picture(2))])
    content = bytearray(path.read_bytes())
    first = content.find(b"PK\x01\x02")
    second = content.find(b"PK\x01\x02", first + 4)
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    path.write_bytes(content)
    return path


def linked(noise, path):
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("a.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        for i in range(3):
            archive.writestr(f"{i}.png", noise.picture(i))
    return path


def encrypted(noise, path):
    noise.pack(path, noise.entries(3))
    content = bytearray(path.read_bytes())
    place = content.find(b"PK\x01\x02")
    content[place + 8] |= 1
    path.write_bytes(content)
    return path


def truncated(noise, path):
    noise.pack(path, noise.entries(3))
    path.write_bytes(path.read_bytes()[:-40])
    return path


def not_a_zip(noise, path):
    path.write_bytes(noise.picture())
    return path


def bomb_by_ratio(noise, path):
    return noise.pack(path, [("a.bmp", bytes(200 << 20)), ("b.png", noise.picture())], zipfile.ZIP_DEFLATED)


def bomb_by_parts(noise, path):
    """None of its files is large."""
    return noise.pack(path, [(f"{i}.bmp", bytes(15 << 20)) for i in range(6)], zipfile.ZIP_DEFLATED)


def bomb_by_count(noise, path):
    return noise.pack(path, [(f"{i}.png", b"") for i in range(100_001)])


def lying(noise, path):
    """A directory that promises less than what inflates."""
    noise.pack(path, [("a.bmp", bytes(100 << 20)), ("b.png", noise.picture())], zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    place = content.find(b"PK\x01\x02")
    content[place + 24 : place + 28] = struct.pack("<I", 1000)
    path.write_bytes(content)
    return path


def saved(kind):
    content = io.BytesIO()
    Image.new("RGB", (64, 48)).save(content, kind)
    return content.getvalue()


def behind_a_gif(noise, path):
    """A picture to its beginning, a ZIP to its end."""
    noise.pack(path, noise.entries(3))
    path.write_bytes(saved("GIF") + path.read_bytes())
    return path


REFUSED = {
    "not a ZIP": (not_a_zip, "not a ZIP"),
    "empty": (lambda noise, p: noise.pack(p, []), "holds no photo"),
    "no photo": (lambda noise, p: noise.pack(p, [("notes.txt", "hello")]), "holds no photo"),
    "two photos": (lambda noise, p: noise.pack(p, noise.entries(2)), "2 usable photos"),
    "all corrupt": (lambda noise, p: noise.pack(p, [(f"{i}.png", b"no") for i in range(5)]), "0 usable photos"),
    "path above": (lambda noise, p: noise.pack(p, noise.entries(3, "../")), "leave its folder"),
    "absolute path": (lambda noise, p: noise.pack(p, noise.entries(3, "/etc/")), "leave its folder"),
    "link": (linked, "symbolic link"),
    "encrypted": (encrypted, "encrypted"),
    "truncated": (truncated, "not a ZIP, or its end is missing"),
    "nested ZIP": (lambda noise, p: noise.pack(p, [("in.zip", b"PK"), *noise.entries(3)]), "archive itself"),
    "overlapping": (overlapping, "overlaps another"),
    "bomb by ratio": (bomb_by_ratio, "inflates to more than"),
    "bomb by parts": (bomb_by_parts, "inflates to more than"),
    "bomb by count": (bomb_by_count, "100001 entries"),
    "lying sizes": (lying, "damaged"),
    "huge dimensions": (bomb_by_size, "0 usable photos"),
    "GIF called PNG": (
        lambda noise, p: noise.pack(p, [(f"{i}.png", saved("GIF")) for i in range(3)]),
        "is not an image",
    ),
    "PostScript called JPEG": (
        lambda noise, p: noise.pack(p, [(f"{i}.jpg", saved("EPS")) for i in range(3)]),
        "is not an image",
    ),
    "ZIP behind a GIF": (behind_a_gif, "not a ZIP"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_hostile_uploads_are_refused_whichever_way_they_come_and_leave_nothing(web, noise, case, tmp_path):
    make, words = REFUSED[case]
    content = make(noise, tmp_path / "upload.zip").read_bytes()
    files = web.service.files
    jobs = sorted(files.jobs.iterdir())
    in_pieces = {"Upload-Length": str(len(content)), "Content-Type": "application/offset+octet-stream"}
    begun = web.anna.post("/uploads", content=content, headers=TUS | in_pieces)
    assert begun.status_code == 201
    place = begun.headers["location"]
    for answer in (
        web.anna.post("/upload", files={"file": ("photos.zip", content)}),
        web.anna.post(f"{place}/job"),
        web.anna.post(f"{place}/job"),
    ):
        assert (answer.status_code, words in answer.json()["detail"]) == (400, True), answer.text
        assert str(files.path) not in answer.text
    assert sorted(files.jobs.iterdir()) == jobs
    assert list(files.incoming.iterdir()) == []
    assert [path.name for path in (files.uploads / place.rpartition("/")[2]).iterdir()] == ["about.json"]

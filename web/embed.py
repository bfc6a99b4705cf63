#!/usr/bin/env python3
"""Embeds the built console into C.

    embed.py DIST_DIR OUT.c

Writes the table `web_assets` of api/assets.h: every file below DIST_DIR with its type, its bytes, the same compressed by gzip
where that pays, and an ETag made from the content. The bytes go into OUT.c.bin beside OUT.c, which takes them in with
the assembler's .incbin: half a megabyte of text compiles in no time that way. The same input gives the same output.
"""
import gzip
import hashlib
import os
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".ico": "image/x-icon",
}

HEAD = """/* Made by web/embed.py from the built console: do not edit. */
#include "api/assets.h"

__asm__(".pushsection .rodata\\n"
        ".balign 16\\n"
        "web_assets_blob: .incbin %s\\n"
        ".byte 0\\n"
        ".popsection\\n");
extern const unsigned char web_assets_blob[] __attribute__((visibility("hidden")));

"""


def find(folder):
    """Paths below the folder, with slashes, sorted; what begins with a dot is no asset."""
    found = []
    for base, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".")]
        found += [os.path.relpath(os.path.join(base, n), folder).replace(os.sep, "/") for n in names if not n.startswith(".")]
    return sorted(found)


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_if_new(path, data):
    """Leaves an unchanged file alone, so that make sees no news."""
    try:
        with open(path, "rb") as f:
            if f.read() == data:
                os.utime(path)
                return
    except FileNotFoundError:
        pass
    with open(path, "wb") as f:
        f.write(data)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    dist, out = sys.argv[1:]
    blob, rows = bytearray(), []
    for path in find(dist):
        suffix = os.path.splitext(path)[1]
        if suffix not in TYPES:
            sys.exit(f"embed.py: {path}: no content type known for {suffix!r}, one of {' '.join(sorted(TYPES))}")
        with open(os.path.join(dist, path), "rb") as f:
            plain = f.read()
        packed = gzip.compress(plain, 9, mtime=0)
        at = len(blob)
        blob += plain
        pays = len(packed) < len(plain) * 0.9
        if pays:
            blob += packed
        zipped = f"web_assets_blob + {at + len(plain)}, {len(packed)}" if pays else "NULL, 0"
        etag = quoted('"' + hashlib.sha256(plain).hexdigest()[:20] + '"')
        address = quoted("/" + path)
        rows.append(f"    {{ {address}, {quoted(TYPES[suffix])}, web_assets_blob + {at}, {len(plain)}, {zipped}, {etag} }},\n")
    binary = os.path.abspath(out) + ".bin"
    text = HEAD % quoted(quoted(binary))[1:-1]
    text += "const struct web_asset web_assets[] = {\n" + "".join(rows) + "};\n\n"
    text += f"const size_t web_assets_n = {len(rows)};\n"
    write_if_new(binary, bytes(blob))
    write_if_new(out, text.encode())


if __name__ == "__main__":
    main()

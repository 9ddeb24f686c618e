"""Pin the images of Dockerfile and compose.yaml by their digests. `poe pin-images` runs it.

A tag such as `postgres:18-trixie` gets new contents with each security fix; a digest never changes.
Run it again to take the present contents of the same tags. It needs Docker with Buildx and a
registry, but no engine.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("Dockerfile", "compose.yaml")
# An image with a tag, and the digest that it may have already.
IMAGE = re.compile(r"(?m)^(FROM | +image: )([\w./-]+:[\w.-]+)(@sha256:[0-9a-f]{64})?(?=\s|$)")


def find_digest(image: str) -> str:
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format"]
    done = subprocess.run(
        [*command, "{{.Manifest.Digest}}"], stdout=subprocess.PIPE, text=True, check=False
    )
    digest = done.stdout.strip()
    if done.returncode or not re.fullmatch("sha256:[0-9a-f]{64}", digest):
        raise SystemExit(f"The digest of {image} is not known, so no file was changed.")
    return digest


def main() -> int:
    texts = {ROOT / name: (ROOT / name).read_text("utf-8") for name in FILES}
    images = {match[2] for text in texts.values() for match in IMAGE.finditer(text)}
    digests = {image: find_digest(image) for image in sorted(images)}
    for path, text in texts.items():
        pinned = IMAGE.sub(lambda match: f"{match[1]}{match[2]}@{digests[match[2]]}", text)
        path.write_text(pinned, encoding="utf-8", newline="\n")
    for image, digest in digests.items():
        print(f"{image}@{digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Clips that are written here are seen in a browser."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from zigdemo import media
from zigdemo.request import Request

pytestmark = pytest.mark.browser
PAGE = """<link rel="icon" href="data:,"><button>play</button>
<video src="a.mp4" muted></video><img src="a.webp"><img src="a.gif">"""
PLAYED = """async () => {
    const video = document.querySelector("video")
    const ended = new Promise((done) => video.addEventListener("ended", done, {once: true}))
    await video.play()
    await ended
    const canvas = document.createElement("canvas")
    const draw = canvas.getContext("2d")
    draw.drawImage(video, 0, 0)
    const pixel = (x, y) => [...draw.getImageData(x, y, 1, 1).data].slice(0, 3)
    return {seconds: video.duration, at: video.currentTime, size: [video.videoWidth, video.videoHeight],
            frames: video.getVideoPlaybackQuality().totalVideoFrames, pixels: [pixel(20, 20), pixel(120, 120)]}
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def files_served(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_clips_play_with_every_frame_in_the_right_size_and_colours(visit, files_served, tmp_path):
    pytest.importorskip("av")
    clip = np.zeros((16, 32, 48, 3), np.uint8)
    clip[..., 0] = np.linspace(0, 220, 16, dtype=np.uint8)[:, None, None]
    clip[:, 8:, :] = (30, 160, 40)
    for kind in ("mp4", "webp", "gif"):
        media.save_clip(clip, tmp_path / f"a.{kind}", Request("tiny").settings, {}, frames_per_second=16)
    (tmp_path / "index.html").write_text(PAGE)
    page = visit(files_served)
    played = page.evaluate(PLAYED)
    assert played["size"] == [384, 256] and played["frames"] == 16
    assert abs(played["seconds"] - 1) < 0.01 and abs(played["at"] - 1) < 0.07
    for seen, wanted in zip(played["pixels"], ((220, 0, 0), (30, 160, 40)), strict=True):
        assert np.abs(np.subtract(seen, wanted)).max() <= 6
    pictures = page.evaluate("[...document.images].map((one) => [one.naturalWidth, one.naturalHeight])")
    assert pictures == [[384, 256], [384, 256]]

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
    return {seconds: video.duration, at: video.currentTime, size: [video.videoWidth, video.videoHeight],
            frames: video.getVideoPlaybackQuality().totalVideoFrames}
}"""
SHOWS_ITS_LAST_FRAME = """() => {
    const draw = document.createElement("canvas").getContext("2d")
    draw.drawImage(document.querySelector("video"), 0, 0)
    const near = (x, y, wanted) =>
        wanted.every((value, i) => Math.abs(draw.getImageData(x, y, 1, 1).data[i] - value) <= 6)
    return near(20, 20, [220, 0, 0]) && near(120, 120, [30, 160, 40])
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
    page.wait_for_function(SHOWS_ITS_LAST_FRAME)  # which a busy machine paints later than it says that the video ended
    pictures = page.evaluate("[...document.images].map((one) => [one.naturalWidth, one.naturalHeight])")
    assert pictures == [[384, 256], [384, 256]]

"""A request gives the same pixels however it is split, and survives its file."""

import itertools
import json
import threading
import warnings
import weakref

import numpy as np
import pytest
import torch
from autoencoders import small_autoencoder
from checkpoints import save, small_weights, weights
from hypothesis import given, settings
from hypothesis.strategies import floats, integers, none, one_of, sampled_from
from models import LABELS, tiny_folder
from PIL import Image
from towers import small_tower

from zigdemo import media, zoo
from zigdemo.diffusion import SAMPLERS, SOLVERS, Gaussian
from zigdemo.latents import AUTOENCODERS
from zigdemo.ops import backends
from zigdemo.pipeline import Pipeline, PipelineCache, Request, to_pixels
from zigdemo.zoo.official import import_checkpoint


@pytest.fixture(scope="module")
def pipe(tmp_path_factory):
    root = tmp_path_factory.mktemp("weights")
    tiny_folder(root / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "WEIGHTS", root)
        yield Pipeline.load("tiny")


def pixels(result):
    return np.stack([np.asarray(image) for image in result.images])


def apart(a, b):
    """By how many levels of 255 two pictures differ at most: matrix products round differently in larger calls."""
    return np.abs(a.astype(int) - b.astype(int)).max()


def test_the_same_request_gives_the_same_pixels_twice_and_split_into_singles_all_but_the_last_level(pipe):
    request = Request("tiny", label="hedgehog", count=4, seed=7, steps=3)
    whole = pixels(pipe(request))
    assert np.array_equal(whole, pixels(pipe(request)))
    singles = [pipe(Request("tiny", label="hedgehog", count=1, seed=7 + i, steps=3)) for i in range(4)]
    assert apart(whole, np.concatenate([pixels(single) for single in singles])) <= 1
    assert len({picture.tobytes() for picture in whole}) == 4


@pytest.mark.parametrize("solver", SAMPLERS)
def test_every_solver_draws_an_item_alike_alone_and_in_company(pipe, solver):
    base = {"model": "tiny", "label": "hedgehog", "steps": 4, "solver": solver}
    both = pixels(pipe(Request(**base, count=2, seed=3)))
    assert apart(both[1:], pixels(pipe(Request(**base, count=1, seed=4)))) <= 1


def test_a_picture_drawn_anew_keeps_the_more_of_it_the_later_it_starts(pipe):
    first = pipe(Request("tiny", label="hedgehog", count=1, steps=4)).images[0]
    apart = []
    for start in (0.95, 0.6, 0.1):
        request = Request("tiny", label="red heart", count=2, steps=4, seed=5, solver_options={"start": start})
        made = pixels(pipe(request, first)).astype(float)
        apart.append(np.abs(made - np.asarray(first)).mean())
    assert apart == sorted(apart) and apart[0] < apart[-1] - 5
    with pytest.raises(ValueError, match="belong together"):
        pipe.stream(Request("tiny", label="hedgehog"), image=first)
    with pytest.raises(ValueError, match="belong together"):
        pipe.stream(request)


def test_the_same_pixels_come_out_while_other_threads_generate(pipe):
    request = Request("tiny", label="red heart", count=2, steps=4)
    alone, results = pixels(pipe(request)), {}
    threads = [threading.Thread(target=lambda i=i: results.update({i: pixels(pipe(request))})) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(alone, results[i]) for i in range(6))


def test_label_negative_guidance_scan_and_solver_all_change_the_picture(pipe):
    base = {"model": "tiny", "label": "hedgehog", "count": 1, "steps": 3}
    changes = [{}, {"label": "red heart"}, {"negative": "red heart"}, {"guidance": 4.0}, {"scan": "hilbert-2"},
               {"solver": "euler"}, {"solver": "ddim", "solver_options": {"eta": 0.5}},
               {"solver_options": {"shift": 3.0}}, {"solver_options": {"rescale": 0.7}}, {"seed": 1},
               {"guidance_interval": (0.0, 0.3)}, {"label": None}]  # fmt: skip
    made = [pixels(pipe(Request(**{**base, **change}))) for change in changes]
    for a, b in itertools.combinations(made, 2):
        assert not np.array_equal(a, b)


@pytest.mark.parametrize("solver", SAMPLERS)
def test_the_stream_counts_up_and_ends_in_the_result(pipe, solver):
    steps = list(pipe.stream(Request("tiny", label="hedgehog", count=2, steps=5, solver=solver)))
    assert [step.index for step in steps] == list(range(5)) and steps[-1].t == 1.0
    calls = SAMPLERS[solver].calls
    wanted = [calls * (i + 1) for i in range(5)] if calls else sorted(step.nfe for step in steps)
    if solver == "heun-sde":
        wanted[-1] -= 1  # its last step is the drift alone
    assert [step.nfe for step in steps] == wanted
    assert all(step.result is None for step in steps[:-1]) and steps[-1].seconds_left == 0
    result = steps[-1].result
    assert len(result.images) == len(steps[0].preview) == 2 and result.nfe == steps[-1].nfe
    assert result.images[0].size == (16, 16) and result.clips == []


def test_closing_the_stream_stops_the_work(pipe, monkeypatch):
    calls = []
    forward = pipe.network.forward
    monkeypatch.setattr(pipe.network, "forward", lambda *a, **k: calls.append(1) or forward(*a, **k))
    stream = pipe.stream(Request("tiny", label="hedgehog", count=1, steps=200, solver="euler"))
    next(stream)
    next(stream)
    stream.close()
    assert len(calls) == 2


@settings(deadline=None, max_examples=20)
@given(
    label=one_of(none(), sampled_from(LABELS)),
    seed=integers(0, 2**32 - 1),
    steps=integers(1, 1000),
    guidance=floats(0, 50),
    low=floats(0, 0.5),
    scan=one_of(none(), sampled_from(["sweep", "zigzag-4", "random-3"])),
    solver=sampled_from(list(SAMPLERS)),
)
def test_a_request_survives_its_picture(pipe, tmp_path_factory, label, seed, steps, guidance, low, scan, solver):
    request = Request("tiny", label=label, seed=seed, steps=steps, guidance=guidance, scan=scan, solver=solver,
                      guidance_interval=(low, 1.0))  # fmt: skip
    image = pipe(Request("tiny", label="hedgehog", count=1, steps=1)).images[0]
    path = media.save_png(image, tmp_path_factory.mktemp("png") / "a.png", request.settings, pipe.provenance(), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Request.from_metadata(path) == request
    assert media.read_metadata(path)["index"] == 3


def test_other_weights_or_versions_are_a_warning(pipe, tmp_path):
    result = pipe(Request("tiny", label="hedgehog", count=1, steps=1))
    path = media.save_png(
        result.images[0], tmp_path / "a.png", result.request.settings, {**result.provenance, "weights": "0" * 64}
    )
    with pytest.warns(UserWarning, match="other weights"):
        Request.from_metadata(path)
    path = media.save_png(result.images[0], tmp_path / "b.png", Request("gone").settings, {})
    with pytest.warns(UserWarning, match="not here"):
        assert Request.from_metadata(path).model == "gone"


BAD = [
    ({"steps": 0}, "steps"),
    ({"steps": 10_000}, "steps"),
    ({"steps": 2.5}, "steps"),
    ({"guidance": float("nan")}, "guidance"),
    ({"guidance": float("inf")}, "guidance"),
    ({"guidance": "2"}, "guidance"),
    ({"seed": -1}, "seed"),
    ({"seed": 2**80}, "seed"),
    ({"count": 0}, "count"),
    ({"count": 1000}, "count"),
    ({"count": True}, "count"),
    ({"solver": "magic"}, "euler"),
    ({"scan": "nonsense"}, "zigzag"),
    ({"label": ""}, "label"),
    ({"label": "x" * 5000}, "label"),
    ({"guidance_interval": (0.9, 0.1)}, "guidance_interval"),
    ({"guidance_interval": 3}, "guidance_interval"),
    ({"size": (0, 16)}, "size"),
    ({"frames": 0}, "frames"),
    ({"solver_options": {"eta": 1}}, "no option 'eta'"),
    ({"solver": "ddim", "solver_options": {"eta": 2}}, "eta"),
    ({"solver": "heun-sde", "solver_options": {"form": "round"}}, "unknown form"),
    ({"solver_options": {"shift": 0}}, "shift"),
    ({"solver_options": {"start": 1.0}}, "start"),
    ({"solver_options": [1]}, "solver_options"),
    ({"model": None}, "model"),
]


@pytest.mark.parametrize(("change", "word"), BAD, ids=lambda value: str(value)[:30])
def test_a_request_that_makes_no_sense_is_refused_in_one_sentence(change, word):
    with pytest.raises(ValueError, match=word) as fault:
        Request(**{"model": "tiny", **change})
    assert "\n" not in str(fault.value) and len(str(fault.value)) < 400


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"label": "hedgehgo"}, "near it: hedgehog"),
        ({"negative": "nothing like it"}, "knows no label"),
        ({"prompt": "a red heart"}, "by label, not by prompt"),
        ({"scan": "bidirectional"}, "bidirectional-scan block"),
        ({"size": (32, 32)}, "16 x 16"),
        ({"frames": 8}, "pictures, not clips"),
    ],
)
def test_a_request_the_model_cannot_do_is_refused_before_any_work(pipe, change, word):
    with pytest.raises(ValueError, match=word):
        pipe.stream(Request(**{"model": "tiny", **change}))


def test_an_unknown_model_is_told_what_there_is(pipe):
    with pytest.raises(ValueError, match="choose one of: tiny"):
        Pipeline.load("nothing")
    for name in ("../tiny", "/etc", "tiny/../.."):
        with pytest.raises(ValueError):
            Pipeline.load(name)


def test_a_model_without_labels_draws_unconditionally(tmp_path):
    pipe = Pipeline.load(tiny_folder(tmp_path / "plain", labels=0).path)
    assert pipe.labels is None
    assert len(pipe(Request("plain", count=2, steps=2)).images) == 2
    with pytest.raises(ValueError, match="knows no labels"):
        pipe.stream(Request("plain", label="hedgehog"))


@pytest.mark.parametrize(("family", "kernels"), [("dit", ["torch"]), ("dig", ["cpu", "reference"])])
def test_a_model_without_a_choice_of_scans_draws_and_refuses_a_scan(tmp_path, family, kernels):
    pipe = Pipeline.load(tiny_folder(tmp_path / family, family=family).path)
    assert pipe.schemes == ()
    result = pipe(Request(family, label=LABELS[0], count=2, steps=2))
    assert len(result.images) == 2 and result.provenance["backend"] in kernels
    with pytest.raises(ValueError, match="leave (scheme )?'sweep' out"):
        pipe.stream(Request(family, label=LABELS[0], scan="sweep"))


@pytest.fixture
def spec(tmp_path):
    return small_autoencoder(tmp_path / "vae")


def test_a_model_of_latents_draws_decoded_pictures_with_cheap_previews(tmp_path, spec, monkeypatch):
    pipe = Pipeline.load(tiny_folder(tmp_path / "latent", latents=spec).path, device="cpu")
    decoded = []
    decode = pipe.latents.decode
    monkeypatch.setattr(pipe.latents, "decode", lambda z: decoded.append(z) or decode(z))
    steps = list(pipe.stream(Request("latent", label=LABELS[0], count=2, steps=3, size=(32, 32))))
    assert len(decoded) == 2  # one by one, so that a run can end between them
    assert {image.size for step in steps for image in step.preview} == {(32, 32)}
    sharp = pipe.stream(Request("latent", label=LABELS[0], count=2, steps=3), decoded=True)
    assert [np.array_equal(a.preview[0], b.preview[0]) for a, b in zip(steps, sharp, strict=True)] == [
        False,
        False,
        True,
    ]
    expected = pipe.latents.to_bytes(decode(torch.cat(decoded[:2]))).numpy()
    assert np.array_equal(pixels(steps[-1].result), expected)
    provenance = steps[-1].result.provenance
    assert provenance["latents"] == spec.source and provenance["latents_weights"] == pipe.latents.sha256
    single = pipe(Request("latent", label=LABELS[0], count=1, seed=1, steps=3))
    assert apart(pixels(single)[0], expected[1]) <= 1
    with pytest.raises(ValueError, match="draws 32 x 32 pixels"):
        pipe.stream(Request("latent", label=LABELS[0], size=(16, 16)))


def test_every_call_of_the_network_and_of_the_autoencoder_can_be_the_last(tmp_path, spec):
    pipe = Pipeline.load(tiny_folder(tmp_path / "latent", latents=spec).path, device="cpu")
    request = Request("latent", label="red heart", count=3, steps=2, solver="euler", guidance=1.0)
    calls = []
    *_, last = pipe.stream(request, previews=False, before_call=lambda: calls.append(None))
    decodings = 3
    assert len(last.result.images) == 3 and len(calls) > decodings

    def stop():
        calls.pop()
        if len(calls) < decodings:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(pipe.stream(request, previews=False, before_call=stop))


def test_a_model_and_its_latents_must_belong_together(tmp_path, spec):
    with pytest.raises(ValueError, match="draws 4 channels and pixels has 3; name its autoencoder under 'latents'"):
        Pipeline.load(tiny_folder(tmp_path / "a", in_channels=4).path)
    with pytest.raises(ValueError, match="draws 3 channels and .* has 4"):
        Pipeline.load(tiny_folder(tmp_path / "b", latents=spec, in_channels=3).path)
    path = tiny_folder(tmp_path / "c", latents=spec).path / zoo.CONFIG
    path.write_text(path.read_text().replace('"kl"', '"gan"'))
    with pytest.raises(ValueError, match="unknown kind of autoencoder 'gan'"):
        zoo.read_folder(path.parent)


OFFICIAL = {"hidden_size": 24, "depth": 2, "input_size": 8, "num_classes": 3, "num_heads": 2}


def official(family, tmp_path, monkeypatch, spec):
    """A pipeline of an imported official network with random weights, on a small autoencoder."""
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setitem(AUTOENCODERS, "sd-vae-ft-ema", spec)
    if family == "ZigMa":
        state, settings = weights(num_classes=3), {}
    else:
        state = {key: 0.2 * value for key, value in small_weights(family, OFFICIAL).items()}
        settings = {"num_heads": 2}
    path = save(state, tmp_path / "x.pt")
    return Pipeline(import_checkpoint(path, family=family, settings=settings), "cpu")


def latents_drawn(pipe, request, monkeypatch):
    """The latents that a request decodes."""
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(type(pipe.latents), "decode", lambda self, z: seen.append(z) or z[:, :3])
        pipe(request)
    return seen[0]


@pytest.mark.parametrize("family", ["SiT", "ZigMa"])
def test_sit_and_zigma_are_followed_in_their_own_time(tmp_path, spec, monkeypatch, family):
    """Their published time runs from noise at 0 to data at 1, as ours; SiT is guided on three channels."""
    pipe = official(family, tmp_path, monkeypatch, spec)
    request = Request("x", label="class 1", count=1, steps=4, solver="euler", guidance=3.0, seed=5)
    z = torch.randn(4, *pipe.network.config.size, generator=torch.Generator().manual_seed(5))[None]
    for i in range(4):
        if family == "SiT":
            t = torch.full((2,), i / 4)
            slope = pipe.network.forward_with_cfg(torch.cat([z, z]), t, torch.tensor([1, 3]), 3.0)[:1]
        else:  # it has no null label to be guided by
            slope = pipe.network(z, torch.full((1,), i / 4), torch.tensor([1]))
        z = z + slope / 4
    assert torch.allclose(latents_drawn(pipe, request, monkeypatch), z, atol=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_network_of_discrete_steps_draws_what_its_noise_says(tmp_path, spec, monkeypatch, solver):
    """For normal data, mean m and spread s, the best noise is known, and the ODE takes noise z to m + s z."""
    pipe, mean, spread = official("DiT", tmp_path, monkeypatch, spec), 0.7, 0.5
    kept, asked = torch.from_numpy(Gaussian().alphas_cumprod).float(), []

    def noise(x, step, cond, scheme):
        asked.append(step[0])
        share = torch.exp(torch.from_numpy(np.interp(step.numpy(), np.arange(1000), kept.log().numpy()))).float()
        alpha, sigma = (part.reshape(-1, 1, 1, 1) for part in (share.sqrt(), (1 - share).sqrt()))
        found = sigma * (x - alpha * mean) / (alpha**2 * spread**2 + sigma**2)
        return torch.cat([found, torch.full_like(x, 9.0)], 1)

    monkeypatch.setattr(pipe.network, "forward", noise)
    drawn = latents_drawn(pipe, Request("x", label="class 1", count=1, steps=400, solver=solver), monkeypatch)
    z = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert (drawn[0] - (mean + spread * z)).abs().max() < 0.03
    assert asked[0] == 999 and 0 <= min(asked) < 10


def test_an_official_dit_draws_by_every_solver_and_its_variance_is_left_out(tmp_path, spec, monkeypatch):
    pipe = official("DiT", tmp_path, monkeypatch, spec)
    for solver in SOLVERS:
        steps = list(pipe.stream(Request("x", label="class 2", count=1, steps=3, solver=solver, guidance=4.0)))
        assert steps[-1].result.images[0].size == (16, 16) and steps[-1].result.provenance["backend"] == "torch"


def test_models_stay_loaded_within_the_budget_and_the_least_recently_used_goes(tmp_path):
    folders = [tiny_folder(tmp_path / name) for name in ("a", "b", "c")]
    each = sum(weight.nbytes for weight in Pipeline(folders[0]).network.state_dict().values())
    cache = PipelineCache(most_bytes=int(2.5 * each))
    first, second = cache.get(folders[0]), cache.get(folders[1])
    assert cache.get(folders[0]) is first and cache.nbytes == 2 * each
    cache.get(folders[2])
    assert cache.get(folders[0]) is first and cache.get(folders[1]) is not second and cache.nbytes == 2 * each


def test_a_model_without_room_frees_those_before_and_changed_weights_are_loaded_again(tmp_path):
    cache, folders = PipelineCache(most_bytes=0), [tiny_folder(tmp_path / name) for name in ("a", "b")]
    first = cache.get(folders[0])
    assert cache.get(folders[0]) is first
    first(Request("a", label=LABELS[0], count=1, steps=1))
    first.network.itself = [first.network]  # a cycle, as half precision makes them
    gone = weakref.ref(first.network), weakref.ref(first.network.blocks[0].mixer.in_proj.weight)
    del first
    second = cache.get(folders[1])
    assert [ref() for ref in gone] == [None, None] and second.folder == folders[1]
    changed = tiny_folder(tmp_path / "b", depth=1)
    assert cache.get(changed) is not second and len(cache.get(changed).network.blocks) == 1


def test_models_share_their_tower_and_autoencoder_by_their_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    text, latents = small_tower(tmp_path / "tower"), small_autoencoder(tmp_path / "autoencoder")
    folders = [tiny_folder(tmp_path / name, text=text, latents=latents) for name in ("a", "b")]
    cache = PipelineCache()
    a, b = map(cache.get, folders)
    assert a.text is b.text and a.latents is b.latents and a.network is not b.network
    parts = [weight.nbytes for part in (*a.modules, b.network) for weight in (*part.parameters(), *part.buffers())]
    assert len(a.modules) == 3 and cache.nbytes == sum(parts)


def test_a_model_that_cannot_be_loaded_leaves_none_and_the_next_one_loads(tmp_path):
    current, good, bad = PipelineCache(), tiny_folder(tmp_path / "a"), tiny_folder(tmp_path / "b", in_channels=4)
    current.get(good)
    with pytest.raises(ValueError, match="draws 4 channels"):
        current.get(bad)
    assert current.get(good).folder == good


@pytest.mark.parametrize("operator", [None, *backends.OPERATORS])
def test_provenance_names_the_backend_of_whatever_operator_the_network_has(pipe, monkeypatch, operator):
    monkeypatch.setattr(type(pipe.network.config), "operator", operator)
    chosen = "torch" if operator is None else backends.choose(operator, "auto", pipe.device, torch.float32)
    assert pipe.provenance()["backend"] == chosen


def test_provenance_says_what_decided_the_pixels(pipe):
    provenance = pipe.provenance()
    assert provenance["weights"] == pipe.folder.sha256 and provenance["backend"] in ("cpu", "reference")
    json.dumps(provenance)


def test_a_picture_to_start_from_is_cut_to_the_sides_of_the_model_and_laid_on_white():
    wide = Image.new("RGBA", (40, 10), (0, 0, 0, 0))
    wide.paste((255, 0, 0, 255), (15, 0, 25, 10))
    pixels = to_pixels(wide, (4, 8))  # height, width
    assert pixels.shape == (1, 3, 4, 8)
    assert torch.allclose(pixels[0, :, 2, 0], torch.ones(3))  # clear became white
    assert torch.allclose(pixels[0, :, 2, 4], torch.tensor([1.0, -1.0, -1.0]), atol=0.02)

"""UCF101 in every layout that people have it in, on lists with all 101 official names."""

from __future__ import annotations

import pytest

from zigdemo.data.videos import ucf101

CLASSES = """ApplyEyeMakeup ApplyLipstick Archery BabyCrawling BalanceBeam BandMarching BaseballPitch Basketball
BasketballDunk BenchPress Biking Billiards BlowDryHair BlowingCandles BodyWeightSquats Bowling BoxingPunchingBag
BoxingSpeedBag BreastStroke BrushingTeeth CleanAndJerk CliffDiving CricketBowling CricketShot CuttingInKitchen Diving
Drumming Fencing FieldHockeyPenalty FloorGymnastics FrisbeeCatch FrontCrawl GolfSwing Haircut Hammering HammerThrow
HandstandPushups HandstandWalking HeadMassage HighJump HorseRace HorseRiding HulaHoop IceDancing JavelinThrow
JugglingBalls JumpingJack JumpRope Kayaking Knitting LongJump Lunges MilitaryParade Mixing MoppingFloor Nunchucks
ParallelBars PizzaTossing PlayingCello PlayingDaf PlayingDhol PlayingFlute PlayingGuitar PlayingPiano PlayingSitar
PlayingTabla PlayingViolin PoleVault PommelHorse PullUps Punch PushUps Rafting RockClimbingIndoor RopeClimbing Rowing
SalsaSpin ShavingBeard Shotput SkateBoarding Skiing Skijet SkyDiving SoccerJuggling SoccerPenalty StillRings
SumoWrestling Surfing Swing TableTennisShot TaiChi TennisSwing ThrowDiscus TrampolineJumping Typing UnevenBars
VolleyballSpiking WalkingWithDog WallPushups WritingOnBoard YoYo""".split()


def spelled(name):
    """A class in the names of its videos, one of which is written otherwise than its folder."""
    return {"HandstandPushups": "HandStandPushups"}.get(name, name)


def build(
    root, ends="\n", ending=".avi", folder="UCF-101", lists="ucfTrainTestlist", labels=True, flat=False, case=str
):
    (root / lists).mkdir(parents=True, exist_ok=True)
    (root / lists / "classInd.txt").write_bytes(ends.join(f"{i} {n}" for i, n in enumerate(CLASSES, 1)).encode())
    for split in (1, 2, 3):
        for part, group in (("train", 7 + split), ("test", split)):
            lines = [
                f"{name}/v_{spelled(name)}_g{group:02d}_c01.avi" + f" {i}" * (labels and part == "train")
                for i, name in enumerate(CLASSES, 1)
            ]
            (root / lists / f"{part}list0{split}.txt").write_bytes((ends.join(lines) + ends).encode())
            for name in CLASSES:
                here = root / folder if flat else root / folder / case(name)
                here.mkdir(parents=True, exist_ok=True)
                (here / f"v_{spelled(name)}_g{group:02d}_c01{ending}").write_bytes(b"x")
    return root


LAYOUTS = {
    "official": {}, "windows line ends": {"ends": "\r\n"}, "no labels": {"labels": False}, "mp4": {"ending": ".mp4"},
    "lower case": {"case": str.lower}, "beside the lists": {"folder": "."}, "all in one folder": {"flat": True},
    "lists at the top": {"lists": "."}, "upper-case endings": {"ending": ".AVI"}, "ucf101": {"folder": "UCF101"},
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_all_101_classes_in_all_splits_and_parts(tmp_path, layout):
    assert len(CLASSES) == len(set(CLASSES)) == 101
    root = build(tmp_path, **LAYOUTS[layout])
    for split in (1, 2, 3):
        train, test, both = (ucf101(root, split, part) for part in ("train", "test", "all"))
        assert not train[1] and not test[1] and both[0] == train[0] + test[0]
        for videos, group in ((train[0], 7 + split), (test[0], split)):
            assert [video.label.lower() for video in videos] == [name.lower() for name in CLASSES]
            assert all(video.path.is_file() and video.group.endswith(f"_g{group:02d}") for video in videos)


def test_missing_videos_are_named_and_are_fatal_only_for_a_wanted_class(tmp_path):
    root = build(tmp_path)
    for path in (root / "UCF-101/Archery").iterdir():
        path.unlink()
    videos, missing = ucf101(root, 1, "all")
    assert len(videos) == 200 and missing == [f"Archery/v_Archery_g{g:02d}_c01.avi" for g in (8, 1)]
    videos, missing = ucf101(root, 1, "train", ["handstandpushups", "YoYo"])
    assert [video.label for video in videos] == ["HandstandPushups", "YoYo"] and not missing
    with pytest.raises(ValueError, match="has no video of Archery in this part; unpack it there"):
        ucf101(root, 1, "train", ["Archery", "YoYo"])
    with pytest.raises(ValueError, match="unknown label 'Juggling'"):
        ucf101(root, 1, "train", ["Juggling"])

"""Ways back to an earlier release, and what is kept for them on a host and what is not."""

from __future__ import annotations

from tests.e2e.support.app import App, tiny_images
from tests.e2e.support.host import Host


def test_a_rollback_brings_back_environment_secret_image_and_route(host: Host) -> None:
    app = App(host, "rollback", "rollout")
    releases = {}
    for name, version in (("one", "v1"), ("two", "v2")):
        releases[name] = app.deployed(
            environment={"LABEL": name},
            compose_release_version=version,
            compose_release_secrets={"TOKEN": f"secret of {name}"},
            compose_release_routes=[{"service": "web", "hosts": [app.address, f"{name}.test"]}],
        )
    assert host.ask("/readyz", "two.test").release == releases["two"]
    with app.load() as load:
        result = app.rollback(releases["one"])
        assert result.rc == 0, str(result)
    assert load.lost == {}
    assert app.live() == releases["one"]
    assert host.ask("/readyz", "one.test").release == releases["one"]
    assert host.ask("/readyz", "two.test").release != releases["two"]
    assert app.ask("/whoami").json()["release"] == "v1"
    for name, value in (("LABEL", "one"), ("TOKEN", "secret of one")):
        assert app.ask(f"/env?name={name}").json()["value"] == value
    probe = app.history()[-1]["probe"]
    assert (probe["failures"], probe["requests"] > 0) == (0, True), probe
    assert f"{probe['requests']} requests, 0 failed" in result.output, str(result)


def test_each_rollback_goes_one_further_back_and_never_to_a_bad_release(host: Host) -> None:
    app = App(host, "chain", "rollout", {"compose_release_keep": 9})
    first = app.deployed()
    second = app.deployed()
    bad = app.deploy(environment={"EXITS_AFTER": "1"})
    assert bad.rc != 0
    failed = app.history()[-1]["release"]
    third = app.deployed()
    with app.load() as load:
        refused = app.rollback(failed)
        assert refused.rc != 0
        assert "failed its gates when it was deployed" in refused.output, str(refused)
        assert app.live() == third
        for expected in (second, first):
            result = app.rollback()
            assert result.rc == 0, str(result)
            assert (app.live(), app.ask("/readyz").release) == (expected, expected)
        nowhere = app.rollback()
        assert nowhere.rc != 0
        assert "no good release before the live one" in nowhere.output, str(nowhere)
        # By its name, a release that was turned away from can be had again.
        named = app.rollback(third)
        assert named.rc == 0, str(named)
    assert load.lost == {}
    assert app.live() == third


def test_only_what_a_rollback_needs_is_kept(host: Host) -> None:
    other = App(host, "neighbour", "rollout")
    other.deployed(compose_release_version="r1")
    other.await_rest()
    before = tiny_images(host)
    app = App(host, "kept", "rollout", {"compose_release_keep": 1})
    releases: list[str] = []
    brought: list[str] = []
    for version in ("r1", "r2", "r3", "r4", "r5"):
        releases.append(app.deployed(compose_release_version=version))
        app.await_rest()
        brought.append(next(iter(tiny_images(host) - before - set(brought)), ""))
        assert len(tiny_images(host) - before) <= 2, "live and the one before it"
    assert app.kept() == set(releases[-2:])
    after = tiny_images(host)
    assert before <= after, "another app's image was removed"
    assert after - before == set(brought[-2:])
    assert brought[0] == "", "it was there for the other app"
    live = host.shell(f"basename $(readlink {app.home}/last_good)").strip()
    assert live == releases[-1]
    back = app.rollback()
    assert back.rc == 0, str(back)
    assert app.live() == releases[-2]
    assert other.ask("/readyz").release == other.live()

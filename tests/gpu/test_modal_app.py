"""gpu/app.py, deployed by the real Modal client to a control plane on loopback, then called."""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest

from gateway.retrieval.base import Question
from gateway.retrieval.lexical import LexicalIndex
from gateway.retrieval.remote import RemoteOptions, RemoteRanker
from gateway.retrieval.tier import Tier
from gateway.upstream.openai import make_client
from retrieval.passages import monologue
from retriever_contract.wire import Failure, Health, RankAnswer, RankRequest, Window
from support.modal_cloud import APP, PROXY_KEYS, PYTHONPATH, VARIABLE, ModalCloud, ModalMissing
from support.tiny_retriever import tiny_settings

START_SECONDS = 60.0


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModalCloud]:
    """Its containers run a tiny model on the CPU. `web_url` and PROXY_KEYS reach the retriever."""
    folder = tmp_path_factory.mktemp("modal")
    try:
        started = ModalCloud(folder, "memory-ops", **tiny_settings(folder))
    except ModalMissing as missing:
        pytest.skip(str(missing))
    with started:
        yield started


@pytest.fixture(scope="module")
def deployed(cloud: ModalCloud) -> dict[str, Any]:
    """As the defaults have it."""
    return cloud.deploy()


@pytest.fixture(scope="module")
def web(cloud: ModalCloud, deployed: dict[str, Any]) -> Iterator[httpx.Client]:
    """Without keys."""
    assert deployed
    transport = httpx.HTTPTransport(retries=6)  # backs off until the web port listens
    with httpx.Client(transport=transport, base_url=cloud.web_url, timeout=START_SECONDS) as client:
        yield client


def retriever_of(deployed: dict[str, Any]) -> dict[str, Any]:
    (ranked,) = deployed["Retriever.*"]["ranked_functions"]
    function: dict[str, Any] = ranked["function"]
    return function


def test_a_deployment_is_the_retriever_and_its_jobs(deployed: dict[str, Any]) -> None:
    assert set(deployed) == {"Retriever.*", "warm", "fetch", "detect", "train"}


def test_the_retriever_scales_to_zero_and_never_beyond_its_bound(deployed: dict[str, Any]) -> None:
    assert retriever_of(deployed)["autoscaler_settings"] == {
        "min_containers": 0,
        "max_containers": 4,
        "buffer_containers": 0,
        "scaledown_window": 300,
    }


def test_one_container_has_one_gpu_and_many_requests(deployed: dict[str, Any]) -> None:
    function = retriever_of(deployed)
    assert function["resources"]["gpu_config"] == {"count": 1, "gpu_type": "L40S"}
    assert function["target_concurrent_inputs"] == 16
    assert function["max_concurrent_inputs"] == 32


def test_a_request_may_take_as_long_as_the_contract_allows(deployed: dict[str, Any]) -> None:
    function = retriever_of(deployed)
    assert function["timeout_secs"] == 600
    assert function["startup_timeout_secs"] == 1200


def test_the_web_endpoint_asks_for_a_proxy_token(deployed: dict[str, Any]) -> None:
    web = deployed["Retriever.*"]["method_definitions"]["web"]["webhook_config"]
    assert web["type"] == "WEBHOOK_TYPE_ASGI_APP"
    assert web["requires_proxy_auth"] is True


def test_memory_is_snapshotted_and_the_gpus_only_on_demand(
    cloud: ModalCloud, deployed: dict[str, Any]
) -> None:
    function = retriever_of(deployed)
    assert function["checkpointing_enabled"] is True
    assert "experimental_options" not in function
    asked = retriever_of(cloud.deploy(RETRIEVER_GPU_SNAPSHOT="true"))
    assert asked["experimental_options"] == {"enable_gpu_snapshot": "True"}


def test_containers_get_the_volume_and_the_jobs_alone_the_secret(deployed: dict[str, Any]) -> None:
    secrets = {}
    for name in ("fetch", "detect", "train", "Retriever.*"):
        function = deployed[name]["ranked_functions"][0]["function"]
        assert [mount["mount_path"] for mount in function["volume_mounts"]] == ["/volume"]
        secrets[name] = len(function["secret_ids"])
    jobs = dict.fromkeys(("fetch", "detect", "train"), 2)  # the named one, and the settings
    assert secrets == {**jobs, "Retriever.*": 1}
    assert "secret_ids" not in deployed["warm"]["ranked_functions"][0]["function"]


def test_jobs_run_on_the_same_gpu_and_the_download_on_none(deployed: dict[str, Any]) -> None:
    asked = {
        name: definition["ranked_functions"][0]["function"]["resources"]["gpu_config"]
        for name, definition in deployed.items()
    }
    assert asked["detect"] == asked["train"] == asked["Retriever.*"]
    assert asked["fetch"] == asked["warm"] == {}


def test_what_is_asked_of_modal_is_read_from_the_environment(cloud: ModalCloud) -> None:
    deployed = cloud.deploy(
        RETRIEVER_GPU="H100, A100-80GB",
        RETRIEVER_REGION="us-east",
        RETRIEVER_MIN_CONTAINERS="1",
        RETRIEVER_MAX_CONTAINERS="2",
        RETRIEVER_BUFFER_CONTAINERS="1",
        RETRIEVER_SCALEDOWN_SECONDS="60",
        RETRIEVER_WARM_CRON="*/5 8-18 * * 1-5",
    )
    ranked = [one["function"] for one in deployed["Retriever.*"]["ranked_functions"]]
    kinds = [function["resources"]["gpu_config"]["gpu_type"] for function in ranked]
    assert kinds == ["H100", "A100-80GB"]
    assert ranked[0]["scheduler_placement"]["regions"] == ["us-east"]
    assert ranked[0]["autoscaler_settings"] == {
        "min_containers": 1,
        "max_containers": 2,
        "buffer_containers": 1,
        "scaledown_window": 60,
    }
    assert deployed["warm"]["schedule"]["cron"]["cron_string"] == "*/5 8-18 * * 1-5"


def test_a_number_that_is_none_is_named(cloud: ModalCloud) -> None:
    with pytest.raises(AssertionError, match="RETRIEVER_MAX_CONTAINERS is a whole number"):
        cloud.deploy(RETRIEVER_MAX_CONTAINERS="many")


@pytest.mark.parametrize("keys", [{}, {**PROXY_KEYS, "Modal-Secret": "ws-wrong"}])
def test_nobody_reaches_the_retriever_without_a_proxy_token(
    web: httpx.Client, keys: dict[str, str]
) -> None:
    answer = web.get("/v1/health", headers=keys)
    assert answer.status_code == 401
    assert "credentials for proxy authorization" in answer.text


def test_a_deployed_retriever_ranks(web: httpx.Client) -> None:
    health = web.get("/v1/health", headers=PROXY_KEYS)
    assert Health.model_validate_json(health.content).status == "ready"
    chunks = [{"id": "a", "text": "tea at four"}, {"id": "b", "text": "the bike is red"}]
    request = RankRequest(
        owner="a1b2c3d4e5f6a7b8",
        epoch=0,
        windows=[Window.model_validate({"chunks": chunks})],
        queries=["what colour is the bike"],
        deadline_milliseconds=30_000,
    )
    answer = web.post("/v1/rank", content=request.model_dump_json(), headers=PROXY_KEYS)
    assert answer.status_code == 200
    ranked = RankAnswer.model_validate_json(answer.content)
    assert [[score.id for score in scores] for scores in ranked.scores] == [["a", "b"]]
    assert ranked.facts.profile == health.json()["facts"]["profile"]


@pytest.fixture
def question(web: httpx.Client) -> Question:
    """For a container that has been started."""
    assert web.get("/v1/health", headers=PROXY_KEYS).is_success
    said = monologue("tea at four", "the bike is red", "rain tomorrow")
    return Question("what colour is the bike", [LexicalIndex(said)], "alice", epoch=0)


@pytest.mark.parametrize(
    ("keys", "retriever"), [(PROXY_KEYS.values(), "gpu"), ((), "lexical; reason=refused")]
)
async def test_the_gateway_ranks_by_a_deployed_retriever_that_it_has_the_keys_of(
    cloud: ModalCloud, question: Question, keys: Iterable[str], retriever: str
) -> None:
    options = RemoteOptions(deadline_seconds=START_SECONDS, small_tokens=0)
    async with make_client() as client:
        tier = Tier(cloud.web_url, client, *keys)
        ranking = await RemoteRanker(tier, options, time.perf_counter).rank(question)
    assert ranking.retriever == retriever


def test_a_deployed_retriever_refuses_what_is_not_the_contract(web: httpx.Client) -> None:
    answer = web.post("/v1/rank", content=b"{", headers=PROXY_KEYS)
    assert answer.status_code == 400
    assert Failure.model_validate_json(answer.content).code == "bad_request"


def test_the_schedule_wakes_a_container_of_the_deployed_class(
    cloud: ModalCloud, deployed: dict[str, Any]
) -> None:
    assert "warm" in deployed
    call = "import modal; print(modal.Function.from_name('memory-ops', 'warm').remote()['status'])"
    assert cloud.run("-c", call).strip() == "ready"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--model nobody/nothing --name 'a b' --out taken", "'a b' is no name for files"),
        ("--model nobody/nothing --profile other", "detect ended with 2"),
    ],
)
def test_a_jobs_arguments_arrive_and_what_it_ends_with_comes_back(
    cloud: ModalCloud, arguments: str, said: str
) -> None:
    """Some of them are options of Modal's own command line. The volume is kept all the same."""
    with pytest.raises(AssertionError, match=said):
        cloud.run("-m", "modal", "run", f"{APP}::detect", f"--arguments={arguments}")
    cloud.until_printed("committed")


def test_what_was_fetched_is_kept(cloud: ModalCloud) -> None:
    cloud.run("-m", "modal", "run", f"{APP}::fetch")
    cloud.until_printed("committed")


def test_a_job_that_ends_well_keeps_what_it_wrote(cloud: ModalCloud) -> None:
    cloud.run("-m", "modal", "run", f"{APP}::detect", "--arguments", "--help")
    cloud.until_printed("--allow-noncommercial")
    cloud.until_printed("committed")


IMPORT_WITHOUT_TORCH = """
import importlib.abc, sys

class NoTorch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "peft", "pydantic", "starlette"}:
            raise ImportError(f"{name} is not on the machine that deploys")

sys.meta_path.insert(0, NoTorch())
import app
print(app.app.name)
"""


def test_who_deploys_needs_modal_alone() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_WITHOUT_TORCH],
        env={"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "memory-ops"), ended.stderr


def test_every_setting_of_the_model_reaches_the_container() -> None:
    from retriever.settings import Settings

    spec = importlib.util.spec_from_file_location("modal_app", APP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["modal_app"] = module
    spec.loader.exec_module(module)
    told = {*module.PASSED_ON, *module.PLACES}
    of_the_server_alone = {"RETRIEVER_HOST", "RETRIEVER_PORT"}
    settings = {name.upper() for name in Settings.model_fields} - of_the_server_alone
    assert settings - told == set()


def test_the_stand_in_for_modal_is_named_by_a_variable_when_it_is_missing(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ModalMissing, match=f"set {VARIABLE} to the path of modalstub.py"):
        ModalCloud(tmp_path_factory.mktemp("nowhere"))

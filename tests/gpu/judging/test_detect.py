"""`python -m retriever detect`: which heads are chosen, what is written, what is refused.

The model is tiny and random; the whole command runs on it. One test gives a head weights that make
it look where the question's own words stand.
"""

import gzip
import json
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retriever.errors import Unusable
from retriever.judging import detect, templates
from retriever.judging.bm25 import Bm25
from retriever.judging.calibration import exchanges, with_neighbours
from retriever.judging.choice import (
    Candidate,
    Figures,
    Fusion,
    Judged,
    Ranking,
    added,
    candidates,
    cheapest,
    choose_floor,
    choose_fusion,
    finalists,
    order_of,
    rank_heads,
    recall,
)
from retriever.judging.dialogues import Dialogue, Message
from retriever.judging.headwise import all_heads, head_scores
from retriever.judging.trials import Sampler
from retriever.profile import Head, Profile, find_profile
from retriever.reading.cache import WindowCache
from retriever.reading.decoder import Decoder
from retriever.reading.prompt import Prompt
from retriever.reading.reader import Reader
from retriever_contract.wire import Chunk
from support.tiny_models import save_tiny, tiny_model, tiny_tokenizer

LAYERS, HEADS = 4, 8
RIGGED = Head(0, 5)
WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "jade"]


def dialogue(number: int, messages: int = 40, licence: str = "MIT") -> dict[str, Any]:
    """Everybody says a few words; each of six questions repeats those of one message."""
    rng = Random(number)
    said = [" ".join(rng.choices(WORDS, k=12)) for _ in range(messages)]
    asked = rng.sample(range(messages), 6)
    return {
        "id": f"d{number}",
        "source": "OURS",
        "licence": licence,
        "messages": [
            {"id": str(i), "role": ("user", "assistant")[i % 2], "text": text}
            for i, text in enumerate(said)
        ],
        "questions": [
            {"id": f"q{i}", "text": f"{said[i][:30]} {number}?", "evidence": [str(i)]}
            for i in asked
        ],
    }


def write_data(folder: Path, **over: Any) -> Path:
    (folder / "train").mkdir(parents=True)
    lines = "\n".join(json.dumps(dialogue(number, **over)) for number in range(6))
    (folder / "train" / "ours.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return folder


def judged(scores: list[list[float]], gold: set[int], name: str = "a") -> Judged:
    return Judged(name, frozenset(gold), torch.tensor(scores, dtype=torch.double))


def ranking(gold: set[int], lexical: list[float], model: list[float]) -> Ranking:
    return Ranking("a", frozenset(gold), lexical, model, model)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), "llama")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("dialogues"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no .env, and --out's default is a folder of the test's own
    monkeypatch.delenv("MEMORY_OPS_DIALOGUES", raising=False)


def arguments(model: Path, data: Path, *more: str) -> list[str]:
    openers = ["--user-opener", "<|im_start|>user\\n", "--assistant-opener", "<|im_end|>\\n"]
    given = ["--model", str(model), "--data", str(data), "--device", "cpu", "--name", "tiny"]
    return [*given, *openers, "--questions", "8", "--window", "1400", *more]


def test_the_profile_that_is_written_is_found_by_the_retriever(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detect.main(arguments(model, data, "--out", str(tmp_path / "out"), "--seed", "3"))
    profile = find_profile(str(model), None, [tmp_path / "out"])
    assert profile.name == "tiny"
    assert profile.window_tokens == 1400
    assert profile.user_opener == "<|im_start|>user\n"
    assert all(head.layer < LAYERS and head.head < HEADS for head in profile.heads)
    assert "--seed 3" in profile.note
    assert "OURS, MIT" in profile.note
    assert str(data) not in profile.note
    assert (tmp_path / "out" / "tiny.png").read_bytes().startswith(b"\x89PNG")
    assert "whole conversations" in capsys.readouterr().out


def test_a_seed_decides_all_that_is_left_to_chance(model: Path, data: Path, tmp_path: Path) -> None:
    for out in ("a", "b"):
        detect.main(arguments(model, data, "--out", str(tmp_path / out)))
    one, other = ((tmp_path / out / "tiny.json").read_bytes() for out in ("a", "b"))
    assert one == other


def test_of_heads_that_are_known_weight_and_floor_alone_are_found(
    model: Path, data: Path, tmp_path: Path
) -> None:
    detect.main(arguments(model, data, "--heads", "2-7", "1-0"))
    profile = Profile.model_validate_json((tmp_path / "tiny.json").read_bytes())
    assert profile.heads == (Head(2, 7), Head(1, 0))
    assert "--heads 2-7 1-0" in profile.note
    assert not (tmp_path / "tiny.png").exists()


@pytest.mark.parametrize(("heads", "said"), [("9-0", "no head 9-0"), ("9", "LAYER-HEAD")])
def test_a_head_that_the_model_has_not_is_refused(
    model: Path, data: Path, heads: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        detect.main(arguments(model, data, "--heads", heads))
    assert said in f"{stopped.value}{capsys.readouterr().err}"


def test_a_profile_that_is_there_is_not_overwritten(
    model: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.json").write_text("mine")
    with pytest.raises(SystemExit, match=r"tiny\.json is there.*--replace"):
        detect.main(arguments(model, data))
    assert (tmp_path / "tiny.json").read_text() == "mine"


def test_without_data_the_command_says_where_to_put_it(model: Path) -> None:
    with pytest.raises(SystemExit, match="set MEMORY_OPS_DIALOGUES or give --data"):
        detect.main(["--model", str(model)])


def test_data_that_may_not_ship_is_refused(model: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", licence="CC BY-NC 4.0")
    with pytest.raises(SystemExit, match=r"CC BY-NC 4\.0.*--allow-noncommercial"):
        detect.main(arguments(model, data))


def test_data_that_may_not_ship_leaves_its_mark_on_the_profile(model: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", licence="CC BY-NC 4.0")
    detect.main(arguments(model, data, "--allow-noncommercial"))
    profile = Profile.model_validate_json((tmp_path / "tiny.json").read_bytes())
    assert "NOT FOR COMMERCIAL USE" in profile.note


def test_a_single_conversation_is_too_few_before_anything_is_read(
    model: Path, tmp_path: Path
) -> None:
    (tmp_path / "data" / "train").mkdir(parents=True)
    line = json.dumps(dialogue(1)).encode()
    (tmp_path / "data" / "train" / "ours.jsonl.gz").write_bytes(gzip.compress(line))
    with pytest.raises(SystemExit, match="too few conversations"):
        detect.main(arguments(model, tmp_path / "data"))


def test_questions_without_evidence_find_no_heads(model: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", messages=7)  # too few to be negatives
    with pytest.raises(SystemExit, match="0 questions have evidence that fits"):
        detect.main(arguments(model, data))


def test_a_model_without_a_chat_template_needs_openers(model: Path, data: Path) -> None:
    with pytest.raises(SystemExit, match="no chat template: give --user-opener"):
        detect.main(["--model", str(model), "--data", str(data), "--device", "cpu"])


def test_one_opener_without_the_other_is_refused(model: Path, data: Path) -> None:
    given = ["--model", str(model), "--data", str(data), "--device", "cpu", "--user-opener", "x"]
    with pytest.raises(SystemExit, match="or neither"):
        detect.main(given)


def test_openers_come_out_of_a_chat_template(model: Path, data: Path, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", "llama")
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    short = ["--device", "cpu", "--questions", "8", "--window", "1400", "--name", "tiny"]
    detect.main(["--model", str(folder), "--data", str(data), *short])
    profile = Profile.model_validate_json((tmp_path / "tiny.json").read_bytes())
    assert profile.user_opener == "<|im_start|>user\n"
    assert profile.assistant_opener == "<|im_end|>\n<|im_start|>assistant\n"
    assert profile.bos is True


def test_a_template_that_swallows_the_text_is_refused() -> None:
    with pytest.raises(Unusable, match="gives no openers"):
        templates.openers(lambda messages: "hello")


@pytest.mark.parametrize(
    ("model", "adapter", "name"),
    [
        ("embedded:smollm2-135m-instruct", None, "smollm2-135m-instruct"),
        ("Qwen/Qwen3-4B", "me/My-LoRA", "qwen3-4b-with-my-lora"),
        ("folder/of/mine/", None, "mine"),
    ],
)
def test_a_profile_is_named_for_model_and_adapter(
    model: str, adapter: str | None, name: str
) -> None:
    assert detect._name(model, adapter) == name


@pytest.mark.parametrize("head", [RIGGED, Head(1, 2), Head(LAYERS - 1, HEADS - 1)])
def test_a_head_measured_among_all_scores_as_the_retriever_scores_it_alone(head: Head) -> None:
    each = head_scores(rigged_decoder(), tiny_prompt(), WORDS, "cedar", pass_rows=7)
    cache = WindowCache(0, float("inf"), time.monotonic)
    reader = Reader(
        Decoder(rigged_model(), [head]), tiny_prompt(), cache, window_tokens=600, pass_rows=64
    )
    chunks = [Chunk(id=str(i), text=text) for i, text in enumerate(WORDS)]
    job = reader.begin("owner", 0, [chunks], ["cedar"])
    while not job.is_done:
        reader.step([job])
    alone = torch.tensor(job.scores()[0], dtype=torch.double)
    place = all_heads(LAYERS, HEADS).index(head)
    torch.testing.assert_close(each[place], alone, atol=1e-6, rtol=1e-3)


def test_the_head_that_was_made_to_look_for_the_same_word_is_found() -> None:
    decoder, prompt = rigged_decoder(), tiny_prompt()
    found = []
    for place in range(6):
        scores = head_scores(decoder, prompt, letters(), letters()[place] * 4, pass_rows=256)
        found.append(Judged("a", frozenset({place}), scores))
    heads = all_heads(LAYERS, HEADS)
    assert rank_heads(found, heads)[0].head == RIGGED


def test_the_best_heads_are_those_that_put_gold_above_negatives() -> None:
    trials = [judged([[0, 1, 0], [1, 0, 1], [2, 9, 1]], {1}), judged([[1, 0], [0, 1], [3, 2]], {0})]
    heads = [Head(0, 0), Head(0, 1), Head(1, 0)]
    ranked = rank_heads(trials, heads)
    assert ranked[-1].head == Head(0, 1)
    assert ranked[-1].score < 0 < ranked[0].score
    assert ranked[0].alone == Figures(1.0, 1.0, 1.0)


def test_a_head_that_sees_no_difference_scores_nothing() -> None:
    ranked = rank_heads([judged([[1, 1, 1]], {1})], [Head(0, 0)])
    assert ranked[0].score == 0.0


def test_a_small_set_counts_as_much_as_a_large_one() -> None:
    many = [judged([[1, 0], [0, 1]], {0}, "many")] * 9
    few = [judged([[0, 5], [5, 0]], {0}, "few")]
    ranked = rank_heads([*many, *few], [Head(0, 0), Head(0, 1)])
    assert ranked[0].score == pytest.approx(ranked[1].score)


def candidate(layer: int, quality: float, count: int = 1) -> Candidate:
    heads = tuple(Head(layer, head) for head in range(count))
    return Candidate(heads, Figures(0.0, quality, quality))


def test_of_each_depth_the_fewest_heads_that_are_as_good_are_tried_further() -> None:
    many, few, poor = candidate(4, 0.9, 8), candidate(4, 0.895, 4), candidate(4, 0.88, 2)
    deep = candidate(9, 0.5)
    assert finalists([deep, many, few, poor]) == [few, deep]


def test_a_shallow_choice_is_taken_when_it_is_as_good() -> None:
    def final(layer: int, quality: float) -> tuple[Candidate, Fusion]:
        return candidate(layer, 0.0), Fusion(None, Figures(0.0, quality, quality), {})

    best, close, poor = final(9, 0.9), final(4, 0.895), final(1, 0.88)
    assert cheapest([best, close, poor]) == close
    assert cheapest([best, poor]) == best


def test_candidates_stay_above_their_depth() -> None:
    heads = all_heads(10, 2)
    trial = judged([[float(i), 0.0] for i in range(20)], {0})
    tried = candidates(heads[::-1], [trial], heads)
    assert {one.deepest_layer for one in tried} == {2, 4, 5}
    assert {len(one.heads) for one in tried} == {4, 6, 8, 10, 12}
    assert len({one.heads for one in tried}) == len(tried)


def test_a_floor_parts_what_can_be_parted() -> None:
    floor = choose_floor([0.4, 0.6, 0.9], [0.1, 0.2, 0.3])
    assert floor.value == pytest.approx(0.35)
    assert (floor.kept, floor.refused) == (1.0, 1.0)


def test_a_floor_of_what_cannot_be_parted_keeps_everything() -> None:
    floor = choose_floor([0.5, 0.5], [0.5, 0.5])
    assert (floor.value, floor.kept, floor.refused) == (0.5, 1.0, 0.0)


def test_a_floor_needs_both_kinds() -> None:
    with pytest.raises(ValueError, match="both kinds"):
        choose_floor([0.5], [])


scores = st.lists(st.floats(-10, 10), min_size=1, max_size=20)


@given(scores, scores)
def test_no_floor_is_worse_than_guessing(answered: list[float], foreign: list[float]) -> None:
    floor = choose_floor(answered, foreign)
    assert floor.kept + floor.refused >= 1 - 1e-9


def test_a_model_that_is_right_alone_is_not_fused() -> None:
    found = choose_fusion([ranking({1}, [9.0, 0.0, 1.0], [0.0, 1.0, 0.5])])
    assert found.weight is None
    assert found.figures.reciprocal_rank == 1.0


def test_two_orders_that_miss_differently_are_fused() -> None:
    """Gold is eleventh by either order alone; what is above it by one is far down by the other."""
    size = 60
    one = [float(size - i) for i in range(size)]  # gold, place 10, is the eleventh
    other = [float(i) for i in range(size)]
    other[10] = size - 10.5  # and so it is here, from the other end
    assert order_of(one)[10] == order_of(other)[10] == 10
    found = choose_fusion([ranking({10}, one, other)])
    assert found.weight is not None
    assert found.figures.recall_10 == 1.0
    assert found.tried["model alone"].recall_10 == found.tried["BM25 alone"].recall_10 == 0.0


def test_scores_are_added_either_scaled_to_its_best() -> None:
    assert added([0.0, 2.0, 1.0], [3.0, -1.0, 1.5], 2.0) == pytest.approx([2.0, 1.0, 1.5])
    assert added([0.0, 0.0], [-2.0, -1.0], 1.0) == [0.0, 0.0]
    assert added([], [], 1.0) == []


def test_a_message_borrows_from_the_two_beside_it() -> None:
    assert with_neighbours([1.0, -2.0, 0.5]) == pytest.approx([1.0, -1.4, 0.5])
    assert with_neighbours([]) == []


def test_recall_is_of_the_places_where_gold_is_more() -> None:
    assert recall([0, 1, 2, 3], frozenset({0, 1, 2}), 2) == 1.0
    assert recall([3, 0, 1, 2], frozenset({0, 1, 2}), 2) == 0.5


def test_bm25_ranks_the_rare_word_above_the_common_one() -> None:
    texts = ["the tea", "the the", "the heron here", "the end", "the tea pot", "the cup"]
    found = Bm25(texts).scores("The HERON")
    assert order_of(found)[0] == 2
    assert Bm25(texts).scores("nothing shared") == [0.0] * 6
    assert Bm25([]).scores("x") == []


def test_a_reply_stands_with_what_it_replies_to() -> None:
    roles = ["assistant", "user", "assistant", "tool", "user", "user"]
    messages = [Message(id=str(i), role=role, text="x") for i, role in enumerate(roles)]
    assert exchanges(messages) == [[0], [1, 2, 3], [4], [5]]


def test_trials_hold_gold_among_negatives_within_the_window() -> None:
    sets = {"ours": [Dialogue.model_validate(dialogue(number)) for number in range(3)]}
    trials = Sampler(sets, len, Random(1)).trials(9, 1500, 300)
    assert len(trials) == 9
    for trial in trials:
        assert sum(map(len, trial.texts)) <= 1500
        assert len(trial.gold) == 1
        assert len(trial.texts) > 5
        assert all(trial.question[:20] in trial.texts[place] for place in trial.gold)


def test_stretches_ask_about_what_they_hold_and_about_something_else() -> None:
    sets = {"ours": [Dialogue.model_validate(dialogue(number)) for number in range(3)]}
    stretches = Sampler(sets, len, Random(1)).stretches(5, 1200)
    assert len(stretches) == 3
    for stretch in stretches:
        ids = {message.id for message in stretch.messages}
        assert stretch.questions
        assert all(ids & set(question.evidence) for question in stretch.questions)
        assert len(stretch.foreign) == len(stretch.questions)
        assert not {question.text for question in stretch.questions} & set(stretch.foreign)


def test_evidence_that_is_not_in_the_conversation_is_passed_over() -> None:
    lost = dialogue(1) | {"questions": [{"id": "q", "text": "what?", "evidence": ["nowhere"]}]}
    sampler = Sampler({"ours": [Dialogue.model_validate(lost)]}, len, Random(1))
    assert sampler.trials(4, 1500, 300) == []
    assert sampler.stretches(4, 1500) == []


def letters() -> list[str]:
    return [letter * 8 for letter in "bdgkmz"]


def tiny_prompt() -> Prompt:
    return Prompt(tiny_tokenizer(), profile(), None)


def profile() -> Profile:
    return Profile(
        name="tiny",
        model="tiny",
        heads=(RIGGED,),
        window_tokens=600,
        floor=0.0,
        user_opener="<|im_start|>",
        assistant_opener="<|im_end|>",
        bos=False,
    )


def rigged_decoder() -> Decoder:
    return Decoder(rigged_model(), all_heads(LAYERS, HEADS))


def rigged_model() -> Any:
    """Head 0-5 asks for what it reads: in the slow, late dimensions of rotary positions queries
    equal keys, in the fast ones they are nothing."""
    model: Any = tiny_model("llama").model
    attention = model.layers[0].self_attn
    width = attention.head_dim
    shared = RIGGED.head // (HEADS // attention.config.num_key_value_heads)
    slow = torch.zeros(width, 1)
    slow[width // 2 - 3 : width // 2] = slow[-3:] = 6.0
    with torch.no_grad():
        keys = attention.k_proj.weight[shared * width : (shared + 1) * width]
        attention.q_proj.weight[RIGGED.head * width : (RIGGED.head + 1) * width] = keys * slow
    return model

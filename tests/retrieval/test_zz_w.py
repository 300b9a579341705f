import random, tracemalloc
from gateway.retrieval.lexical import LexicalIndex
from retrieval.passages import alone
def test_z():
    rng = random.Random(5)
    texts = ["".join(chr(rng.randrange(0x4E00, 0x5200)) for _ in range(99)) for _ in range(99)]
    tracemalloc.start()
    index = LexicalIndex(alone(*texts))
    kept = tracemalloc.get_traced_memory()[0]
    snap=tracemalloc.take_snapshot()
    tracemalloc.stop()
    for s in snap.statistics("lineno")[:8]: print(s)
    print(kept,index.bytes); assert 0

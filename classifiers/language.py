"""Identifies the language of a text, by the naive Bayes model that py3langid carries or a fastText model by path.

Why this one: docs/decisions/language.md. Its automaton runs in a kernel (py3langid itself: 1,900 documents/s).
"""

import io
import lzma
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from gristmill.classifiers.fasttext import load
from gristmill.pipeline.contract.errors import ConfigError, InputError
from gristmill.pipeline.kernels.text.language import best_classes, language_probs

NO_LANGUAGE = "zxx"  # ISO 639-2: no linguistic content (code, numbers, markup)

# ISO 639-3 to 639-1, as ISO 639-3's own table has it; macrolanguages and, after the bar, the one member that stands
# for its macrolanguage in the label sets of GlotLID and NLLB. Bokmål is no, as in langid and CLD; Nynorsk is nn.
_TWO_LETTERS = """
aar:aa abk:ab afr:af aka:ak amh:am ara:ar arg:an asm:as ava:av ave:ae aym:ay aze:az bak:ba bam:bm bel:be ben:bn bis:bi
bod:bo bos:bs bre:br bul:bg cat:ca ces:cs cha:ch che:ce chu:cu chv:cv cor:kw cos:co cre:cr cym:cy dan:da deu:de div:dv
dzo:dz ell:el eng:en epo:eo est:et eus:eu ewe:ee fao:fo fas:fa fij:fj fin:fi fra:fr fry:fy ful:ff gla:gd gle:ga glg:gl
glv:gv grn:gn guj:gu hat:ht hau:ha hbs:sh heb:he her:hz hin:hi hmo:ho hrv:hr hun:hu hye:hy ibo:ig ido:io iii:ii iku:iu
ile:ie ina:ia ind:id ipk:ik isl:is ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks kat:ka kau:kr kaz:kk khm:km kik:ki kin:rw
kir:ky kom:kv kon:kg kor:ko kua:kj kur:ku lao:lo lat:la lav:lv lim:li lin:ln lit:lt ltz:lb lub:lu lug:lg mah:mh mal:ml
mar:mr mkd:mk mlg:mg mlt:mt mon:mn mri:mi msa:ms mya:my nau:na nav:nv nbl:nr nde:nd ndo:ng nep:ne nld:nl nno:nn nob:no
nor:no nya:ny oci:oc oji:oj ori:or orm:om oss:os pan:pa pli:pi pol:pl por:pt pus:ps que:qu roh:rm ron:ro run:rn rus:ru
sag:sg san:sa sin:si slk:sk slv:sl sme:se smo:sm sna:sn snd:sd som:so sot:st spa:es sqi:sq srd:sc srp:sr ssw:ss sun:su
swa:sw swe:sv tah:ty tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr twi:tw uig:ug
ukr:uk urd:ur uzb:uz ven:ve vie:vi vol:vo wln:wa wol:wo xho:xh yid:yi yor:yo zha:za zho:zh zul:zu |
arb:ar ayr:ay azj:az cmn:zh ekk:et fil:tl gaz:om gug:gn khk:mn kmr:ku lvs:lv npi:ne ory:or pbt:ps pes:fa plt:mg quy:qu
als:sq swh:sw uzn:uz ydd:yi zsm:ms
"""
TWO_LETTERS: dict[str, str] = {pair[:3]: pair[4:] for pair in _TWO_LETTERS.replace("|", "").split()}
_RETIRED = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "nb": "no"}


def code_of(label: str) -> str:
    """The code that this project writes for a model's label: ISO 639-1 where there is one, else ISO 639-3.

    >>> [code_of(label) for label in ("__label__eng_Latn", "zh-TW", "yue", "nob")]
    ['en', 'zh', 'yue', 'no']
    """
    base = label.removeprefix("__label__").replace("_", "-").split("-")[0].lower()
    return TWO_LETTERS.get(base) or _RETIRED.get(base, base)


def check_code(code: str, key: str) -> None:
    """Raises ConfigError unless `code` is written as this project writes languages; `key`: the setting."""
    if code_of(code) != code:
        raise ConfigError(f"{key}: {code!r} is written {code_of(code)!r} here")
    known = code in TWO_LETTERS.values() if len(code) == 2 else re.fullmatch("[a-z]{3}", code)
    if not known:
        raise ConfigError(f"{key}: {code!r} is no language code; write ISO 639-1 (en, de), or 639-3 where it has none")


class Identifier(Protocol):
    """A loaded model."""

    def rank(self, texts: Sequence[str], k: int) -> list[list[tuple[str, float]]]:
        """Per text the `k` likeliest (code, probability), best first; empty where there is nothing to go by."""
        ...


# The model's log-likelihoods are halves between -15 and -2.7, so multiples of this: 16 bits hold them exactly.
STEP = 1 / 512
MIDDLE = -7680 // 2  # of what four lines may be in 16 bits: -15 / STEP to 0
LANES = 16  # a line is filled up to as many whole numbers of 16 bits as a vector register holds


@dataclass(frozen=True, eq=False)
class Embedded:
    """py3langid's model. `twin` folds a label that has two classes (one per script) into one.

    States of the automaton are numbered anew: those that end an n-gram first, so that a state is its line of `table`.
    """

    labels: tuple[str, ...]
    digest: str
    table: np.ndarray  # (states that end an n-gram and one of zeros, classes or more) int16: STEP, less MIDDLE
    shared: np.ndarray  # (the last of them,) uint32: the state that counts for an n-gram that several end
    prior: np.ndarray  # (classes,) float64
    moves: np.ndarray  # (256, rows) uint32
    rows: np.ndarray  # (states,)
    start: np.uint32
    depth: int  # bytes of the longest n-gram
    twin: np.ndarray  # (classes,) int64
    counters: list[np.ndarray] = field(default_factory=list)  # (states,) zeros that no call uses now

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """(n, classes) float64."""
        encoded = [_as_trained(text) for text in texts]
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum([len(data) for data in encoded], out=offsets[1:])
        data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        try:
            counts = self.counters.pop()
        except IndexError:
            counts = np.zeros(len(self.rows), dtype=np.uint32)
        probs = language_probs(
            data, offsets, self.moves, self.rows, self.start, self.depth, self.table, MIDDLE,
            self.shared, STEP, self.prior, self.twin, counts,
        )  # fmt: skip
        self.counters.append(counts)
        return probs

    def rank(self, texts: Sequence[str], k: int) -> list[list[tuple[str, float]]]:
        best, probs = best_classes(self.score(texts), min(k, len(self.labels)))
        return [
            [(self.labels[c], p) for c, p in zip(row, own, strict=True) if p > 0]
            for row, own in zip(best.tolist(), probs.tolist(), strict=True)
        ]


def _as_trained(text: str) -> bytes:
    """Text in capitals only is lowered, and all is NFC: the contract of the model's training."""
    if text.isupper():
        text = text.lower()
    if text.isascii():
        return text.encode()
    return unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")


@lru_cache(maxsize=1)
def open_embedded(digest: str) -> Embedded:
    """Loads py3langid's model file, about 70 MB in memory.

    digest: blake2b-64 of the file. Raises ConfigError if the installed package carries another model: a run must not
    change its labels because a package was updated.
    """
    spec = find_spec("py3langid")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("the embedded language model needs the package py3langid: pip install 'py3langid>=0.4'")
    path = Path(next(iter(spec.submodule_search_locations))) / "data/model.npz.xz"
    packed = path.read_bytes() if path.exists() else b""
    found = blake2b(packed, digest_size=8).hexdigest()
    if found != digest:
        raise ConfigError(
            f"py3langid carries the model {found}, and language.embedded asks for {digest}; "
            f"install py3langid 0.4.0, or accept the other model with language.embedded={found}"
        )
    with np.load(io.BytesIO(lzma.decompress(packed)), allow_pickle=False) as model:
        labels = [code_of(label) for label in model["classes"].tolist()]
        features = model["out_feat"].astype(np.int64)  # of each state; -1: it ends no n-gram
        table = np.round(model["ptc"].astype(np.float32) / STEP).astype(np.int16)
        times = np.bincount(features[features >= 0], minlength=len(table))
        kinds = np.where(features < 0, 2, times[features] > 1)
        order = np.argsort(kinds, kind="stable")  # the state of each new number
        number = np.empty(len(order), dtype=np.uint32)
        number[order] = np.arange(len(order), dtype=np.uint32)
        first = np.zeros(len(table), dtype=np.uint32)  # of the states that end an n-gram the first
        ending = order[: int((kinds < 2).sum())]
        first[features[ending[::-1]]] = number[ending[::-1]]
        return Embedded(
            labels=tuple(labels),
            digest=digest,
            table=_lines(table, features[ending]),
            shared=first[features[ending[int((kinds == 0).sum()) :]]],
            prior=model["pc"].astype(np.float64),
            moves=number[np.ascontiguousarray(model["nextmove"].reshape(-1, 256).T)],
            rows=model["nextmove_row"][order],
            start=number[0],
            depth=_depth(model["nextmove"].reshape(-1, 256), model["nextmove_row"]),
            twin=np.array([labels.index(label) for label in labels], dtype=np.int64),
        )


def _lines(table: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The features' lines less MIDDLE, of whole vectors, and a line of zeros; aligned to the lines of a cache."""
    shape = (len(features) + 1, -(-table.shape[1] // LANES) * LANES)
    room = np.zeros(2 * shape[0] * shape[1] + 64, np.uint8)
    begin = -room.ctypes.data % 64
    lines = room[begin : begin + 2 * shape[0] * shape[1]].view(np.int16).reshape(shape)
    lines[:-1, : table.shape[1]] = table[features] - MIDDLE
    return lines


def _depth(moves: np.ndarray, rows: np.ndarray) -> int:
    """Most moves that a state is away from the first."""
    seen = np.zeros(len(rows), dtype=bool)
    new, depth = np.zeros(1, dtype=np.int64), -1
    while new.size:
        seen[new] = True
        depth += 1
        reached = np.zeros(len(rows), dtype=bool)
        reached[moves[np.unique(rows[new])].ravel()] = True
        new = np.flatnonzero(reached & ~seen)
    return depth


@dataclass(frozen=True)
class FastText:
    """A fastText classifier whose labels are language codes (lid.176, GlotLID, OpenLID, ...)."""

    predict: Callable[[str, int], tuple[Sequence[str], np.ndarray]]

    def rank(self, texts: Sequence[str], k: int) -> list[list[tuple[str, float]]]:
        return [self._rank(text, k) for text in texts]

    def _rank(self, text: str, k: int) -> list[tuple[str, float]]:
        line = " ".join(text.split())
        if not line:
            return []
        best: dict[str, float] = {}
        # Labels that differ in script alone fold into one code; twice as many labels as codes are plenty.
        labels, probs = self.predict(line, 2 * k)
        for label, prob in zip(labels, probs, strict=True):
            best[code_of(label)] = best.get(code_of(label), 0.0) + float(prob)
        ranked = sorted(((min(round(p, 4), 1.0), code) for code, p in best.items()), key=lambda x: (-x[0], x[1]))
        return [(code, p) for p, code in ranked[:k]]


def open_fasttext(path: str) -> FastText:
    """Loads a fastText model. Raises InputError if the file is not there."""
    if not Path(path).is_file():
        raise InputError(f"language.model: there is no file {path}")
    model = load(path)
    return FastText(lambda line, k: tuple(model.predict(line, k)))  # pyright: ignore[reportArgumentType]

"""The kernels of gristmill.pipeline.kernels.{words,line_stats,repetition,text_stats} once more, in plain Python."""

import math
import re
from collections import Counter

import numpy as np

from gristmill.pipeline.kernels.text import characters as ch
from gristmill.stages.clean import Clean
from gristmill.stages.gates import RULES, Gates
from gristmill.stages.language.stop_words import ABBREVIATIONS, SHORT_CODES, STOP_WORDS

APOSTROPHES = "'’"
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")


def has(character: str, bits: int) -> bool:
    return bool(ch.class_of(character) & bits)


def fold(text: str) -> str:
    return "".join(c.lower() if len(c.lower()) == 1 and ord(c) < ch.TABLE_SIZE else c for c in text)


def ends_word(word: str, c: str, after: str) -> bool:
    """Whether `word` ends before `c`, which is followed by `after` (or nothing), in a script without spaces."""
    left, right = ch.class_of(word[-1]), ch.class_of(c)
    if left & ch.SYLLABIC:
        return word[-1] in "\u0f0b\u0f0c"
    if not (left | right) & ch.DENSE or right & ch.MARK:
        return False
    if left & right & ch.BRAHMIC:
        leads = "เแโใไເແໂໃໄ"
        if word[-1] in leads or word[-1] in "\u17d2\u1039":
            return False
        return c in leads or (after != "" and has(after, ch.MARK) and after != "\u103a")
    if left & right & (ch.HAN | ch.HIRAGANA):
        return len(word) > 1 or bool((left | right) & ch.ALONE)
    return not left & right & ch.KATAKANA


def is_dense(run: str) -> bool:
    return any(has(c, ch.DENSE) for c in run)


def cut_dense(run: str) -> list[str]:
    """The pieces of (part of) a run that holds a script without spaces; zero-width spaces are no part of them."""
    return [piece for part in run.split("\u200b") if part for piece in cut_part(part)]


def cut_part(run: str) -> list[str]:
    pieces = [run[:1]]
    for i in range(1, len(run)):
        if ends_word(pieces[-1], run[i], run[i + 1 : i + 2]):
            pieces.append(run[i])
        else:
            pieces[-1] += run[i]
    return pieces


def keeps_stop(word: str) -> bool:
    """Whether the full stop after `word`, which ends in a letter, is part of it."""
    return len(word) == 1 or (len(word) >= 3 and word[-2] == ".") or word in ABBREVIATIONS.split()


def last_piece(run: str) -> str:
    """What is split off at the end of `run` (two characters or more), or nothing."""
    last, left = run[-1], run[-2]
    if last == ".":
        dots = len(run) - len(run.rstrip("."))
        if dots > 1:
            return "." * dots if dots < len(run) else ""
        if has(left, ch.ALPHA) and keeps_stop(run[:-1]):
            return ""
        if has(left, ch.UPPER) and (len(run) < 3 or not has(run[-3], ch.UPPER)):
            return ""
        return "."
    if has(last, ch.AFFIX):
        if last in "+%$":
            return last if has(left, ch.NUMERIC) else ""
        return "" if last in "=§" else last
    if (
        len(run) >= 3
        and left in APOSTROPHES
        and (last in "sSmMdD" or (len(run) > 3 and run[-3:-2] in "nN" and last in "tT"))
    ):
        return run[-2:] if last in "sSmMdD" else run[-3:]
    if len(run) > 3 and run[-3] in APOSTROPHES and run[-2:].isascii() and run[-2:].lower() in ("ll", "re", "ve"):
        return run[-3:]
    return ""


def infix(run: str, i: int) -> int:
    """Length of the mark at `i` (0 < i < len - 1) where the run splits, else 0."""
    c, left, right = run[i], ch.class_of(run[i - 1]), ch.class_of(run[i + 1])
    word = ch.ALPHA | ch.NUMERIC
    if not has(c, ch.SYMBOL):
        return 0
    if has(c, ch.ICON) or ord(c) >= 0x3000 or (ord(c) > 0x7F and has(c, ch.TERMINAL)):
        return 1
    if c == ".":
        dots = len(re.match(r"\.+", run[i:])[0])
        if dots > 1:
            return dots
        return int(bool(left & (ch.LOWER | ch.AFFIX) and right & (ch.UPPER | ch.AFFIX)))
    if c in "-–—~":
        return int(bool((left & word and right & ch.ALPHA) or (c == "-" and left & right & ch.NUMERIC)))
    if c in "+*^":
        return int(bool(left & right & ch.NUMERIC))
    if c == ",":
        return int(bool(left & right & ch.ALPHA))
    if c in ":/<>=":
        return int(bool(left & word and right & ch.ALPHA))
    return 0


def split_run(run: str) -> list[str]:
    if not any(has(c, ch.SYMBOL | ch.DENSE) for c in run):
        return [run]
    pieces, tail = [], []
    cut = cut_dense if is_dense(run) else lambda part: [part]
    while run:
        dots = re.match(r"\.{2,}", run)
        if dots:
            piece = dots[0]
        elif has(run[0], ch.AFFIX) and run[0] != "." and not (run[0] == "+" and run[1:] and has(run[1], ch.NUMERIC)):
            piece = run[0]
        else:
            break
        pieces.append(piece)
        run = run[len(piece) :]
    while len(run) > 1 and (piece := last_piece(run)):
        tail.insert(0, piece)
        run = run[: -len(piece)]
    if run and ("@" in run[:-1] or ":/" in run or (len(run) > 4 and run.startswith("www."))):
        pieces += cut(run)
    elif run:
        s, i = 0, 1
        while i < len(run) - 1:
            length = infix(run, i)
            if length:
                pieces += (cut(run[s:i]) if i > s else []) + [run[i : i + length]]
                s = i = i + length
            else:
                i += 1
        pieces += cut(run[s:]) if s < len(run) else []
    return pieces + tail


def runs(text: str) -> list[str]:
    return text.split()


def words_of(text: str, split: bool) -> list[str]:
    return [w for run in runs(text) for w in (split_run(run) if split else cut_dense(run) if is_dense(run) else [run])]


def bare(word: str) -> str:
    """Without case and symbols."""
    return fold("".join(c for c in word if not has(c, ch.SYMBOL)))


def sentences_in(line: str) -> int:
    count, seen = 1, False
    for piece in (p for run in runs(line) for p in split_run(run)):
        if len(piece) == 1 and has(piece, ch.TERMINAL):
            seen = True
        elif seen and not has(piece[0], ch.SYMBOL):
            count, seen = count + 1, False
    return count


def sentences_of(line: str) -> list[str]:
    """The line cut before each sentence."""
    cuts, seen, at = [0], False, 0
    for run in runs(line):
        at = line.index(run, at)
        for piece in split_run(run):
            if len(piece) == 1 and has(piece, ch.TERMINAL):
                seen = True
            elif seen and not has(piece[0], ch.SYMBOL):
                cuts.append(at)
                seen = False
            at += len(piece)
    return [line[a:b] for a, b in zip(cuts, [*cuts[1:], len(line)], strict=True)]


def clean_by_sentence(text: str, stage: Clean) -> str:
    """The text without the sentences that the stage's rules drop."""
    kept: list[str] = []
    for line in text.splitlines():
        parts, stays = "", not line.strip() and stage.end_marks is None and not stage.min_words
        for i, sentence in enumerate(sentences_of(line)):
            words, left = sentence.split(), sentence.strip()
            if not words or (stage.max_word_chars is not None and max(map(len, words)) > stage.max_word_chars):
                continue
            if stage.citations:
                left = CITATION.sub("", left)
            if stage.end_marks and (not left.endswith((".", "?", "!", '"', "'")) or left.endswith("...")):
                continue
            if stage.min_words is not None and len(words) < stage.min_words:
                continue
            low = left.lower()
            if "lorem ipsum" not in low:
                if stage.javascript and "javascript" in low:
                    continue
                if "{" not in left and stage.policy and any(p in low for p in POLICIES):
                    continue
            before = "".join(sentences_of(line)[:i])
            parts += (" " if parts and before[-1:].isspace() else "") + left
            stays = True
        if stays:
            kept.append(parts)
    return "\n".join(kept).strip()


def repeats(items: list[str]) -> tuple[int, int]:
    seen, again = set(), []
    for item in items:
        if item in seen:
            again.append(item)
        seen.add(item)
    return len(again), sum(map(len, again))


def top_chars(words: list[str], n: int) -> int:
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    gram, count = Counter(grams).most_common(1)[0]
    return count * len(" ".join(gram))


def dup_chars(words: list[str], n: int) -> int:
    seen, chars, i = set(), 0, 0
    while i <= len(words) - n:
        gram = tuple(words[i : i + n])
        if gram in seen:
            chars += sum(map(len, gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return chars


def c4_fate(line: str) -> tuple[str, str]:
    """(count it is booked under, the line without citations) of a stripped line."""
    words = line.split()
    if max(map(len, words)) > 1000:
        return "c4_long_word", line
    line = CITATION.sub("", line)
    if not line.endswith((".", "?", "!", '"', "'")) or line.endswith("..."):
        return "c4_no_terminal", line
    if len(words) < 3:
        return "c4_few_words", line
    low = line.lower()
    if "lorem ipsum" in low:
        return "c4_lorem", line
    if "javascript" in low:
        return "c4_javascript", line
    if "{" in line:
        return "c4_curly", line
    return ("c4_policy" if any(p in low for p in POLICIES) else "c4_kept"), line


def measure(text: str, language: str | None, split: bool, runs: bool = False) -> dict[str, float]:
    words = words_of(text, split)
    known = [bare(w) for w in words if bare(w)]
    real = [w for w in words if bare(w)]
    counts = Counter(known)
    stops = set(STOP_WORDS[language].split()) if language in STOP_WORDS else None
    stop_keys = {bare(w) for w in stops} if stops is not None else set()
    lines = [line for line in text.split("\n") if line.strip()]
    parted = re.split("\n+", text) if text else []
    paragraphs = re.split(r"\n{2,}", text.strip()) if text.strip() else []
    fates = [(*c4_fate(line.strip()), sentences_in(line)) for line in text.splitlines() if line.strip()]
    kept = [(line, n) for fate, line, n in fates if fate == "c4_kept"]
    dup_lines, dup_line_chars = repeats(parted)
    dup_paragraphs, dup_paragraph_chars = repeats(paragraphs)
    result = {
        "chars": len(text),
        "newlines": text.count("\n"),
        "alpha_chars": sum(has(c, ch.ALPHA) for c in text),
        "upper_chars": sum(has(c, ch.UPPER) for c in text),
        "numeric_chars": sum(has(c, ch.NUMERIC) for c in text),
        "hashes": text.count("#"),
        "ellipses": text.count("...") + text.count("…"),
        "curly_braces": text.count("{"),
        "lorem_ipsums": len(re.findall("lorem ipsum", text, re.I | re.A)),
        "segments": len(words),
        "words": len(known),
        "word_chars": sum(map(len, real)),
        "alpha_segments": sum(any(has(c, ch.ALPHA) for c in w) for w in words),
        "caps_segments": sum(any(has(c, ch.UPPER) for c in w) and not any(has(c, ch.LOWER) for c in w) for w in words),
        "unique_words": len(counts),
        "entropy_sum": math.fsum(n * math.log(n) for n in counts.values()),
        "stop_words": sum(n for w, n in counts.items() if w in stop_keys),
        "stop_kinds": -1 if stops is None else len(stops & set(words)),
        "lines": len(lines),
        "short_lines": sum(len(line) <= 30 for line in lines),
        "all_lines": len(text.splitlines()),
        "parted_lines": len(parted),
        "bullet_point_lines": sum(line.lstrip()[0] in "•‣▶◀◦■□▪▫–" for line in lines),
        "bullet_lines": sum(line.lstrip().startswith(("•", "-")) for line in text.splitlines()),
        "ellipsis_lines": sum(line.rstrip().endswith(("...", "…")) for line in text.splitlines()),
        "terminal_lines": sum(has(line[-1], ch.TERMINAL) for line in lines),
        "sentences": sum(n for _, _, n in fates),
        "dup_lines": dup_lines,
        "dup_line_chars": dup_line_chars,
        "dup_body_chars": repeats(lines)[1],
        "paragraphs": len(paragraphs),
        "dup_paragraphs": dup_paragraphs,
        "dup_paragraph_chars": dup_paragraph_chars,
        **{f"top{n}": top_chars(words, n) for n in (2, 3, 4)},
        **{f"dup{n}": dup_chars(words, n) for n in range(5, 11)},
    }
    fate_counts = Counter(fate for fate, _, _ in fates)
    for fate in ("long_word", "no_terminal", "few_words", "lorem", "javascript", "curly", "policy", "kept"):
        result[f"c4_{fate}"] = fate_counts[f"c4_{fate}"]
    result["c4_kept_chars"] = sum(len(line) for line, _ in kept)
    result["c4_sentences"] = sum(n for _, n in kept)
    whole = words_of(text, split=False) if runs else []
    result["run_segments"] = len(whole)
    result["run_words"] = sum(map(bool, map(bare, whole)))
    result["run_word_chars"] = sum(len(w) for w in whole if bare(w))
    result["run_alpha_segments"] = sum(any(has(c, ch.ALPHA) for c in w) for w in whole)
    return result


def table(names: tuple[str, ...], rows: list[dict[str, float]]) -> np.ndarray:
    return np.array([[row[name] for name in names] for row in rows], float).reshape(len(rows), len(names))


PUBLISHED = ("words_n", "mean_word_len", "alpha_words_frac", "hash_ratio", "ellipsis_ratio", "symbol_ratio")
SHARES = """mean_word_len = word_chars / words; unique_words_frac = unique_words / words;
    alpha_words_frac = alpha_segments / segments; caps_words_frac = caps_segments / segments;
    hash_ratio = hashes / segments; ellipsis_ratio = ellipses / segments; newline_ratio = newlines / segments;
    symbol_ratio = hashes + ellipses / segments; alpha_chars_frac = alpha_chars / chars;
    upper_chars_frac = upper_chars / chars; numeric_chars_frac = numeric_chars / chars;
    bullet_lines_frac = bullet_lines / all_lines; bullet_point_lines_frac = bullet_point_lines / lines;
    ellipsis_lines_frac = ellipsis_lines / all_lines; ended_lines_frac = terminal_lines / lines;
    short_lines_frac = short_lines / lines; dup_lines_frac = dup_lines / parted_lines;
    dup_line_chars_frac = dup_line_chars / chars; dup_paragraphs_frac = dup_paragraphs / paragraphs;
    dup_paragraph_chars_frac = dup_paragraph_chars / chars; dup_line_body_frac = dup_body_chars / chars - newlines;
    c4_kept_chars_frac = c4_kept_chars / chars"""
WHOLE = """chars_n = chars; words_n = words; segments_n = segments; sentences_n = sentences; lines_n = lines;
    paragraphs_n = paragraphs; curly_braces_n = curly_braces; lorem_ipsums_n = lorem_ipsums; c4_lines_n = c4_kept;
    c4_sentences_n = c4_sentences; c4_long_word_lines_n = c4_long_word; c4_unended_lines_n = c4_no_terminal;
    c4_short_lines_n = c4_few_words; c4_lorem_lines_n = c4_lorem; c4_javascript_lines_n = c4_javascript;
    c4_curly_lines_n = c4_curly; c4_policy_lines_n = c4_policy"""


def columns(text: str, language: str | None, words: str) -> dict[str, float | None]:
    """Every column of `gristmill.stages.signals`, from its definition."""
    if words == "published":
        row = columns(text, language, "split")
        if language in ("en", "eng"):
            runs = columns(text, language, "whitespace")
            row |= {name: runs[name] for name in PUBLISHED}
        return row
    split = words == "split"
    m = measure(text, SHORT_CODES.get(language or "", language), split)
    row: dict[str, float | None] = {}
    for line in WHOLE.split(";"):
        name, count = line.split(" = ")
        row[name.strip()] = m[count.strip()]
    grams = [f"top_{n}gram_chars_frac = top{n} / chars" for n in (2, 3, 4)]
    grams += [f"dup_{n}gram_chars_frac = dup{n} / chars" for n in range(5, 11)]
    for line in [*SHARES.split(";"), *grams]:
        name, formula = line.split(" = ")
        part, whole = (eval(side, {}, m) for side in formula.split(" / "))
        row[name.strip()] = np.float32(part / whole) if whole else None
    words = m["words"]
    row["word_entropy"] = np.float32(math.log(words) - m["entropy_sum"] / words) if words else None
    known = m["stop_kinds"] >= 0
    row["stop_words_n"] = m["stop_kinds"] if known else None
    row["stop_words_frac"] = np.float32(m["stop_words"] / words) if known and words else None
    row["javascripts_n"] = len(re.findall("javascript", text, re.I | re.A))
    row["bad_words_n"] = None
    lines = text.split("\n")
    row["math_n"] = len(re.findall(MATH, text))
    row["code_lines_n"] = sum(map(is_code, lines)) if any(sign in text for sign in CODE_SIGNS) else 0
    row["table_rows_n"] = sum(map(is_row, lines))
    return row


def decide(row: dict[str, float | None], language: str | None, gates: Gates) -> str | None:
    """The first rule in force that the row breaks."""
    own = {entry.language: entry for entry in gates.languages}
    short = SHORT_CODES.get(language or "", language)
    for rule in RULES:
        limit = getattr(gates, rule.limit)
        in_force = not rule.presets or set(rule.presets.split()) & set(gates.presets)
        if limit is None or not in_force:
            continue
        if rule.scope == "unlisted":
            if language is None or short == "en" or short in own:
                continue
        elif rule.scope != "all" and short != "en":
            if rule.scope == "english" or short not in own:
                continue
            limit = limit if rule.scope == "listed" else getattr(own[short], rule.limit)
        value = row[rule.column]
        if limit is None or value is None:
            continue
        if not rule.column.endswith("_n"):
            limit = np.float32(limit)
        if value < limit if rule.limit.startswith("min_") else value > limit:
            return rule.name
    return "no_language" if language is None and gates.min_languages is not None else None


MATH = re.compile(
    r"\$\$[^$]+\$\$|\$[^$\n]*[\\^_={}<>+][^$\n]*\$|\$[A-Za-z0-9]{1,3}\$|\\\([^\n]+?\\\)|\\\[[^\]]+\\\]"
    r"|\\begin\{(?:equation|align|gather|multline|eqnarray|displaymath|math)\*?\}"
)
CODE_SIGNS = ("{\n", "}\n", ";\n", "):\n", "=>\n", "#include", "#define", "#!/", ">>> ")


def is_code(line: str) -> bool:
    line = line.strip(" \t")
    begins = ("#include ", "#include<", "#define ", "#!/", ">>> ")
    words = r"def \w+\(|import [\w.]+$|from [\w.]+ import |return [^ ]|\$ [a-z]|@\w+\("
    return line.endswith(("{", "}", ";", "=>", "):")) or line.startswith(begins) or bool(re.match(words, line, re.A))


def is_row(line: str) -> bool:
    first, tab, rest = line.partition("\t")
    if tab and first.strip(" ") and rest.strip(" \t"):
        return True
    return line.startswith("|") and line.rstrip(" \t").endswith("|") and line.rstrip(" \t").count("|") >= 3

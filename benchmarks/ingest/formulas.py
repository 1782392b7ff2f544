"""Share of the formulas of real pages whose TeX the text holds, and of real TeX in each kind of markup.

    python benchmarks/ingest/formulas.py FOLDER  # ours: ../shared/data

Formulas are counted by lxml, apart from the extractor: elements whose TeX stands in an annotation, in alttext, in a
script of MathJax, or in the alt text of an image, once each. Real TeX: the formulas of domains/en's LaTeX, written into
pages the way MediaWiki, KaTeX, MathJax 2 and 3, LaTeXML, WordPress and Sphinx write them.
"""

import collections
import html as markup
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote_plus

import lxml.html
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType

sys.path.insert(0, str(Path(__file__).parents[2] / ".src"))
from gristmill.pipeline.kernels.signs import has_formula_sign
from gristmill.stages.ingest.content.formulas import tex_of
from gristmill.stages.ingest.page.charset import decode
from gristmill.stages.ingest.page.parse import parsed

BAR = 0.95
PER_PAGE, PAGES = 20, 25
KINDS: dict[str, Callable[[str], str]] = {
    "MediaWiki": lambda t: (
        '<span class="mwe-math-element"><span class="mwe-math-mathml-inline" style="display:none">'
        f'<math alttext="{{\\displaystyle {t}}}"><semantics><mi>x</mi><annotation encoding="application/x-tex">'
        f"{{\\displaystyle {t}}}</annotation></semantics></math></span>"
        f'<img class="mwe-math-fallback-image-inline" alt="{{\\displaystyle {t}}}"></span>'
    ),
    "KaTeX": lambda t: (
        '<span class="katex"><span class="katex-mathml"><math><semantics><mrow><mi>x</mi></mrow>'
        f'<annotation encoding="application/x-tex">{t}</annotation></semantics></math></span>'
        '<span class="katex-html">x</span></span>'
    ),
    "MathJax 2": lambda t: f'<span class="MathJax">x</span><script type="math/tex">{markup.unescape(t)}</script>',
    "MathJax source": lambda t: f"\\({t}\\)",
    "LaTeXML": lambda t: f'<math alttext="{t}"><mi>x</mi></math>',
    "WordPress": lambda t: f'<img class="latex" alt="{t}" src="//s0.wp.com/latex.php?latex={quote_plus(t)}">',
    "Sphinx": lambda t: f'<img class="math" alt="{t}" src="_images/math/a.png">',
}  # fmt: skip


def pages(data: Path) -> Iterator[tuple[str, str]]:
    """(URL, decoded page) of every page that may hold a formula."""
    for shard in sorted([*(data / "web").glob("*.warc.gz"), *(data / "web" / "native").rglob("*.warc.gz")]):
        for record in ArchiveIterator(str(shard), record_types=WarcRecordType.response):
            body = record.reader.read()
            if has_formula_sign(body):
                yield record.headers.get("WARC-Target-URI") or "", decode(body, record.http_charset).text
    for file in sorted((data / "license").glob("web_cc_pages*.jsonl.zst")):
        for entry in lines(file):
            yield entry.get("url") or "", entry["html"]


def lines(file: Path) -> list[dict]:
    raw = zstandard.ZstdDecompressor().stream_reader(file.read_bytes()).read().decode()
    return [json.loads(line) for line in raw.split("\n") if line]


def formulas_of(page: str) -> list[str]:
    """The TeX of each formula, counted by its source, without the code that is measured."""
    try:
        tree = lxml.html.fromstring(page.encode(), parser=lxml.html.HTMLParser(encoding="utf-8"))
    except (ValueError, lxml.etree.LxmlError):
        return []
    found: list[str] = []
    for math in tree.xpath("//math"):
        annotations = math.xpath(".//annotation[@encoding='application/x-tex']")
        found += [annotations[-1].text_content() if annotations else math.get("alttext") or ""]
    found += [script.text or "" for script in tree.xpath("//script[starts-with(@type, 'math/tex')]")]
    for image in tree.xpath("//img[@alt]"):
        names = set((image.get("class") or "").split())
        drawn = any(name.startswith("mwe-math-fallback") for name in names) and not image.xpath("../..//math")
        if drawn or names & {"latex", "tex", "math", "texrender"} or "latex.php" in (image.get("src") or ""):
            found += [image.get("alt")]
    if "mathjax" in page.lower():
        for text in tree.xpath("//body//text()[not(ancestor::script or ancestor::style or ancestor::pre)]"):
            found += [tex for pair in re.findall(r"\\\((.+?)\\\)|\\\[(.+?)\\\]", text, re.S) for tex in pair]
    return [tex for tex in map(tex_of, found) if tex]


def kept(formulas: list[str], text: str) -> int:
    """How many of the formulas stand in the text between dollar signs, each as often as it is counted."""
    bare = "".join(text.split())
    return sum(min(n, bare.count("$" + "".join(tex.split()) + "$")) for tex, n in collections.Counter(formulas).items())


def real(data: Path) -> float:
    all_n = kept_n = pages_n = 0
    seconds = 0.0
    seen: set[str] = set()
    for url, page in pages(data):
        formulas = [] if url in seen else formulas_of(page)
        if not formulas:
            continue
        seen.add(url)
        start = time.process_time()
        text = parsed(page, page.encode("utf-8", "replace"), {}, "resiliparse").text
        seconds += time.process_time() - start
        n = kept(formulas, text)
        pages_n, all_n, kept_n = pages_n + 1, all_n + len(formulas), kept_n + n
        print(f"{n:5d} of {len(formulas):5d}  {url[:100]}")
    print(
        f"{pages_n} real pages with formulas: {kept_n} of {all_n} kept, {kept_n / max(all_n, 1):.3f}  {seconds:.2f} s"
    )
    return kept_n / max(all_n, 1)


def written(data: Path) -> float:
    """The smallest share over the kinds of markup."""
    formulas: list[str] = []
    for file in sorted((data / "domains" / "en").glob("*math*latex*.jsonl.zst")):
        for entry in lines(file):
            formulas += [tex_of(t) for t in re.findall(r"(?<!\\|\$)\$([^$]{3,200})\$(?!\$)", entry["text"])]
        if len(formulas) > PAGES * PER_PAGE:
            break
    whole = (tex for tex in dict.fromkeys(formulas) if tex and tex.count("{") == tex.count("}") and tex[0] != "}")
    formulas = list(whole)[: PAGES * PER_PAGE]
    shares = []
    for kind, write in KINDS.items():
        n = 0
        for at in range(0, len(formulas), PER_PAGE):
            some = formulas[at : at + PER_PAGE]
            body = "".join(
                f"<p>The statement holds wherever {write(markup.escape(tex))} is given, as the reader knows.</p>"
                for tex in some
            )
            head = '<title>A page</title><script src="https://cdn.example.org/mathjax.js"></script>'
            page = f"<html><head>{head}</head><body><article><h1>A page</h1>{body}</article></body></html>"
            n += kept(some, parsed(page, page.encode(), {}, "resiliparse").text)
        shares.append(n / max(len(formulas), 1))
        print(f"{kind:16s} {n:5d} of {len(formulas)} kept, {shares[-1]:.3f}")
    return min(shares)


if __name__ == "__main__":
    worst = min(real(Path(sys.argv[1])), written(Path(sys.argv[1])))
    print(f"bar {BAR}: {'met' if worst >= BAR else 'missed'}")
    sys.exit(worst < BAR)

"""The report's style sheet: one page of paper, light or dark, that also prints."""

from gristmill.pipeline.contract.drawing.charts import HUES


def _categories(lightness: tuple[float, float], chroma: float) -> str:
    return " ".join(f"--k{i}: oklch({lightness[i % 2]} {chroma} {hue});" for i, hue in enumerate(HUES))


_LIGHT = f"""
  --paper: #fdfcfa; --sheet: #f6f4ef; --ink: #22252a; --soft: #5f636b; --faint: #8d9098; --line: #dedad1;
    --hair: #ebe8e1;
  --kept: #3f6f9f; --keptsoft: #b9cde0; --gone: #bf5536; --gonesoft: #ecc9bd; --other: #c9c5bc; --mark: #8a6a1f;
  --marksoft: #f6ecd2; --second: #2e7d6b;
  {_categories((0.58, 0.7), 0.13)}
"""
_DARK = f"""
  --paper: #15171a; --sheet: #1c1f23; --ink: #e4e2dc; --soft: #a5a8ad; --faint: #7d8187; --line: #363a40;
    --hair: #272a2f;
  --kept: #7ba9d6; --keptsoft: #32495f; --gone: #e0805f; --gonesoft: #5b342a; --other: #50545a; --mark: #e0b860;
  --marksoft: #2f2818; --second: #64bfa8;
  {_categories((0.72, 0.82), 0.12)}
"""

STYLE = f"""
:root {{ color-scheme: light dark; {_LIGHT}
  --serif: Charter, "Bitstream Charter", "Iowan Old Style", "Palatino Linotype", Palatino, Georgia,
    "Liberation Serif", serif;
  --sans: "Helvetica Neue", "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif;
  --mono: "SF Mono", Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace; }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
"""

STYLE += """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 3.2rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 var(--serif); }
main, header, footer { max-width: 74rem; margin: 0 auto; padding: 0 1.75rem; }
h1, h2, h3, p, dl, dd, figure, table, pre, ul { margin: 0; }
a { color: inherit; text-decoration-color: var(--faint); text-underline-offset: .15em; }
a:hover { text-decoration-color: currentColor; }
:focus-visible { outline: 2px solid var(--kept); outline-offset: 2px; }
code, .code { font: .86em/1.4 var(--mono); overflow-wrap: anywhere; }
bdi, td, th, pre { unicode-bidi: isolate; }

header { padding-top: 3.2rem; }
.kind { font: 600 .72rem/1 var(--sans); letter-spacing: .14em; text-transform: uppercase; color: var(--soft); }
h1 { font-size: 2.6rem; line-height: 1.1; font-weight: 600; letter-spacing: -.012em; margin: .55rem 0 .5rem;
  overflow-wrap: anywhere; }
.identity { color: var(--soft); font: .82rem/1.5 var(--sans); }
.abstract { max-width: 46rem; font-size: 1.09rem; margin: 1.4rem 0 0; }
.keys { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.2rem, 1fr)); margin: 1.9rem 0 0;
  border-top: 2px solid var(--ink); border-bottom: 1px solid var(--line); }
.keys > div { padding: .75rem .9rem .8rem 0; }
.keys dt { font: .75rem/1.3 var(--sans); color: var(--soft); }
.keys dd { font: 600 1.42rem/1.2 var(--sans); font-variant-numeric: tabular-nums; letter-spacing: -.01em;
  margin-top: .2rem; }
.keys small { display: block; font: .74rem/1.35 var(--sans); color: var(--soft); letter-spacing: 0;
  margin-top: .15rem; }

nav { position: sticky; top: 0; z-index: 1; background: var(--paper); border-bottom: 1px solid var(--line);
  margin-top: 1.5rem; }
nav ol { max-width: 74rem; margin: 0 auto; padding: 0 1.75rem; list-style: none; display: flex; gap: 0 1.35rem;
  overflow-x: auto; scrollbar-width: none; font: .8rem/1 var(--sans); }
nav a { display: block; padding: .8rem 0; text-decoration: none; color: var(--soft); white-space: nowrap; }
nav a:hover { color: var(--ink); }

.notes { list-style: none; padding: 0; margin: 1.6rem 0 0; font: .88rem/1.45 var(--sans); display: grid; gap: 1px;
  background: var(--line); border: 1px solid var(--line); border-left: 3px solid var(--mark); }
.notes li { padding: .5rem .9rem; background: var(--marksoft); overflow-wrap: anywhere; }
.notes li.failed { background: var(--paper); box-shadow: -3px 0 0 var(--gone); }
.notes b { font-weight: 600; }
.calm { margin-top: 1.6rem; color: var(--soft); font: .88rem/1.45 var(--sans); }

section { padding-top: 2.7rem; }
section > figure, section > .two, section > .fits { margin-top: 1.1rem; }
h2 { font-size: 1.5rem; line-height: 1.2; font-weight: 600; letter-spacing: -.005em; padding-bottom: .4rem;
  border-bottom: 1px solid var(--line); display: flex; gap: .7rem; }
h2 .no { color: var(--faint); font-weight: 400; font-variant-numeric: lining-nums; }
h3.apart { margin-top: 2rem; }
h3 { font: 600 .92rem/1.3 var(--sans); margin-bottom: .35rem; }
.lead { max-width: 46rem; margin-top: .7rem; }
.none { color: var(--soft); font-style: italic; margin-top: .7rem; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(25rem, 100%), 1fr)); gap: 1.7rem 2.4rem;
  align-items: start; }
@media (min-width: 60rem) { .two > .stay { position: sticky; top: 3.6rem; } }
.two > .rest { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.7rem; }
.two > *, .fits > * { min-width: 0; }
.snug table { width: auto; min-width: min(34rem, 100%); }
* + .fits, * + .two { margin-top: 1.5rem; }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font: .84rem/1.35 var(--sans);
  font-variant-numeric: tabular-nums lining-nums; }
figcaption { font: .84rem/1.5 var(--sans); color: var(--soft); padding-bottom: .55rem; max-width: 52rem; }
figcaption b { color: var(--ink); font-weight: 600; }
th { font-weight: 600; font-size: .76rem; color: var(--soft); text-align: left; vertical-align: bottom;
  padding: .3rem .8rem .35rem 0; border-bottom: 1px solid var(--ink); border-top: 1px solid var(--ink); }
td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--hair); vertical-align: top;
  overflow-wrap: break-word; }
th:last-child, td:last-child { padding-right: 0; }
tbody th { border: 0; border-bottom: 1px solid var(--hair); color: var(--ink); font-size: inherit;
  vertical-align: top; padding: .3rem .8rem .3rem 0; font-weight: 600; }
tbody tr:last-child > * { border-bottom-color: var(--line); }
tr.sum > * { font-weight: 600; border-top: 1px solid var(--line); }
tbody th.long, td.long { white-space: normal; overflow-wrap: anywhere; min-width: 9rem; }
.n { text-align: right; white-space: nowrap; }
.n + :not(.n) { padding-left: .6rem; }
.dim { color: var(--soft); }
.swatch { display: inline-block; width: .62rem; height: .62rem; border-radius: 50%; background: var(--k); }
.terms { color: var(--soft); overflow-wrap: break-word; min-width: 9.5rem; }
.wide { min-width: 12rem; width: 32%; }
.mid { min-width: 7rem; width: 20%; }

.bar { display: flex; height: .95rem; margin-top: .12rem; background: var(--hair); overflow: hidden; }
.bar i { display: block; flex: none; width: var(--w); min-width: 0; }
.bar .kept { background: var(--kept); } .bar .gone { background: var(--gone); }
.bar .gone2 { background: var(--gone); opacity: .72; }
.bar .gone3 { background: var(--gone); opacity: .48; }
.bar i + i { box-shadow: inset 1px 0 0 var(--paper); }
.bar.thin { height: .5rem; margin-top: .38rem; }
.bar .second { background: var(--second); } .bar .soft { background: var(--keptsoft); }
.pair { display: grid; gap: 2px; margin-top: .22rem; } .pair .bar { margin: 0; height: .38rem; }
.drops { min-width: 9rem; display: flex; flex-wrap: wrap; gap: .05rem .9rem; color: var(--soft); font-size: .95em; }
.drops span, table code { overflow-wrap: break-word; }
 .drops b { font-weight: 600; color: var(--gone); }
.dots { position: relative; height: 1.15rem;
  background: linear-gradient(var(--hair), var(--hair)) center / 100% 1px no-repeat; margin: 0 .4rem; }
.dots i { position: absolute; top: 50%; left: var(--at); width: .66rem; height: .66rem; margin: -.33rem 0 0 -.33rem;
  border-radius: 50%; border: 1.6px solid var(--faint); background: var(--paper); }
.dots i.way { border: 0; border-radius: 0; height: 2px; margin: -1px 0 0; width: var(--w);
  background: var(--keptsoft); }
.dots i.weight { background: var(--kept); border-color: var(--kept); }
.dots i.achieved { border-radius: 0; border: 0; width: 2px; height: 1.05rem; margin: -.525rem 0 0 -1px;
  background: var(--gone); }
.dots i.cap { border-radius: 0; border: 0; border-left: 1.5px dotted var(--faint); background: none; width: 0;
  height: 1.05rem; margin: -.525rem 0 0; }
.key { margin-right: 1rem; white-space: nowrap; }
.key i { width: .7rem; height: .7rem; display: inline-block; border-radius: 2px; margin-right: .35rem; }
.key i { vertical-align: -.04rem; }
.key i.round { border-radius: 50%; } .key i.stroke { width: 2px; height: .9rem; border-radius: 0; }
.key i.dash { width: .9rem; height: 2px; vertical-align: .22rem; }
.f-kept { background: var(--kept); } .f-gone { background: var(--gone); } .f-other { background: var(--other); }
.f-soft { background: var(--keptsoft); }
.f-second { background: var(--second); } .f-open { border: 1.6px solid var(--faint); }
.f-run { background: var(--kept); opacity: .42; }
.f-dashed { background: repeating-linear-gradient(90deg, var(--faint) 0 4px, transparent 4px 7px); }
.f-dotted { border-left: 1.5px dotted var(--faint); }
.flag { font: 600 .68rem/1 var(--sans); color: var(--mark); border: 1px solid currentColor; border-radius: 2px;
  padding: .08rem .25rem; margin-left: .4rem; white-space: nowrap; }

.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(15.5rem, 1fr)); gap: 1.3rem 1.8rem;
  margin-top: .9rem; }
.small figcaption { padding: 0 0 .15rem; } .small figcaption code { color: var(--ink); font-weight: 600; }
.small figcaption span { display: block; font-size: .95em; min-height: 1.45em; }
svg { display: block; width: 100%; height: auto; font: 11px var(--sans); font-variant-numeric: tabular-nums;
  overflow: visible; }
svg text { fill: var(--soft); } svg text.strong { fill: var(--ink); font-weight: 600; }
svg .axis { stroke: var(--line); fill: none; } svg .grid { stroke: var(--hair); fill: none; }
svg .kept { fill: var(--kept); } svg .gone { fill: var(--gone); } svg .other { fill: var(--other); }
svg .second { fill: var(--second); }
svg .limit { stroke: var(--gone); stroke-dasharray: 3 2; fill: none; } svg .outside { fill: var(--gone); opacity: .13; }
svg .line { stroke: var(--kept); stroke-width: 2; fill: none; } svg .ref { stroke: var(--faint);
  stroke-dasharray: 4 3; fill: none; }
svg .run { fill: var(--kept); opacity: .42; } svg .best { fill: var(--kept); } svg .band { fill: var(--kept);
  opacity: .1; } svg .halo { paint-order: stroke; stroke: var(--paper); stroke-width: 3.5px; stroke-linejoin: round; }

details { margin-top: .7rem; font: .84rem/1.45 var(--sans); }
summary { cursor: pointer; color: var(--soft); width: fit-content; } summary:hover { color: var(--ink); }
details > :not(summary) { margin-top: .6rem; }
pre { font: .78rem/1.5 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere; background: var(--sheet);
  padding: .8rem 1rem; max-height: 32rem; overflow: auto; }
.docs { columns: 2 26rem; column-gap: 2.4rem; margin-top: 1.1rem; }
article { break-inside: avoid; padding: .8rem 0 1rem; border-top: 1px solid var(--line); }
article h3, article h4 { overflow-wrap: anywhere; margin: 0; font: 600 .92rem/1.3 var(--sans); }
article .facts { font: .76rem/1.45 var(--sans); color: var(--soft); margin: .15rem 0 .35rem; display: flex;
  flex-wrap: wrap; gap: 0 .9rem; overflow-wrap: anywhere; }
article .text { font-size: .93rem; line-height: 1.45; white-space: pre-line; overflow-wrap: anywhere; }
footer { color: var(--soft); font: .78rem/1.5 var(--sans); padding-top: 3rem; padding-bottom: 3rem; }

@media (max-width: 40rem) {
  main, header, footer, nav ol { padding-left: 1rem; padding-right: 1rem; }
  header { padding-top: 1.8rem; } h1 { font-size: 1.9rem; } .abstract { font-size: 1.02rem; }
  .keys { grid-template-columns: repeat(2, 1fr); } .keys dd { font-size: 1.2rem; } section { padding-top: 2.1rem; }
  table { font-size: .8rem; } th, td { padding-right: .6rem; }
  tbody th { white-space: normal; overflow-wrap: break-word; min-width: 4.2rem; }
  tbody th.long, td.long { overflow-wrap: anywhere; min-width: 8.5rem; } td { overflow-wrap: break-word; }
  .minor { display: none; } .wide, .mid { min-width: 5rem; } .terms { min-width: 6.5rem; }
  th, th.n { white-space: normal; }
  svg.large { font-size: 16px; }
}
@media (max-width: 40rem) {
  .flow tr { display: grid; grid-template-columns: 5.6rem minmax(4rem, 1fr) 3.2rem 3.8rem; }
  .flow tr > * { width: auto; } .flow tr > :last-child { grid-column: 1 / -1; padding-left: 0; }
  .flow tr > * { padding-right: .6rem; } .flow tr > :nth-child(7) { padding-right: 0; }
  .flow tbody tr { border-bottom: 1px solid var(--hair); } .flow tbody tr > * { border: 0; padding-bottom: .15rem; }
  .flow tr > th:last-child { display: none; } .flow tr > :last-child > .dim { display: none; }
}
@media print {
  :root { color-scheme: light; } body { font-size: 9.5pt; } nav { display: none; }
  main, header, footer { max-width: none; padding: 0; }
  section, figure, tr, article { break-inside: avoid; } section { padding-top: 1.4rem; break-inside: auto; }
  h2, h3 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } .scroll, pre { overflow: visible;
    max-height: none; }
}
"""

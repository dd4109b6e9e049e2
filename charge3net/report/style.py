"""The page's style sheet: light or dark as the reader's system asks, figures always on white."""

STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1b2430; --quiet: #5c6775;
  --line: #e2e6eb; --accent: #0072b2; --code: #f0f2f5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161c; --card: #1b212a; --ink: #e6eaf0; --quiet: #9aa6b5;
    --line: #303945; --accent: #56b4e9; --code: #12161c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1040px; margin: 0 auto; padding: 2.2rem 1.2rem 4rem; }
h1 { font-size: 1.85rem; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 1.2rem; margin: 0 0 0.8rem; }
h3 { font-size: 0.95rem; margin: 1rem 0 0.3rem; color: var(--accent); }
.quiet, figcaption { color: var(--quiet); font-size: 0.88rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 0.9rem; margin: 1.2rem 0; }
.tile, section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.tile { padding: 0.9rem 1.1rem; }
.tile b { display: block; font-size: 1.65rem; font-variant-numeric: tabular-nums; color: var(--accent); }
.tile span { color: var(--quiet); font-size: 0.88rem; }
section { padding: 1.3rem 1.5rem; margin: 0.9rem 0; }
ul { margin: 0; padding-left: 1.2rem; }
li { margin: 0.35rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; color: var(--quiet); border-bottom: 2px solid var(--line); }
td { text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th, td { padding: 0.42rem 0.6rem; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tbody tr:first-child td { font-weight: 600; }
figure { margin: 1.2rem 0 0; }
figure img {
  display: block; max-width: 100%; height: auto; margin: 0 auto; background: #fff; border-radius: 8px; padding: 8px;
}
figcaption { margin-top: 0.5rem; }
.pair { display: flex; flex-wrap: wrap; gap: 1rem; justify-content: center; align-items: center; }
.pair img { max-width: min(100%, 480px); margin: 0; }
iframe {
  flex: 1 1 320px; max-width: 480px; height: 380px; border: 1px solid var(--line); border-radius: 8px;
}
pre, code { font: 0.82rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre {
  background: var(--code); border: 1px solid var(--line); border-radius: 8px; padding: 0.9rem 1rem;
  white-space: pre-wrap; overflow-wrap: anywhere;
}
dl {
  display: grid; grid-template-columns: minmax(110px, max-content) 1fr; gap: 0.3rem 1.1rem;
  margin: 0.6rem 0 0; font-size: 0.9rem;
}
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } }
"""

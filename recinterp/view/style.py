"""The page's style sheet."""

from __future__ import annotations

from recinterp.view.svg import DARK, LIGHT, MONO, SANS


def _variables(colours: dict[str, str], good: str) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items()) + f"--good:{good};"


PAGE = (
    f":root{{{_variables(LIGHT, '#1a7f4b')}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK, '#5bd395')}}}}}"
    + """
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 """
    + SANS
    + """}
main{max-width:1240px;margin:0 auto;padding:28px 22px 60px}
h1{font-size:23px;line-height:1.35;margin:8px 0}
h2{font-size:16.5px;margin:34px 0 8px;padding-bottom:4px;border-bottom:1px solid var(--node)}
.note,small,figcaption{color:var(--dim)}.note{margin:4px 0}small,figcaption{font-size:12px}
code,pre,.case td{font-family:"""
    + MONO
    + """;font-size:13px}
pre{overflow:auto;background:var(--node);padding:12px;border-radius:8px}
.verdict{display:inline-block;padding:1px 11px;border-radius:999px;color:var(--paper);
font-size:16px;text-transform:uppercase;letter-spacing:.06em;
vertical-align:2px;background:var(--missing)}
.v-exact{background:var(--good)}.v-shortcut{background:var(--added)}
.v-sporadic{background:var(--changed)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:13px}
thead th{text-align:left;color:var(--dim);font-weight:600;font-size:12px;vertical-align:bottom}
small{white-space:nowrap}th,td{padding:5px 13px 5px 0;vertical-align:top}
tbody tr+tr td{border-top:1px solid var(--node)}
.case td{border:0!important;padding:2px 7px;text-align:center}
.case th{text-align:left;color:var(--dim);font-weight:400}
.case .good{background:color-mix(in srgb,var(--good) 18%,transparent);
color:var(--good);border-radius:5px}
.case .bad{background:color-mix(in srgb,var(--added) 18%,transparent);
color:var(--added);border-radius:5px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 16px;margin:12px 0}
dt{color:var(--dim)}dd{margin:0}
.pair{display:flex;flex-wrap:wrap;gap:22px;align-items:flex-start}
figure{margin:0;min-width:min(340px,100%);padding:14px;border:1px solid var(--node);
border-radius:12px}
figure svg{max-width:100%;height:auto}
.legend span{margin-right:18px;font-size:12.5px;font-style:italic;font-weight:600}
.k-added{color:var(--added)}.k-changed{color:var(--changed)}.k-missing{color:var(--missing)}
li{margin:4px 0}details{margin:6px 0}summary{cursor:pointer}
@media print{main{max-width:none}}
"""
)

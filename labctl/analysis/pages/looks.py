"""How the pages look, on a screen of 80 characters and on A4."""

from __future__ import annotations

from typing import Final

#: Dark text on white or nearly white throughout: each pair of colours has a contrast of 5 : 1 or more.
CSS: Final = """
:root{--ink:#1b1b1b;--dim:#545454;--line:#d5d5d5;--link:#0b4f9e}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1rem;color:var(--ink);background:#fff;
 font:15px/1.5 system-ui,"Segoe UI","Noto Sans","DejaVu Sans",sans-serif;overflow-wrap:break-word}
a{color:var(--link)}
h1{font-size:1.6rem;line-height:1.25;margin:.2rem 0}
h2{font-size:1.25rem;margin:2.2rem 0 .6rem;border-bottom:2px solid var(--line)}
h3{font-size:1.08rem;margin:1.6rem 0 .4rem}h4{font-size:.98rem;margin:1.2rem 0 .3rem}
.badge{display:inline-block;padding:.15rem .7rem;border-radius:1rem;color:#fff;font-weight:700;letter-spacing:.04em}
.simulated{background:#7a3e00}.live{background:#00543d}
nav{margin:.4rem 0}nav a{margin-right:1rem}
p.dim,li.dim{color:var(--dim)}
figure{margin:.8rem 0;break-inside:avoid}img{max-width:100%;height:auto;display:block}
figcaption{color:var(--dim);font-size:.88rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;margin:.6rem 0;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--dim);font-size:.88rem;padding:.2rem 0}
th,td{padding:.22rem .55rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:baseline}
td{white-space:nowrap}td.words{white-space:normal}.words{text-align:left}td.words a{overflow-wrap:anywhere}
a.raw{white-space:nowrap}
th[scope=row]{text-align:left;font-weight:400;overflow-wrap:break-word;max-width:20rem}
thead th{border-bottom:2px solid #767676;font-weight:600;vertical-align:bottom}
.unit{font-weight:400;white-space:nowrap}
sup{line-height:0;font-size:.72em;font-weight:400}
a.why{text-decoration:none;padding:0 .12em;font-weight:400}a.why:hover{text-decoration:underline}
p.missing{margin:.1rem 0;color:var(--dim);font-size:.85rem}
ul{padding-left:1.2rem}li{margin:.15rem 0}
.flag{border-left:4px solid #b35c00;padding:.15rem .7rem;margin:.25rem 0;background:#fff8e8}
.none{border-left:4px solid #00543d;padding:.15rem .7rem;margin:.25rem 0;background:#eef8f4}
ol.notes{padding-left:1.8rem;font-size:.9rem}ol.notes li{margin:.4rem 0}
ol.notes li:target{background:#fff8e8}
.formula{font-family:"Cambria Math","STIX Two Text","DejaVu Serif",serif}.source{color:var(--dim)}
.back{text-decoration:none}
@media print{
 @page{size:A4;margin:16mm 14mm}
 body{max-width:none;padding:0;font-size:10pt}a{color:inherit;text-decoration:none}
 table{font-size:8.5pt;max-width:100%}.wide{overflow:visible}th,td{padding:.12rem .35rem}
 table.short{break-inside:avoid}thead{display:table-header-group}tr,.flag,ol.notes li{break-inside:avoid}
 h2,h3,h4,caption{break-after:avoid}figure{break-inside:avoid}img{max-height:230mm}
 nav,.back{display:none}
 .badge,.flag,.none{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""

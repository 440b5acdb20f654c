import { lists } from './styles-lists.ts'

/** What all pages share: no font, image or script from anywhere else. */
const shared = `
:root {
  color-scheme: light dark;
  --paper: #f3f5f4;
  --surface: #ffffff;
  --sunk: #f3f6f5;
  --ink: #14201f;
  --soft: #4f5e5c;
  --line: #dbe1df;
  --edge: #7b8a87;
  --accent: #0c6065;
  --accent-strong: #094a4e;
  --on-accent: #ffffff;
  --bad: #9c2d14;
  --bad-line: #e3a594;
  --bad-sunk: #fdf2ee;
  --end: #d4491f;
  --shadow: 0 1px 2px rgb(20 32 31 / 5%), 0 12px 32px -12px rgb(20 32 31 / 14%);
  --text: system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', Ubuntu, Cantarell, 'Helvetica Neue', Arial, sans-serif;
  --mono: ui-monospace, 'SF Mono', SFMono-Regular, Menlo, 'Cascadia Mono', Consolas, 'Roboto Mono', 'DejaVu Sans Mono', monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0e1413;
    --surface: #161e1d;
    --sunk: #101817;
    --ink: #e6edeb;
    --soft: #a5b3b0;
    --line: #2a3634;
    --edge: #71817e;
    --accent: #77cdc9;
    --accent-strong: #97dedb;
    --on-accent: #04201f;
    --bad: #ffab96;
    --bad-line: #6f3526;
    --bad-sunk: #26150f;
    --end: #ff7a55;
    --shadow: none;
  }
}

*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0;
  min-height: 100vh;
  min-height: 100dvh;
  display: flex;
  flex-direction: column;
  align-items: center;
  padding: clamp(1.25rem, 7vh, 5rem) 1.25rem 3rem;
  background: var(--paper);
  color: var(--ink);
  font: 1rem/1.55 var(--text);
  overflow-wrap: anywhere;
}
main { width: 100%; }

/* Masthead */
.masthead {
  display: flex;
  align-items: center;
  gap: 0.625rem;
  margin-bottom: 1.5rem;
}
.masthead img { display: block; flex: none; }
.wordmark { font-size: 1.125rem; font-weight: 650; letter-spacing: -0.012em; }

/* Words */
h1 {
  margin: 0;
  font-size: 1.5rem;
  line-height: 1.25;
  font-weight: 650;
  letter-spacing: -0.018em;
  text-wrap: balance;
}
h2 { margin: 2rem 0 0.625rem; font-size: 1rem; line-height: 1.4; font-weight: 650; }
p { margin: 0.75rem 0 0; text-wrap: pretty; }
.lead { margin-top: 0.375rem; color: var(--soft); }
.lead .given { color: var(--ink); font-weight: 550; }
.hint { margin-top: 0.625rem; color: var(--soft); font-size: 0.875rem; line-height: 1.5; }
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: 0.2em; }
a:hover { color: var(--accent-strong); text-decoration-thickness: 2px; }
code, pre { font-family: var(--mono); font-size: 0.875em; }
pre code { font-size: 1em; }

/* The two widths: one thing to do, or something to read */
.card, .sheet { margin-inline: auto; width: 100%; }
.card {
  max-width: 27rem;
  padding: 2.25rem 2.25rem 2rem;
  background: var(--surface);
  border: 1px solid var(--line);
  border-radius: 1rem;
  box-shadow: var(--shadow);
}
.sheet { max-width: 46rem; }

/* Forms */
.stack { display: grid; gap: 1.125rem; margin-top: 1.5rem; }
.stack.after { margin-top: 0.5rem; }
.field { display: grid; gap: 0.375rem; }
.card > .field { margin-top: 1.5rem; }
.field .hint { margin-top: 0; }
label { font-size: 0.9375rem; font-weight: 550; }
input, textarea, select, button { font: inherit; color: inherit; }
input, textarea, select {
  width: 100%;
  min-height: 2.75rem;
  padding: 0.5625rem 0.75rem;
  background: var(--surface);
  border: 1px solid var(--edge);
  border-radius: 0.5rem;
}
textarea { display: block; resize: vertical; }
input[aria-invalid='true'] { border-color: var(--bad); }
input[readonly], textarea[readonly] {
  background: var(--sunk);
  font-family: var(--mono);
  font-size: 0.875rem;
  line-height: 1.5;
}
textarea { word-break: break-all; }
.facts .pick { -webkit-user-select: all; user-select: all; }

button {
  width: 100%;
  min-height: 2.75rem;
  padding: 0.5625rem 1.125rem;
  border: 1px solid transparent;
  border-radius: 0.5rem;
  font-weight: 600;
  cursor: pointer;
  transition: background-color 120ms, border-color 120ms, color 120ms;
}
.primary { background: var(--accent); color: var(--on-accent); }
.primary:hover { background: var(--accent-strong); }
.secondary { background: var(--surface); border-color: var(--edge); }
.secondary:hover { background: var(--sunk); border-color: var(--ink); }
.quiet { background: none; color: var(--soft); font-weight: 550; }
.quiet:hover { background: var(--sunk); color: var(--ink); }
.choice { display: flex; flex-wrap: wrap; gap: 0.75rem; margin-top: 2rem; }
.choice > * { flex: 1 1 0; width: auto; min-width: max-content; }
.choice + .hint { text-align: center; text-wrap: balance; }

:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
input:focus-visible, textarea:focus-visible, select:focus-visible { outline-width: 2px; outline-offset: 0; border-color: var(--accent); }

/* Notices */
.notice {
  margin-top: 1.25rem;
  padding: 0.75rem 0.875rem;
  border: 1px solid var(--line);
  border-radius: 0.5rem;
  background: var(--sunk);
  font-size: 0.9375rem;
  line-height: 1.5;
}
.notice.bad { background: var(--bad-sunk); border-color: var(--bad-line); color: var(--bad); font-weight: 500; }
.notice.done { border-left: 3px solid var(--accent); background: var(--surface); }
time { white-space: nowrap; }
.quoted {
  margin-top: 0;
  padding: 0.75rem 0.875rem;
  border-radius: 0.5rem;
  background: var(--sunk);
  border: 1px solid var(--line);
  font-family: var(--mono);
  font-size: 0.875rem;
}

/* Facts: a name, and what is known about it */
.facts { margin: 0; border-top: 1px solid var(--line); }
.lead + .facts { margin-top: 1.5rem; }
.facts > div {
  display: grid;
  grid-template-columns: 8.5rem minmax(0, 1fr);
  gap: 0.125rem 0.75rem;
  padding: 0.625rem 0;
  border-bottom: 1px solid var(--line);
}
.facts dt { color: var(--soft); font-size: 0.9375rem; }
.facts dd { margin: 0; font-size: 0.9375rem; }
.facts .certain dd { font-family: var(--mono); font-size: 0.9375rem; }
.facts .certain .aside { font-family: var(--text); }
.aside { display: block; color: var(--soft); font-size: 0.8125rem; }

.scopes { margin: 0; padding: 0; list-style: none; }
.scopes li { position: relative; padding: 0.25rem 0 0.25rem 1.5rem; }
.scopes li::before {
  content: '';
  position: absolute;
  left: 0.125rem;
  top: 0.625rem;
  width: 0.375rem;
  height: 0.6875rem;
  border: solid var(--accent);
  border-width: 0 2px 2px 0;
  transform: translateX(0.125rem) rotate(42deg);
}
.scopes code { color: var(--soft); font-size: 0.8125rem; }

details { margin-top: 1.25rem; }
summary { cursor: pointer; color: var(--accent); font-size: 0.9375rem; border-radius: 0.25rem; }
summary:hover { color: var(--accent-strong); }
details .stack { margin-top: 1rem; }

/* A line that stops: the mark, drawn out */
.ended {
  position: relative;
  height: 1.25rem;
  margin-bottom: 1.5rem;
  background: linear-gradient(var(--accent), var(--accent)) 0 50% / calc(100% - 0.5rem) 2px no-repeat;
}
.ended::before, .ended::after { content: ''; position: absolute; }
.ended::before { left: 0; top: 0.375rem; width: 0.5rem; height: 0.5rem; border-radius: 50%; background: var(--accent); }
.ended::after { right: 0; top: 0; width: 3px; height: 100%; border-radius: 2px; background: var(--end); }

/* The front page */
body:has(.sheet) .masthead { width: 100%; max-width: 46rem; margin-bottom: clamp(1.75rem, 5vh, 3rem); }
.sheet h1 { font-size: clamp(1.875rem, 1.4rem + 2.2vw, 2.75rem); line-height: 1.12; letter-spacing: -0.028em; }
.sheet .lead { margin-top: 0.875rem; max-width: 38rem; font-size: 1.125rem; }
.sheet section + section, .sheet nav { margin-top: 2.75rem; }
.sheet h2 { margin-top: 0; font-size: 1.1875rem; letter-spacing: -0.01em; }
.sheet pre {
  margin: 0.875rem 0 0;
  padding: 1rem 1.125rem;
  overflow-x: auto;
  background: var(--surface);
  border: 1px solid var(--line);
  border-radius: 0.625rem;
  line-height: 1.6;
  overflow-wrap: normal;
}
.sheet pre.answer { margin-top: 0.5rem; background: none; color: var(--soft); white-space: pre-wrap; overflow-wrap: break-word; }
.endpoints { margin: 0.875rem 0 0; border-top: 1px solid var(--line); }
.endpoints > div {
  display: grid;
  grid-template-columns: 13rem minmax(0, 1fr);
  align-items: baseline;
  gap: 0.125rem 1rem;
  padding: 0.625rem 0;
  border-bottom: 1px solid var(--line);
}
.endpoints dd { display: grid; grid-template-columns: 3rem minmax(0, 1fr); align-items: baseline; margin: 0; }
.method { color: var(--soft); font: 0.75rem/1.5 var(--mono); letter-spacing: 0.02em; }
/* Where to go from here */
.ways {
  display: flex;
  flex-wrap: wrap;
  gap: 0.375rem 1.25rem;
  margin-top: 1.5rem;
  padding-top: 1rem;
  border-top: 1px solid var(--line);
  font-size: 0.9375rem;
}
.lead + .ways { margin-top: 1.25rem; }
.sheet section > .ways { margin-top: 1rem; padding-top: 0; border-top: 0; }
.facts + .ways { border-top: 0; margin-top: 0.25rem; }
.links { display: flex; flex-wrap: wrap; gap: 0.5rem 1.5rem; margin: 0; padding: 0; list-style: none; }

@media (max-width: 40rem) {
  .endpoints > div { grid-template-columns: 1fr; }
  .endpoints dt { font-weight: 550; }
}
@media (max-width: 30rem) {
  body { padding: 1.25rem 1rem 2rem; }
  .card { padding: 1.5rem 1.25rem 1.25rem; border-radius: 0.875rem; }
  .masthead { margin-bottom: 1.125rem; }
  .facts > div { grid-template-columns: 1fr; }
}
@media (prefers-reduced-motion: reduce) {
  *, *::before, *::after { transition: none; animation: none; }
}
@media (prefers-contrast: more) {
  :root { --line: var(--edge); --soft: var(--ink); }
}
@media (forced-colors: active) {
  .scopes li::before, .ended::before, .ended::after { forced-color-adjust: none; }
}
`

/** The one stylesheet of the pages. */
export const stylesheet: string = shared + lists

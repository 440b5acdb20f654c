/** What lists need: devices, tables, and what can be done with each. */
export const lists = `
/* What an account is signed in on */
a.button {
  display: inline-flex;
  align-items: center;
  justify-content: center;
  min-height: 2.75rem;
  padding: 0.5625rem 1.125rem;
  border: 1px solid transparent;
  border-radius: 0.5rem;
  font-weight: 600;
  text-decoration: none;
  color: inherit;
}
a.button.secondary { border-color: var(--edge); }
a.button.secondary:hover { color: inherit; border-color: var(--ink); }
.sheet .notice { margin-top: 1.5rem; }
.devices { margin: 2rem 0 0; padding: 0; list-style: none; display: grid; gap: 1rem; }
.device {
  display: grid;
  grid-template-columns: minmax(0, 1fr) 9.5rem;
  gap: 1.25rem;
  padding: 1.25rem 1.5rem;
  background: var(--surface);
  border: 1px solid var(--line);
  border-radius: 0.875rem;
}
.device h2 { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 0.625rem; font-size: 1.0625rem; letter-spacing: 0; }
.device h2 .given { text-align: left; }
.device .facts { margin-top: 0.75rem; border-top: 0; }
.device .facts > div { grid-template-columns: 6rem minmax(0, 1fr); padding: 0.1875rem 0; border-bottom: 0; }
.device .actions { display: grid; align-content: start; gap: 0.5rem; }
.device .actions details { margin-top: 0.25rem; }
.device .actions summary { padding: 0.375rem 0; text-align: center; }
.badge {
  padding: 0.0625rem 0.5rem;
  border: 1px solid var(--accent);
  border-radius: 1rem;
  color: var(--accent);
  font-size: 0.8125rem;
  font-weight: 600;
}
.sheet .choice { margin-top: 1.25rem; }
.sheet .choice > .button { flex: 0 1 auto; }
.sheet .choice + section, .sheet .hint + section { margin-top: 2.75rem; }
body:has(.console) .masthead, .console { max-width: 72rem; }
body:has(.console) .masthead { margin-bottom: 1.75rem; }
.console nav { margin-top: 0; }
.console .stack > .field { max-width: 36rem; }
.console h1 { font-size: 1.75rem; }
.console h2 { margin-top: 2.5rem; }
.console h3 { margin: 0; font-size: 1rem; font-weight: 650; }
.console .facts { margin-top: 1.25rem; }
.console .choice { justify-content: flex-start; }
.console .choice > button { flex: 0 0 auto; }
.sections { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin: 0 0 2rem; padding: 0 0 0.75rem; list-style: none; border-bottom: 1px solid var(--line); }
.sections a { display: inline-block; padding: 0.25rem 0; text-decoration: none; }
.sections a:hover { text-decoration: underline; }
.sections [aria-current] { color: var(--ink); font-weight: 650; box-shadow: 0 2px 0 var(--accent); }
.narrow { max-width: 27rem; }
button.fit { width: auto; margin-top: 1rem; }
.wide { min-width: 64rem; overflow-wrap: normal; }
.wide th, .wide td { font-size: 0.875rem; }
.wide td { max-width: 22rem; overflow-wrap: break-word; }
.wide td:last-child { min-width: 10rem; }
.wide td:first-child { white-space: normal; }
.wide label { padding-left: 0.5rem; font-size: 0.875rem; }
.wide input[type='checkbox'] { width: 1.125rem; min-height: 1.125rem; height: 1.125rem; vertical-align: middle; }
.wide button { min-height: 2.25rem; padding: 0.25rem 0.5rem; width: auto; }
.filters { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(11rem, 40%), 1fr)); gap: 0.875rem 1rem; align-items: end; margin-top: 1.5rem; }
.deeds { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1rem; margin-top: 1rem; }
.deeds form { margin: 0; padding: 1.25rem; grid-template-rows: auto 1fr; background: var(--surface); border: 1px solid var(--line); border-radius: 0.875rem; }
.graph { margin-top: 1rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin: 0.5rem 0 0; padding: 0; list-style: none; font-size: 0.875rem; }
.legend li { display: flex; align-items: center; gap: 0.5rem; }
.swatch { flex: none; width: 0.75rem; height: 0.75rem; border-radius: 0.125rem; }
.swatch.size-0 { width: 0.5rem; height: 0.5rem; border-radius: 50%; }
.swatch.size-1 { border-radius: 50%; width: 0.625rem; height: 0.625rem; }
.swatch.size-2 { border-radius: 50%; width: 0.875rem; height: 0.875rem; }
.after-all { margin-top: 2.5rem; }
.scroll { overflow-x: auto; margin-top: 0.75rem; }
table { width: 100%; border-collapse: collapse; font-size: 0.9375rem; }
th, td { padding: 0.5rem 1rem 0.5rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 550; }
td:first-child { white-space: nowrap; }

@media (max-width: 40rem) {
  .device { grid-template-columns: 1fr; padding: 1.125rem; }
  .device .actions summary { text-align: left; }
  .device .facts > div { grid-template-columns: 5rem minmax(0, 1fr); }
  table:not(.wide) thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table:not(.wide) tr { display: block; padding: 0.625rem 0; border-bottom: 1px solid var(--line); }
  table:not(.wide) td { display: block; padding: 0.0625rem 0; border: 0; }
  table:not(.wide) td:first-child { color: var(--soft); font-size: 0.875rem; }
}
`

/**
 * The mark: a session as a line that starts at a point, runs, and stops for good at a bar. Attributes only, no style
 * element, so that it also draws under a strict policy; its tile stands on light and on dark.
 */
export const logo: string = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="32" height="32">
<title>Rescind</title>
<rect width="32" height="32" rx="8" fill="#0f666a"/>
<path d="M8.5 16H20" stroke="#ffffff" stroke-width="3" stroke-linecap="round"/>
<circle cx="8.5" cy="16" r="3" fill="#ffffff"/>
<path d="M23 9v14" stroke="#ff9a7d" stroke-width="3.5" stroke-linecap="round"/>
</svg>
`

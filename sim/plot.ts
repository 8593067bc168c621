/** What was admitted over time, as SVG: the runs of one policy as a band with its median, each other one as a line, the limit as a rule. */
const WIDTH = 900;
const HEIGHT = 340;
const LEFT = 60;
const BOTTOM = 40;
const RIGHT = 150;
const TOP = 30;
const COLOURS = ['#8a8a8a', '#c0392b', '#2980b9', '#d68910'];

export interface Line {
  readonly name: string;
  /** Of several runs: percent of the limit, by tenths of a second. */
  readonly runs: readonly (readonly number[])[];
}

/** Of a rate, what was admitted in each tenth of a second; of a quota, what was used until then. */
export type Drawn = 'rate' | 'quota';

const UNITS: Readonly<Record<Drawn, string>> = {
  rate: 'percent of the limit admitted in the second before',
  quota: 'percent of the quota used',
};

export function plot(title: string, drawn: Drawn, ours: Line, rivals: readonly Line[]): string {
  const smooth = drawn === 'rate' ? lastSecond : (run: readonly number[]) => run;
  const highest = [ours, ...rivals].flatMap(({ runs }) => runs.map((run) => Math.max(...smooth(run))));
  const steps = Math.max(...[ours, ...rivals].flatMap(({ runs }) => runs.map((run) => run.length)));
  const top = Math.min(400, Math.max(drawn === 'rate' ? 150 : 110, ...highest));
  const x = (step: number): number => LEFT + (step / steps) * (WIDTH - LEFT - RIGHT);
  const y = (pct: number): number => HEIGHT - BOTTOM - (Math.min(pct, top) / top) * (HEIGHT - BOTTOM - TOP);
  const path = (values: readonly number[]): string =>
    values.map((value, step) => `${step === 0 ? 'M' : 'L'}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join('');
  const of = (line: Line, share: number): number[] => quantiles(line.runs.map(smooth), share);
  const low = of(ours, 0.05);
  const area = `${path(of(ours, 0.95))}${low
    .map((_, at) => low.length - 1 - at)
    .map((step) => `L${x(step).toFixed(1)} ${y(low[step] as number).toFixed(1)}`)
    .join('')}Z`;
  const ticks = [0, 50, 100, 150, 200, 300, 400].filter((pct) => pct <= top);
  const seconds = Array.from({ length: Math.floor(steps / 50) + 1 }, (_, at) => at * 5);
  const names = [
    { name: ours.name, colour: '#1e8449' },
    ...rivals.map(({ name }, at) => ({ name, colour: COLOURS[at] })),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT}" y="18" font-size="14">${escaped(title)}</text>
${ticks.map((pct) => `<path d="M${LEFT} ${y(pct)}H${WIDTH - RIGHT}" stroke="${pct === 100 ? '#000' : '#ddd'}"/><text x="${LEFT - 6}" y="${y(pct) + 4}" text-anchor="end">${pct} %</text>`).join('\n')}
${seconds.map((second) => `<text x="${x(second * 10)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${second}</text>`).join('\n')}
<text x="${(WIDTH + LEFT - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">seconds; ${UNITS[drawn]}</text>
${rivals.map((line, at) => `<path d="${path(of(line, 0.5))}" fill="none" stroke="${COLOURS[at]}" stroke-width="1"/>`).join('\n')}
<path d="${area}" fill="#1e8449" opacity="0.25"/>
<path d="${path(of(ours, 0.5))}" fill="none" stroke="#1e8449" stroke-width="2"/>
${names.map(({ name, colour }, at) => `<text x="${WIDTH - RIGHT + 10}" y="${TOP + 16 + at * 18}" fill="${colour}">${name}</text>`).join('\n')}
</svg>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

/** The second before each step: requests come at random, a tenth of a second says little. */
function lastSecond(run: readonly number[]): number[] {
  return run.map((_, at) => {
    const before = run.slice(Math.max(0, at - 9), at + 1);
    return before.reduce((sum, each) => sum + each, 0) / before.length;
  });
}

function quantiles(runs: readonly (readonly number[])[], share: number): number[] {
  const steps = Math.max(...runs.map((run) => run.length));
  return Array.from({ length: steps }, (_, step) => {
    const sorted = runs.map((run) => run[step] ?? 0).sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
  });
}

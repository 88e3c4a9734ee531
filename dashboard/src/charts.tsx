import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { clockTime, dollars, duration, rate } from './format.ts';
import type { Point } from './frames.ts';
import { POINT_MS, valueOf } from './points.ts';
import { model, theme } from './store.ts';

const heightPx = 116;
const labelWidthMin = 48;
/** At most, in the font of the axes. */
const labelCharacterWidth = 7;
const ranges = { '2 min': 120_000, '10 min': 600_000, '1 hour': 3_600_000 } as const;
type Range = keyof typeof ranges;
/** Null: the range that fits the gateway's uptime. */
const chosen = signal<Range | null>(null);

/** A line of a chart; its colour is a CSS variable. */
interface Line {
  readonly label: string;
  readonly colour: string;
  readonly fill?: boolean;
  readonly dash?: boolean;
  readonly value: (point: Point) => number | null;
}

interface ChartOptions {
  readonly title: string;
  readonly note: string;
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** Minimum upper end of the scale. */
  readonly topMin: number;
  /** Shown in place of a chart without values. */
  readonly empty?: string;
}

const perSecond = (value: number): number => value / (POINT_MS / 1_000);
const column = (name: Parameters<typeof valueOf>[1]) => (point: Point) => valueOf(point, name);
const perSecondOf =
  (...names: Parameters<typeof valueOf>[1][]) =>
  (point: Point) =>
    perSecond(names.reduce((sum, name) => sum + (valueOf(point, name) ?? 0), 0));

const charts: readonly ChartOptions[] = [
  {
    title: 'Demand and goodput',
    note: 'req/s',
    topMin: 1,
    format: rate,
    lines: [
      { label: 'asked', colour: '--line-soft', dash: true, value: perSecondOf('received', 'rejected') },
      { label: 'answered', colour: '--line', fill: true, value: perSecondOf('succeeded') },
    ],
  },
  {
    title: 'Errors to callers',
    note: 'req/s',
    topMin: 1,
    format: rate,
    lines: [
      { label: 'failed', colour: '--bad', fill: true, value: perSecondOf('failed') },
      { label: 'refused', colour: '--warn', value: perSecondOf('refused', 'rejected') },
    ],
  },
  {
    title: 'First content',
    note: 'with queue',
    topMin: 100,
    format: duration,
    lines: [
      { label: 'p95', colour: '--line-soft', dash: true, value: column('firstContentP95') },
      { label: 'p50', colour: '--line', value: column('firstContentP50') },
    ],
  },
  {
    title: 'Amplification',
    note: 'calls/request',
    topMin: 2,
    format: (value) => value.toFixed(value < 10 ? 1 : 0),
    lines: [
      {
        label: 'calls per request',
        colour: '--line',
        value: (point) => {
          const received = valueOf(point, 'received') ?? 0;
          return received === 0 ? null : (valueOf(point, 'attempts') ?? 0) / received;
        },
      },
    ],
  },
  {
    title: 'Cost',
    note: 'USD/h',
    topMin: 0.01,
    format: dollars,
    empty: 'No prices are known for the models used.',
    lines: [
      {
        label: 'cost',
        colour: '--line',
        fill: true,
        value: (point) => {
          const cost = valueOf(point, 'costUsd');
          return cost === null ? null : cost * (3_600_000 / POINT_MS);
        },
      },
    ],
  },
];

export function Charts() {
  const range = rangeNow();
  return (
    <section aria-labelledby="charts-title">
      <h2 id="charts-title">
        Over time
        <span class="segments" role="group" aria-label="Range">
          {(Object.keys(ranges) as Range[]).map((name) => (
            <button type="button" key={name} aria-pressed={name === range} onClick={() => (chosen.value = name)}>
              {name}
            </button>
          ))}
        </span>
      </h2>
      <div class="charts">
        {charts.map((options) => (
          <Chart key={options.title} options={options} range={range} />
        ))}
      </div>
    </section>
  );
}

function rangeNow(): Range {
  const { state } = model.value;
  if (chosen.value !== null || state === null) return chosen.value ?? '10 min';
  const upMs = state.at - state.startedAt;
  return upMs > 2 * ranges['10 min'] ? '1 hour' : upMs > 1.5 * ranges['2 min'] ? '10 min' : '2 min';
}

function Chart({ options, range }: { options: ChartOptions; range: Range }) {
  const { points, state } = model.value;
  const end = state?.at ?? 0;
  const shown = points.filter((point) => (valueOf(point, 'at') ?? 0) >= end - ranges[range]);
  const isEmpty = options.empty !== undefined && shown.every((point) => options.lines.every(({ value }) => value(point) === null));
  const last = options.lines.map(
    ({ value }) =>
      shown
        .toReversed()
        .map(value)
        .find((one) => one !== null) ?? null,
  );
  return (
    <figure class="chart">
      <figcaption>
        <strong>{options.title}</strong> <small>{options.note}</small>
        <span class="legend">
          {options.lines.map(({ label, colour, dash }, index) => (
            <span key={label}>
              <i class={dash === true ? 'swatch dash' : 'swatch'} style={{ borderColor: `var(${colour})` }} />
              {label} <b>{last[index] === null ? '–' : options.format(last[index]!)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      {isEmpty ? <p class="chart-empty">{options.empty}</p> : <Plot options={options} points={shown} from={end - ranges[range]} to={end} />}
    </figure>
  );
}

interface PlotProps {
  readonly options: ChartOptions;
  readonly points: readonly Point[];
  /** Milliseconds since the epoch. */
  readonly from: number;
  readonly to: number;
}

function Plot({ options, points, from, to }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const colours = theme.value;

  useEffect(() => {
    const element = place.current!;
    const made = new uPlot(plotOptions(options, element), [[]], element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: heightPx }));
    observer.observe(element);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const redraw = (): void => made.redraw();
    dark.addEventListener('change', redraw);
    return () => {
      observer.disconnect();
      dark.removeEventListener('change', redraw);
      made.destroy();
    };
  }, [options, colours]);

  useEffect(() => {
    const xs = points.map((point) => (valueOf(point, 'at')! + POINT_MS) / 1_000);
    plot.current?.setData([xs, ...options.lines.map(({ value }) => points.map(value))], false);
    plot.current?.setScale('x', { min: from / 1_000, max: to / 1_000 });
  }, [points, from, to, colours]);

  return <div ref={place} class="plot" role="img" aria-label={`Chart: ${options.title}, ${options.note}`} />;
}

/** Of the labels of the vertical axis, so that `$0.0050` is not cut. */
function labelWidth(_plot: uPlot, labels: readonly string[] | null): number {
  const longest = Math.max(0, ...(labels ?? []).map(({ length }) => length));
  return Math.max(labelWidthMin, 8 + longest * labelCharacterWidth);
}

function plotOptions({ lines, format, topMin }: ChartOptions, element: HTMLElement): uPlot.Options {
  const colour = (name: string) => () => getComputedStyle(element).getPropertyValue(name).trim();
  const axis = { stroke: colour('--muted'), font: '11px system-ui', ticks: { show: false } };
  return {
    width: element.clientWidth,
    height: heightPx,
    padding: [6, 16, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: true }, y: { range: (_plot, _min, max) => [0, Math.max(topMin, (max ?? 0) * 1.15)] } },
    axes: [
      {
        ...axis,
        size: 20,
        gap: 4,
        grid: { show: false },
        space: 64,
        incrs: [60, 120, 300, 600, 900, 1_800],
        values: (_plot, ticks) => ticks.map((tick) => clockTime(tick * 1_000)),
      },
      {
        ...axis,
        size: labelWidth,
        gap: 4,
        space: 26,
        grid: { stroke: colour('--grid'), width: 1 },
        values: (_plot, ticks) => ticks.map(format),
      },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: colour(line.colour),
        width: 1.5,
        points: { show: false },
        ...(line.dash === true && { dash: [3, 3] }),
        ...(line.fill === true && { fill: colour(`${line.colour}-fill`) }),
      })),
    ],
  };
}
